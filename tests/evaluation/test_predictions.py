"""Protocols and ensembles against direct float64 computations with Pillow's own crops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from reslab.data.dataset import ArrayDataset, FileDataset
from reslab.data.images.decode import resize_short_side
from reslab.data.preprocess import measure_preprocess
from reslab.errors import RunError, UsageError
from reslab.evaluation import Protocol, confusion_matrix, ensemble, evaluate, predict_split
from reslab.models import VGG, Network, create_model
from reslab.spec import PreprocessSpec

SPEC = PreprocessSpec(channels=3, height=16, width=20, short_side=24, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
CLASSES = ("a", "b", "c")


def network(seed: int) -> Network:
    torch.manual_seed(seed)
    model = create_model("cifar_resnet8", num_classes=3).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> FileDataset:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    paths = []
    for number in range(7):
        size = (30, 41) if number < 3 else (33 + number, 28)  # three of one shape, four of others
        paths.append(folder / f"{number}.png")
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(paths[-1])
    return FileDataset("noise", tuple(paths), torch.arange(7) % 3, CLASSES)


@pytest.fixture(scope="module")
def small_images() -> ArrayDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (11, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return ArrayDataset("noise", images, torch.arange(11) % 3, CLASSES)


def direct(model: Network, views: list[Tensor], spec: PreprocessSpec = SPEC, mean: Tensor | None = None) -> Tensor:
    """The mean over views of softmax, one view at a time, in float64; views: uint8 [channels, h, w]."""
    double = create_model("cifar_resnet8", num_classes=3).double().eval()
    double.load_state_dict(model.state_dict())
    subtracted = torch.tensor(spec.mean).double().view(-1, 1, 1) if mean is None else mean
    std = torch.tensor(spec.std).double().view(-1, 1, 1)
    with torch.no_grad():
        answers = [double(((view.double() / 255 - subtracted) / std)[None]).softmax(1)[0] for view in views]
    return torch.stack(answers).mean(0)


def resized(path: Path, side: int) -> Tensor:
    # the resize itself is compared with Pillow's elsewhere, within one level
    return resize_short_side(torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1), side)


def crop(picture: Tensor, left: int, top: int) -> Tensor:
    """Pillow's crop, to have the corners from somebody else."""
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    return torch.from_numpy(np.array(image.crop((left, top, left + 20, top + 16)))).permute(2, 0, 1)


