"""Answers with heat maps: the map against Grad-CAM computed directly, the answers against predictions, to the bit."""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from reslab import BadFile, Explanation, ModelSpec, PreprocessSpec, RunError, UsageError, create_model
from reslab.analysis import grad_cam, overlay_heat, picture_of, side_by_side, upsampled
from reslab.artifacts.model_file import ModelCard
from reslab.data.images.picture import view_of
from reslab.inference import LoadedModel
from reslab.models import build

NAMES = ("ant", "bee", "cat")


def resnet(channels: int = 3, class_names: tuple[str, ...] = NAMES) -> LoadedModel:
    torch.manual_seed(3)
    network = create_model("cifar_resnet8", num_classes=len(class_names), in_channels=channels)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
    spec = PreprocessSpec(
        channels=channels, height=24, width=32, short_side=36, mean=(0.48,) * channels, std=(0.2,) * channels
    )
    card = ModelCard(preprocess=spec, class_names=class_names, recipe="x", temperature=1.5)
    return LoadedModel(network, card).eval()


def vgg() -> LoadedModel:
    torch.manual_seed(0)
    spec = ModelSpec(
        family="vgg", block="conv", num_blocks=(1,) * 5, widths=(4,) * 5, shortcut="none", stride_on="3x3", stem="none",
        num_classes=3,
    )  # fmt: skip
    inputs = PreprocessSpec(channels=3, height=224, width=224, resize_mode="squash", mean=(0.5,) * 3, std=(0.2,) * 3)
    return LoadedModel(build(spec), ModelCard(preprocess=inputs, class_names=NAMES, recipe="x")).eval()


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return resnet()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (40 + number, 50, 3), dtype=np.uint8) for number in range(5)]


@pytest.mark.parametrize("make", [resnet, vgg])
def test_the_heat_map_is_grad_cam_of_the_answer_over_the_view(make, pictures: list[np.ndarray]) -> None:
    model = make()
    spec = model.card.preprocess
    found = grad_cam(model.network, model.prepare(pictures))
    heats = upsampled(found.maps, (spec.height, spec.width))
    explained = model.explain(pictures)
    for picture, heat, number, one in zip(pictures, heats, found.classes.tolist(), explained, strict=True):
        assert torch.equal(one.view, view_of(picture, spec))
        torch.testing.assert_close(one.heat, heat, rtol=0, atol=1e-6)
        assert one.class_name == one.prediction.label == NAMES[number]
        assert one.probability == one.prediction.probability
        assert one.overlay().tobytes() == overlay_heat(picture_of(one.view), one.heat).tobytes()
    assert max(one.heat.max().item() for one in explained) == 1


@pytest.mark.parametrize("make", [resnet, vgg])
@pytest.mark.parametrize("class_name", [None, "cat"])
def test_the_answers_are_those_of_predict_to_the_bit(
    make,
    class_name: str | None,
    pictures: list[np.ndarray],
) -> None:
    model = make()
    given = [*pictures[:2], "absent.png", *pictures[2:]]
    plain = list(model.predict_files(given, top_k=2, batch_size=4))
    explained = list(model.explain_files(given, class_name=class_name, top_k=2, batch_size=4))
    assert [type(one) for one in explained] == [BadFile if one is plain[2] else Explanation for one in plain]
    assert explained[2] == plain[2]
    for expected, one in zip(plain, explained, strict=True):
        if isinstance(one, Explanation):
            assert one.name == expected.name
            assert one.prediction.top == expected.top  # type: ignore[union-attr]
            assert torch.equal(one.prediction.logits, expected.logits)  # type: ignore[union-attr]


def test_another_class_is_explained_by_its_name(model: LoadedModel, pictures: list[np.ndarray]) -> None:
    for number, name in enumerate(NAMES):
        expected = upsampled(
            grad_cam(model.network, model.prepare(pictures), torch.tensor([number] * 5)).maps, (24, 32)
        )
        for one, heat in zip(model.explain(pictures, class_name=name), expected, strict=True):
            torch.testing.assert_close(one.heat, heat, rtol=0, atol=1e-6)
            assert one.class_name == name
            assert one.probability == pytest.approx(dict(one.prediction.top)[name], abs=0)


def test_of_classes_with_one_name_the_most_probable_is_explained(pictures: list[np.ndarray]) -> None:
    model = resnet(class_names=("crane", "bee", "crane", "dog"))
    logits = torch.stack([answer.logits for answer in model.predict(pictures)])
    better = torch.where(logits[:, 0] > logits[:, 2], 0, 2)
    expected = upsampled(grad_cam(model.network, model.prepare(pictures), better).maps, (24, 32))
    found = torch.stack([one.heat for one in model.explain(pictures, class_name="crane")])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_an_unknown_class_is_refused_before_anything_is_read(model: LoadedModel) -> None:
    known = r"class 'bea' is not one of this model's: 'ant', 'bee', 'cat'\. Did you mean 'bee'\?"
    with pytest.raises(UsageError, match=known):
        model.explain_files(itertools.repeat("never read"), class_name="bea")
    many = resnet(class_names=tuple(f"class {number}" for number in range(30)))
    with pytest.raises(UsageError, match=r"'ant' is not one of this model's 30 classes\.$"):
        many.explain_files([], class_name="ant")
    wrongs: list[dict[str, Any]] = [{"top_k": 0}, {"batch_size": 0}]
    for wrong in wrongs:
        with pytest.raises(UsageError, match=r"is 0; allowed: 1 or more"):
            model.explain_files([], **wrong)


