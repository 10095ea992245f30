"""Predictions of pictures: the same inputs in every path, to the bit; the same logits; what is refused."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab import (
    BadFile,
    ModelSpec,
    Prediction,
    PreprocessSpec,
    RunError,
    UsageError,
    create_model,
    load,
    override,
    recipe,
    train_run,
)
from reslab.artifacts.model_file import ModelCard, save_model
from reslab.builders import build_preprocess
from reslab.config import DataConfig, PhotoConfig, ResizedCrop
from reslab.data import views
from reslab.data.dataset import FileDataset
from reslab.data.preprocess import Normalizer
from reslab.evaluation import evaluate
from reslab.inference import Classifier, LoadedModel
from reslab.models import build
from reslab.spec import ResizeMode

CPU = torch.device("cpu")
NAMES = ("ant", "bee", "cat")
FITS = ("crop", "letterbox", "squash")


def save(
    folder: Path, resize_mode: ResizeMode = "crop", short_side: int | None = 36, temperature: float | None = None
) -> Path:
    torch.manual_seed(1)
    spec = PreprocessSpec(
        channels=3, height=32, width=32, short_side=short_side if resize_mode == "crop" else None,
        resize_mode=resize_mode, mean=(0.48, 0.45, 0.4), std=(0.2, 0.21, 0.22),
    )  # fmt: skip
    card = ModelCard(preprocess=spec, class_names=NAMES, recipe="x", temperature=temperature)
    path = folder / f"{resize_mode}.safetensors"
    model = create_model("cifar_resnet20", num_classes=3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # so that folding has something to fold
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
    save_model(path, model, card)
    return path


@pytest.fixture(scope="module")
def odd_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One file of each kind: JPEG, PNG, turned by EXIF, grey, palette, transparent, 16-bit, an array."""
    folder = tmp_path_factory.mktemp("odd")
    colour = np.random.default_rng(3).integers(0, 256, (57, 83, 3), dtype=np.uint8)
    picture = Image.fromarray(colour)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "a.jpg")
    picture.save(folder / "b.png")
    picture.save(folder / "turned.jpg", exif=exif)
    picture.convert("L").save(folder / "grey.jpg")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("RGBA").save(folder / "transparent.png")
    Image.fromarray(colour[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    np.save(folder / "array.npy", colour)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photo(odd_photos: list[Path]) -> Path:
    return odd_photos[0].with_name("a.jpg")


def assert_one_preprocessing(model_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Python, the stream of files, evaluation and a training's validation: equal bits, and logits within 1e-5."""
    model = reslab.load(model_path)
    expected = model.prepare(paths)
    alone = torch.cat([model.prepare(path) for path in paths])
    assert torch.equal(alone, expected)

    streamed: list[torch.Tensor] = []
    monkeypatch.setattr(model, "logits_of", lambda images: (streamed.append(images), model(images))[1].detach())
    answers = list(model.predict_files(iter(paths), batch_size=3))
    assert torch.equal(torch.cat(streamed), expected)

    data = FileDataset("photos", tuple(paths), torch.zeros(len(paths), dtype=torch.int64), NAMES)
    evaluated = [batch.images for batch in views.batches(data, model.card.preprocess, batch_size=5, device=CPU)]
    assert torch.equal(torch.cat(evaluated), expected)

    seen, folded = spy_on_validation(model, data)  # what a training calls for its validation rows, and `evaluate`
    assert torch.equal(seen, expected)
    scale = folded.abs().max().item()
    logits = torch.stack([answer.logits for answer in answers if not isinstance(answer, BadFile)])
    torch.testing.assert_close(logits, folded, rtol=0, atol=1e-5 * scale)
    one_by_one = torch.stack([model.predict(path).logits for path in paths])
    torch.testing.assert_close(logits, one_by_one, rtol=0, atol=1e-5 * scale)


def spy_on_validation(model: LoadedModel, data: FileDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `evaluate` showed to the (folded) network, and its logits."""
    shown: list[torch.Tensor] = []
    given: list[torch.Tensor] = []
    twin = copy.deepcopy(model.network)
    twin.register_forward_pre_hook(lambda _, images: shown.append(images[0]))
    twin.register_forward_hook(lambda _, images, logits: given.append(logits))  # type: ignore[arg-type]
    evaluate(twin, data, model.card.preprocess)
    return torch.cat(shown), torch.cat(given).detach()


@pytest.mark.parametrize("resize_mode", FITS)
def test_every_path_shows_the_network_the_same_bits(
    tmp_path: Path, odd_photos: list[Path], resize_mode: ResizeMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_one_preprocessing(save(tmp_path, resize_mode), odd_photos, monkeypatch)


@pytest.mark.parametrize("resize_mode", FITS)
def test_every_path_shows_real_photos_with_the_same_bits(
    tmp_path: Path, imagenette: Path, resize_mode: ResizeMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = [inner for inner in sorted((imagenette / "val").iterdir()) if inner.is_dir()]
    paths = [next(iter(sorted(inner.iterdir()))) for inner in classes]
    assert_one_preprocessing(save(tmp_path, resize_mode), paths, monkeypatch)


def test_a_loaded_model_has_the_network_and_knows_its_classes(tmp_path: Path) -> None:
    path = save(tmp_path)
    model, plain = reslab.load(path), reslab.load_model(path).model
    assert list(model.network.state_dict()) == list(plain.state_dict())
    assert [id(one) for one in model.parameters()] == [id(one) for one in model.network.parameters()]
    assert not model.training
    assert model.class_names == NAMES
    assert (model.spec, model.card.preprocess.short_side) == (plain.spec, 36)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    picture = np.zeros((40, 50, 3), np.uint8)
    assert twin.predict(picture).logits.abs().max() == 0  # the copy predicts by its own weights
    assert model.predict(picture).logits.abs().max() > 0


def test_a_vgg_network_predicts_too() -> None:
    spec = ModelSpec(
        family="vgg", block="conv", num_blocks=(1,) * 5, widths=(2,) * 5, shortcut="none", stride_on="3x3", stem="none",
        num_classes=3,
    )  # fmt: skip
    inputs = PreprocessSpec(channels=3, height=224, width=224, resize_mode="squash", mean=(0.5,) * 3, std=(0.2,) * 3)
    network = build(spec).eval()
    model = LoadedModel(network, ModelCard(preprocess=inputs, class_names=NAMES, recipe="x"))
    answer = model.predict(np.zeros((9, 7, 3), np.uint8))
    with torch.no_grad():
        assert torch.equal(answer.logits, network(torch.full((1, 3, 224, 224), -2.5))[0])


@pytest.mark.parametrize("resize_mode", FITS)
@pytest.mark.parametrize("mean", ["channel", "weights"])
def test_a_training_hands_its_fit_to_the_model_file(
    tmp_path: Path, odd_photos: list[Path], resize_mode: ResizeMode, mean: Literal["channel", "weights"]
) -> None:
    data = FileDataset("photos", tuple(odd_photos), torch.zeros(len(odd_photos), dtype=torch.int64), NAMES)
    config = DataConfig(
        mean=mean, photos=PhotoConfig(resize_mode=resize_mode, size=28), augment=ResizedCrop(crop_size=24)
    )
    spec = build_preprocess(config, data, str(save(tmp_path)) if mean == "weights" else None)
    assert (spec.resize_mode, spec.height, spec.width) == (resize_mode, 28, 28)
    assert spec.short_side == (32 if resize_mode == "crop" else None)
    assert (spec.mean == (0.48, 0.45, 0.4)) == (mean == "weights")


def test_every_engine_predicts_pictures_through_the_same_code(tmp_path: Path, odd_photos: list[Path]) -> None:
    path = save(tmp_path)
    module, engine = reslab.load(path), reslab.load(path, engine="torch-fp32")
    assert torch.equal(module.prepare(odd_photos), engine.prepare(odd_photos))
    expected = torch.stack([answer.logits for answer in module.predict(odd_photos)])
    found = torch.stack([answer.logits for answer in engine.predict(odd_photos)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    assert (engine.spec, engine.class_names) == (module.spec, NAMES)


def test_one_picture_gives_one_answer_and_several_a_list(tmp_path: Path, odd_photos: list[Path]) -> None:
    model = reslab.load(save(tmp_path))
    one = model.predict(odd_photos[0], top_k=2)
    assert one.name == str(odd_photos[0])
    assert [name for name, _ in one.top] == [NAMES[i] for i in one.logits.argsort(descending=True)[:2]]
    assert (one.label, one.probability) == one.top[0]
    assert sum(value for _, value in model.predict(odd_photos[0], top_k=9).top) == pytest.approx(1)
    stack = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    several = model.predict(stack)
    assert isinstance(several, list)  # as its four dimensions say
    assert [answer.name for answer in several] == ["picture 0", "picture 1"]
    assert [answer.name for answer in model.predict(iter([odd_photos[1], stack[0]]))] == [
        str(odd_photos[1]),
        "picture 1",
    ]
    assert model.predict([]) == []
    assert model.prepare([]).shape == (0, 3, 32, 32)


def test_the_temperature_of_the_card_changes_probabilities_only(tmp_path: Path, odd_photos: list[Path]) -> None:
    plain = reslab.load(save(tmp_path)).predict(odd_photos[0])
    soft = reslab.load(save(tmp_path, temperature=2.0)).predict(odd_photos[0])
    assert torch.equal(plain.logits, soft.logits)
    expected = torch.softmax(plain.logits.double() / 2, 0).sort(descending=True).values
    assert [value for _, value in soft.top] == pytest.approx(expected.tolist())


def test_a_model_in_training_predicts_in_eval_mode_and_goes_on_training(tmp_path: Path, odd_photos: list[Path]) -> None:
    model = reslab.load(save(tmp_path))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = model.predict(odd_photos[0]).logits
    assert torch.equal(model.train().predict(odd_photos[0]).logits, expected)
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bad_files_are_named_and_do_not_stop_the_others(tmp_path: Path, odd_photos: list[Path]) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    paths = [odd_photos[0], tmp_path / "text.jpg", tmp_path / "absent.png", tmp_path, odd_photos[1]]
    model = reslab.load(save(tmp_path))
    found = list(model.predict_files(paths, batch_size=2))
    assert [type(answer).__name__ for answer in found] == ["Prediction", "BadFile", "BadFile", "BadFile", "Prediction"]
    assert [answer.name for answer in found] == [str(path) for path in paths]
    assert all(isinstance(bad, BadFile) and bad.reason.startswith(bad.name) for bad in found[1:4])
    with pytest.raises(RunError, match=r"text\.jpg: cannot be read as an image"):
        model.predict(paths)


def test_an_endless_iterator_is_read_only_a_little_ahead(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((32, 32, 3), np.uint8)

    answers = reslab.load(save(tmp_path)).predict_files(endless(), batch_size=4)
    for _ in range(9):
        next(answers)
    assert taken <= (3 + 3) * 4
    answers.close()  # type: ignore[attr-defined]


def test_a_picture_of_another_size_says_what_to_do(tmp_path: Path) -> None:
    model: Classifier = reslab.load(save(tmp_path, short_side=None))
    picture = np.zeros((40, 50, 3), np.uint8)
    with pytest.raises(
        RunError,
        match=r"picture 0: has 50x40 pixels, but .* Set resize_mode to 'crop'",
    ):
        model.predict(picture)
    for resize_mode in FITS:
        assert model.prepare(picture, resize_mode=resize_mode).shape == (1, 3, 32, 32)
        assert model.predict(picture, resize_mode=resize_mode).label in NAMES


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"batch_size": 0}, {"resize_mode": "stretch"}])
def test_wrong_settings_are_refused_at_once(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is "):
        reslab.load(save(tmp_path)).predict_files([], **wrong)  # type: ignore[arg-type]


def test_one_lazily_opened_picture_may_be_given_many_times(model_path: Path, photo: Path) -> None:
    model = load(model_path)
    with Image.open(photo) as picture:
        answers = list(model.predict_files([picture] * 40, batch_size=8, resize_mode="squash"))
    assert all(isinstance(answer, Prediction) for answer in answers)


def test_answers_before_an_interruption_are_not_lost(model_path: Path, photo: Path) -> None:
    def paths() -> Iterator[Path]:
        yield from [photo] * 5
        raise KeyboardInterrupt

    answers = load(model_path).predict_files(paths(), batch_size=2, resize_mode="squash")
    assert len([next(answers) for _ in range(5)]) == 5
    with pytest.raises(KeyboardInterrupt):
        next(answers)


def test_predicting_leaves_every_modules_mode_and_gives_logits_to_compute_with(model_path: Path, photo: Path) -> None:
    model = load(model_path)
    model.train()
    model.network.get_submodule("bn1").eval()
    answer = model.predict(photo, resize_mode="squash")
    assert model.training
    assert not model.network.get_submodule("bn1").training
    answer.logits.add_(1)
    assert not answer.logits.is_inference()


def test_all_kinds_of_bytes_are_one_picture(model_path: Path, photo: Path) -> None:
    model, content = load(model_path), photo.read_bytes()
    first, *others = [
        model.predict(kind(content), resize_mode="squash").logits
        for kind in (bytes, bytearray, memoryview)  # type: ignore[call-overload]
    ]
    assert all(torch.equal(first, other) for other in others)


def test_predictions_one_by_one_count_what_training_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    for part, count in (("train", 6), ("val", 5)):
        for name in NAMES:
            for number in range(count):
                path = tmp_path / "photos" / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(generator.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)).save(path)
    shown: list[torch.Tensor] = []
    original = views.centre_views

    def spy(*arguments: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for indices, images in original(*arguments):
            shown.append(images)
            yield indices, images

    monkeypatch.setattr(views, "centre_views", spy)
    config = override(
        recipe("cifar-resnet20"),
        {
            "data": {"kind": "folder", "path": str(tmp_path / "photos"), "mean": "channel",
                     "photos": {"resize_mode": "letterbox"}, "validation_size": 0,
                     "augment": {"kind": "resized_crop", "crop_size": 16}},
            "train": {"iterations": 2, "batch_size": 4, "log_every": 1}, "compute": {"precision": "fp32"},
            "evaluation": {"every": 2, "monitor": "validation"},
        },
    )  # fmt: skip
    train_run(config, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    counted = next(row for row in rows if row["split"] == "validation")
    model = reslab.load(tmp_path / "run" / "model.safetensors")
    assert model.card.preprocess.resize_mode == "letterbox"
    paths = sorted((tmp_path / "photos" / "val").glob("*/*.png"))
    normalize = Normalizer(model.card.preprocess, CPU)
    assert any(torch.equal(normalize(images), model.prepare(paths)) for images in shown if len(images) == len(paths))
    right = sum(model.predict(path).label == path.parent.name for path in paths)
    assert (right, len(paths)) == (counted["correct"], counted["total"])


def test_of_equal_answers_the_first_comes_first_however_many_are_asked_for(model_path: Path) -> None:
    model = reslab.load(model_path)
    logits = torch.zeros(20)
    logits[7] = logits[11] = 1
    order = ["class 7", "class 11", *NAMES, *(f"class {n}" for n in range(3, 20) if n not in (7, 11))]
    for top_k in (1, 2, 5, 20):
        assert [name for name, _ in model._prediction("x", logits, top_k).top] == order[:top_k]


def test_data_of_fewer_classes_than_the_network_has_is_refused(model_path: Path, photo: Path) -> None:
    data = FileDataset("photos", (photo,), torch.zeros(1, dtype=torch.int64), NAMES[:2])
    model = reslab.load(model_path)
    with pytest.raises(UsageError, match="the network has 3 classes, but the data has 2"):
        evaluate(model.network, data, model.card.preprocess)