def mirrored(view: Tensor) -> Tensor:
    image = Image.fromarray(view.permute(1, 2, 0).contiguous().numpy())
    return torch.from_numpy(np.array(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).permute(2, 0, 1)


def views_of(path: Path, name: str) -> list[Tensor]:
    picture = resized(path, 24)
    right, bottom = picture.shape[2] - 20, picture.shape[1] - 16
    centre = crop(picture, right // 2, bottom // 2)
    if name == "center":
        return [centre]
    if name == "flip":
        return [centre, mirrored(centre)]
    corners = [crop(picture, left, top) for left in (0, right) for top in (0, bottom)]
    return [view for plain in (*corners, centre) for view in (plain, mirrored(plain))]


@pytest.mark.parametrize("name", ["center", "flip", "ten-crop"])
@pytest.mark.parametrize("batch_size", [1, 25, 128])
def test_the_views_of_a_photo_are_averaged_after_the_softmax(photos: FileDataset, name: Any, batch_size: int) -> None:
    model = network(0)
    found = predict_split(model, photos, SPEC, Protocol(name), split="test", batch_size=batch_size)
    expected = torch.stack([direct(model, views_of(path, name)) for path in photos.paths])
    torch.testing.assert_close(found.probabilities.double(), expected, rtol=0, atol=1e-6)
    assert len(found) == 7
    assert torch.equal(found.labels, photos.labels)


@pytest.mark.parametrize("batch_size", [1, 128])
def test_multi_scale_shows_the_whole_picture_at_every_side(photos: FileDataset, batch_size: int) -> None:
    model = network(1)
    sides = (24, 40, 17)
    found = predict_split(model, photos, SPEC, Protocol("multi-scale", sides), split="test", batch_size=batch_size)
    expected = torch.stack([direct(model, [resized(path, side) for side in sides]) for path in photos.paths])
    torch.testing.assert_close(found.probabilities.double(), expected, rtol=0, atol=1e-6)
    assert "short sides 24, 40, 17" in str(found)


def test_the_papers_sides_are_the_default() -> None:
    assert Protocol("multi-scale").num_views == 5
    photos = FileDataset("photos", (), torch.zeros(0, dtype=torch.int64), CLASSES)
    assert "short sides 224, 256, 384, 480, 640" in Protocol("multi-scale").describe(photos, SPEC)


@pytest.mark.parametrize("name", ["center", "flip", "multi-scale"])
def test_images_in_memory_with_a_mean_for_every_pixel(small_images: ArrayDataset, name: Any) -> None:
    spec = measure_preprocess(small_images, mean="pixel", scale="std")
    model = network(2)
    mean_image = (small_images.images.double() / 255).mean(0)
    if name == "multi-scale":
        found = predict_split(model, small_images, spec, Protocol(name, (32, 40)), split="test")
        views = [[image, resize_short_side(image, 40)] for image in small_images.images]
        mean = mean_image.mean((1, 2)).view(-1, 1, 1)  # a mean image has one size only
        assert "the mean image as its channel means" in found.protocol
    else:
        found = predict_split(model, small_images, spec, Protocol(name), split="test")
        views = [[image, image.flip(-1)] if name == "flip" else [image] for image in small_images.images]
        mean = mean_image  # the mirrored picture is taken, not the mirrored input
    expected = torch.stack([direct(model, shown, spec, mean) for shown in views])
    torch.testing.assert_close(found.probabilities.double(), expected, rtol=0, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members(photos: FileDataset) -> None:
    models = [network(seed) for seed in range(3)]
    found = ensemble(predict_split(model, photos, SPEC, Protocol("flip"), split="test") for model in models)
    expected = torch.stack(
        [torch.stack([direct(model, views_of(path, "flip")) for model in models]).mean(0) for path in photos.paths]
    )
    torch.testing.assert_close(found.probabilities.double(), expected, rtol=0, atol=1e-6)
    assert str(found).startswith("test split, 7 samples, single centre crop 16x20 of short side 24")
    assert str(found).endswith("ensemble of 3 networks (softmax averaged)")


def test_members_that_do_not_fit_together_are_refused(photos: FileDataset, small_images: ArrayDataset) -> None:
    spec = measure_preprocess(small_images, mean="channel", scale="std")
    ours = predict_split(network(0), photos, SPEC, split="test")
    with pytest.raises(UsageError, match=r"got 7 x 3 and 11 x 3 \(samples x classes\)"):
        ensemble([ours, predict_split(network(0), small_images, spec, split="test")])
    with pytest.raises(UsageError, match="one member predicts split 'test' and another 'train'"):
        ensemble([ours, predict_split(network(0), photos, SPEC, split="train")])
    with pytest.raises(UsageError, match="none were given"):
        ensemble([])


def test_the_centre_view_gives_the_counts_of_evaluate(small_images: ArrayDataset) -> None:
    spec = measure_preprocess(small_images, mean="pixel", scale="none")
    model = network(3)
    expected = evaluate(model, small_images, spec, batch_size=4)
    found = predict_split(model, small_images, spec, split="test")
    assert torch.equal(confusion_matrix(found.classes, found.labels, 3), expected.confusion)


def test_the_model_given_stays_as_it_is_and_progress_ends_at_all_views(photos: FileDataset) -> None:
    model = network(0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[tuple[int, int]] = []
    predict_split(model, photos, SPEC, Protocol("ten-crop"), split="test", batch_size=20,
           on_progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(20, 70), (40, 70), (60, 70), (70, 70)]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_a_protocol_cannot_show_is_refused(photos: FileDataset, small_images: ArrayDataset) -> None:
    spec = measure_preprocess(small_images, mean="channel", scale="std")
    with pytest.raises(UsageError, match=r"protocol is 'tencrop'; allowed: .* Did you mean 'ten-crop'"):
        Protocol("tencrop")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"only protocol 'multi-scale' has sides"):
        Protocol("flip", (32,))
    with pytest.raises(UsageError, match=r"crops pictures that are larger than .* whole pictures of noise"):
        predict_split(network(0), small_images, spec, Protocol("ten-crop"), split="test")
    with pytest.raises(UsageError, match="name sides near that"):
        predict_split(network(0), small_images, spec, Protocol("multi-scale"), split="test")
    with pytest.raises(RunError, match="noise has images of 3x32x32, but the model takes 3x16x20"):
        predict_split(network(0), small_images, SPEC, split="test")
    with torch.device("meta"):
        vgg = create_model("vgg16", num_classes=3)
    assert isinstance(vgg, VGG)
    with pytest.raises(UsageError, match="needs a fully convolutional network"):
        predict_split(vgg, photos, SPEC, Protocol("multi-scale", (32,)), split="test")