def test_where_all_classes_are_equal_the_one_that_is_answered_is_explained(pictures: list[np.ndarray]) -> None:
    model = resnet(class_names=tuple("abcdefg"))
    with torch.no_grad():
        model.network.fc.weight.zero_()  # type: ignore[union-attr]
        model.network.fc.bias.zero_()  # type: ignore[union-attr]
    for one in model.explain(pictures, top_k=3):
        assert one.class_name == one.prediction.label
        assert not one.heat.any()  # no weight: nothing speaks for any class
        assert one.captions() == (f"14.3 % {one.class_name}", f"nothing found for {one.class_name}")


@pytest.mark.parametrize("channels", [1, 7])
def test_networks_of_other_channels_have_maps_too(channels: int) -> None:
    model = resnet(channels)
    values = np.random.default_rng(1).integers(0, 256, (40, 40, channels), dtype=np.uint8)
    one = model.explain(values)
    assert one.view.shape == (channels, 24, 32)
    expected = one.view.double().mean(0).round().to(torch.uint8)
    assert np.array_equal(np.asarray(one.picture()), expected[:, :, None].expand(-1, -1, 3).numpy())
    assert one.overlay().size == (32, 24)


def test_one_picture_gives_one_explanation_and_several_a_list(
    model: LoadedModel, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    assert isinstance(model.explain(pictures[0]), Explanation)
    assert [one.name for one in model.explain(iter(pictures[:2]))] == ["picture 0", "picture 1"]
    assert model.explain([]) == []
    assert torch.equal(model.explain(pictures[0], resize_mode="squash").view[0], _squashed(pictures[0], model))
    with pytest.raises(RunError, match=r"absent\.png: does not exist"):
        model.explain([pictures[0], tmp_path / "absent.png"])


def _squashed(picture: np.ndarray, model: LoadedModel) -> Tensor:
    return view_of(picture, replace(model.card.preprocess, resize_mode="squash", short_side=None))[0]


def test_an_endless_iterator_is_read_only_a_little_ahead(model: LoadedModel, pictures: list[np.ndarray]) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield pictures[0]

    explained = model.explain_files(endless(), batch_size=2)
    for _ in range(5):
        next(explained)
    assert taken <= (3 + 3) * 2
    explained.close()  # type: ignore[attr-defined]


def test_explaining_leaves_the_network_as_it_is(pictures: list[np.ndarray]) -> None:
    model = resnet()
    before = copy.deepcopy(model.state_dict())
    expected = model.explain(pictures)
    model.train()
    model.network.get_submodule("bn1").eval()
    with torch.inference_mode():  # the caller's own mode does not matter
        found = model.explain(pictures)
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.heat, other.heat)
        assert one.prediction.top == other.prediction.top
    assert model.training
    assert not model.network.get_submodule("bn1").training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# --- panels -----------------------------------------------------------------------------------------------------------


def test_a_panel_shows_the_view_beside_its_heat_map(model: LoadedModel, pictures: list[np.ndarray]) -> None:
    one = model.explain(pictures[0], class_name="cat")
    panel = np.asarray(one.panel())
    large = picture_of(one.view).resize((384, 288), Image.Resampling.NEAREST)  # 12 times 32x24
    assert np.array_equal(panel[8:296, 8:392], np.asarray(large))
    assert np.array_equal(panel[8:296, 400:784], np.asarray(overlay_heat(large, one.heat)))
    assert panel.shape[1] == 792
    for left in (8, 400):  # what is under each is on white, and in ink
        text = panel[296:, left : left + 384]
        assert text.min() < 100
        assert np.median(text) == 255
    probability = dict(one.prediction.top)["cat"]
    label = one.prediction.label
    right = "heat map: cat" if label == "cat" else f"heat map: {100 * probability:.1f} % cat"
    assert one.captions() == (f"{100 * one.prediction.probability:.1f} % {label}", right)


def test_any_class_name_fits_under_its_picture() -> None:
    picture = Image.new("RGB", (100, 20), "red")
    plain = np.asarray(side_by_side([(picture, "")]))
    for name in ("a" * 500, "dogs, 犬, كلب, 🐕", "two\nlines", "\x00", "tab\tand  spaces"):
        found = np.asarray(side_by_side([(picture, name)]))
        assert found.shape == plain.shape
        ink = np.argwhere((found != plain).any(2))
        assert len(ink) > 0
        assert ink[:, 0].min() >= 28  # under the picture
        assert ink[:, 1].max() < 108  # and no wider
