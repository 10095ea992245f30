"""What a config says reaches the parts that compute: each setting against the part made by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab import override, recipe
from reslab.builders import build_learning_rate, build_stream
from reslab.config import RunConfig
from reslab.data import ArrayDataset
from reslab.data.augment import Draws, PadCropFlip, erase, no_augment
from reslab.data.dataset import FileDataset
from reslab.data.images.photo_augment import PhotoView, RandAugment, ResizedCropFlip, ScaleCropFlip
from reslab.data.images.photo_stream import PhotoStream, color_shift
from reslab.data.mixing import Mixing
from reslab.data.order import balanced_order
from reslab.data.preprocess import Normalizer, measure_preprocess
from reslab.data.sources.digits import load_digits
from reslab.data.stream import MemoryStream, Stream
from reslab.distributed import World
from reslab.errors import UsageError
from reslab.spec import PreprocessSpec

CPU = torch.device("cpu")
DIGITS = load_digits().train
assert isinstance(DIGITS, ArrayDataset)
NORMALIZE = Normalizer(DIGITS_SPEC := measure_preprocess(DIGITS, mean="pixel", scale="none"), CPU)
PHOTO_SPEC = PreprocessSpec(channels=3, height=16, width=16, short_side=20, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
LATER = 40  # a step of the third epoch of the digits


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> FileDataset:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(9)]
    for number, path in enumerate(paths):
        pixels = generator.integers(0, 256, (30 + 3 * number, 50 - 2 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return FileDataset("noise", tuple(paths), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2]), ("a", "b", "c"))


def digits_config(data: dict[str, Any]) -> RunConfig:
    return override(recipe("digits-resnet20"), {"data": data, "seed": 3})


def digits_stream(data: dict[str, Any], world: World | None = None) -> Stream:
    return build_stream(digits_config(data), DIGITS, DIGITS_SPEC, CPU, world or World())


def by_hand(augment: Any, **options: Any) -> MemoryStream:
    return MemoryStream(DIGITS, NORMALIZE, augment, batch_size=64, seed=3, device=CPU, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "crop"),
    [
        ({}, {}),
        ({"padding": 2}, {"padding": 2}),
        ({"flip": False}, {"flip": False}),
        ({"fill": "black"}, {"fill": "black"}),
        ({"fill": "reflect"}, {"fill": "reflect"}),
        ({"flip_order": "alternating"}, {"alternates": True}),
        ({"cutout_size": 3}, {"cutout_size": 3}),
    ],
    ids=str,
)
def test_every_setting_of_padded_crops_reaches_the_batch(settings: dict[str, Any], crop: dict[str, Any]) -> None:
    data = {"augment": {"kind": "pad_crop", "padding": 1, **settings}}
    usual = {"padding": 1, "flip": True, "fill": "mean"}
    found = digits_stream(data).batch(LATER)
    expected = by_hand(PadCropFlip(**{**usual, **crop})).batch(LATER)
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.labels, expected.labels)
    if crop:  # and it changes something
        assert not torch.equal(found.images, by_hand(PadCropFlip(**usual)).batch(LATER).images)


def test_images_that_begin_small_grow_to_their_own_size() -> None:
    images = torch.zeros(80, 1, 16, 16, dtype=torch.uint8)
    data = ArrayDataset("black", images, torch.arange(80) % 10, DIGITS.class_names)
    config = digits_config({"augment": {"kind": "none"}, "initial_size": 8, "full_size_from": 0.5})
    stream = build_stream(config, data, measure_preprocess(data, mean="pixel", scale="none"), CPU, World())
    sizes = [stream.batch(step).images.shape[-1] for step in (0, 127, 128, 254, 255, 509)]  # of 510
    assert sizes == [8, 8, 12, 12, 16, 16]


def test_balanced_sampling_takes_the_balanced_order_and_the_other_each_image_once() -> None:
    labels = DIGITS.labels
    found = digits_stream({"sampling": "balanced"}).positions(LATER)
    expected = balanced_order(3, labels)(64 * LATER, 64 * LATER + 64)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    usual = digits_stream({}).positions(LATER)
    assert all(torch.equal(one, other) for one, other in zip(usual, by_hand(no_augment).positions(LATER), strict=True))


def test_a_single_image_for_each_process_has_no_partner_to_be_mixed_with() -> None:
    config = override(digits_config({"mixup_alpha": 0.4}), {"train": {"batch_size": 2}})
    build_stream(config, DIGITS, DIGITS_SPEC, CPU, World())
    with pytest.raises(UsageError, match=r"train\.batch_size is 2 with 2 processes, .*\. Use larger batches"):
        build_stream(config, DIGITS, DIGITS_SPEC, CPU, World(0, 2))


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_mixes_the_batches_of_the_stream(mixup: float, cutmix: float) -> None:
    data = {"augment": {"kind": "none"}, "mixup_alpha": mixup, "cutmix_alpha": cutmix}
    found = digits_stream(data).batch(2)
    expected = Mixing(mixup, cutmix)(by_hand(no_augment).batch(2), seed=3, step=2)
    assert torch.equal(found.images, expected.images)
    assert found.lam == expected.lam < 1


def test_a_process_takes_its_part_of_each_batch() -> None:
    whole = digits_stream({}).batch(1)
    parts = [digits_stream({}, World(rank=rank, size=2)).batch(1) for rank in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def photo_batch(photos: FileDataset, data: dict[str, Any], step: int = 1) -> torch.Tensor:
    config = override(recipe("imagenet-resnet18"), {"data": data, "train": {"batch_size": 6}, "seed": 3})
    stream = build_stream(config, photos, PHOTO_SPEC, CPU, World())
    try:
        return stream.batch(step).images
    finally:
        stream.close()


def photos_by_hand(photos: FileDataset, view: PhotoView, **options: Any) -> torch.Tensor:
    normalize = Normalizer(PHOTO_SPEC, CPU)
    stream = PhotoStream(photos, normalize, view, size_at=lambda _: 16, batch_size=6, seed=3, device=CPU, **options)
    try:
        return stream.batch(1).images
    finally:
        stream.close()


SCALED = {"kind": "scale_crop", "min_short_side": 18, "max_short_side": 24, "crop_size": 16, "color_std": 0.0}
RESIZED = {"kind": "resized_crop", "crop_size": 16, "min_area": 0.5, "max_aspect": 1.2, "flip": False}


def test_views_of_photos_are_those_that_the_config_names(photos: FileDataset) -> None:
    scaled = photo_batch(photos, {"augment": SCALED})
    assert torch.equal(scaled, photos_by_hand(photos, ScaleCropFlip(18, 24, 16, True)))
    assert torch.equal(
        photo_batch(photos, {"augment": RESIZED}), photos_by_hand(photos, ResizedCropFlip(0.5, 1.2, False))
    )
    unflipped = photo_batch(photos, {"augment": {**SCALED, "flip": False}})
    assert torch.equal(unflipped, photos_by_hand(photos, ScaleCropFlip(18, 24, 16, False)))
    assert not torch.equal(unflipped, scaled)


@pytest.mark.parametrize("augment", [SCALED, RESIZED], ids=lambda one: one["kind"])
def test_color_is_added_to_photos(photos: FileDataset, augment: dict[str, Any]) -> None:
    plain = photo_batch(photos, {"augment": {**augment, "color_std": 0.0}})
    colored = photo_batch(photos, {"augment": {**augment, "color_std": 0.1}})
    shift = color_shift(_draws(photos), 0.1) / torch.tensor(PHOTO_SPEC.std).view(1, 3, 1, 1)
    torch.testing.assert_close(colored - plain, shift.expand_as(plain), rtol=0, atol=1e-5)
    assert shift.abs().min() > 1e-4


def test_photos_are_erased_and_worked_on(photos: FileDataset) -> None:
    view = ResizedCropFlip(0.5, 1.2, False)
    plain = photo_batch(photos, {"augment": RESIZED})
    erased = photo_batch(photos, {"augment": {**RESIZED, "erase_probability": 1.0}})
    assert torch.equal(erased, erase(plain, 1.0, _draws(photos)))
    worked_on = photo_batch(photos, {"augment": {**RESIZED, "randaugment_ops": 2, "randaugment_magnitude": 20}})
    assert torch.equal(worked_on, photos_by_hand(photos, view, operations=RandAugment(2, 20)))
    assert not torch.equal(erased, plain)
    assert not torch.equal(worked_on, plain)


def test_photos_that_begin_small_grow_to_the_size_of_the_crop(photos: FileDataset) -> None:
    data = {"augment": {**SCALED, "min_short_side": 40, "max_short_side": 48, "crop_size": 40}, "initial_size": 16}
    sizes = [photo_batch(photos, data, step).shape[-1] for step in (0, 599_999)]  # of 600,000
    assert sizes == [16, 40]


def _draws(photos: FileDataset) -> Draws:
    """Those of the second batch of six."""
    stream = MemoryStream(
        ArrayDataset("", torch.zeros(len(photos), 3, 1, 1, dtype=torch.uint8), photos.labels, photos.class_names),
        NORMALIZE, no_augment, batch_size=6, seed=3, device=CPU,
    )  # fmt: skip
    return Draws(3, *stream.positions(1))


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ({"kind": "constant"}, {"kind": "none"}, {0: 0.2, 99: 0.2}),
        ({"kind": "step", "milestones": [50, 80], "gamma": 0.5}, {"kind": "none"}, {49: 0.2, 50: 0.1, 80: 0.05}),
        ({"kind": "cosine", "final_factor": 0.1}, {"kind": "none"}, {0: 0.2, 50: 0.11, 100: 0.02}),
        (
            {"kind": "one_cycle", "pct_start": 0.2, "start_factor": 0.5, "final_factor": 0.1},
            {"kind": "none"},
            {0: 0.1, 10: 0.15, 20: 0.2, 60: 0.11, 100: 0.02},
        ),
        ({"kind": "constant"}, {"kind": "linear", "iterations": 9}, {0: 0.02, 4: 0.1, 8: 0.18, 9: 0.2}),
    ],
    ids=str,
)
def test_the_learning_rate_is_that_of_the_configs_numbers(
    schedule: dict[str, Any], warmup: dict[str, Any], expected: dict[int, float]
) -> None:
    rate = build_learning_rate(_with_rate(schedule, warmup))
    assert {step: rate.at(step) for step in expected} == pytest.approx(expected)


def test_a_plateau_has_the_configs_numbers() -> None:
    plateau = {
        "kind": "plateau", "factor": 0.5, "patience": 2, "min_delta": 1.0, "max_drops": 1,
    }  # fmt: skip
    rate = build_learning_rate(_with_rate(plateau, {"kind": "none"}))
    rates = []
    for error in (50.0, 49.5, 49.5, 49.5, 49.5, 49.5, 49.5):  # no point better: two of them, then a drop, and no other
        rate.schedule.observe(error)  # type: ignore[union-attr]
        rates.append(rate.at(0))
    assert rates == pytest.approx([0.2, 0.2, *[0.1] * 5])


def test_a_warmup_until_an_error_has_the_configs_numbers() -> None:
    until = {"kind": "until_error", "factor": 0.25, "below_percent": 70.0, "window_iterations": 7}
    rate = build_learning_rate(_with_rate({"kind": "constant"}, until))
    assert rate.warmup.window_iterations == 7  # type: ignore[union-attr]
    rates = [rate.at(0)]
    for error in (75.0, 69.0, 90.0):
        rate.warmup.observe(error)  # type: ignore[union-attr]
        rates.append(rate.at(0))
    assert rates == pytest.approx([0.05, 0.05, 0.2, 0.2])


def _with_rate(schedule: dict[str, Any], warmup: dict[str, Any]) -> RunConfig:
    changes = {"optim": {"lr": 0.2}, "schedule": schedule, "warmup": warmup, "train": {"iterations": 100}}
    return override(recipe("digits-resnet20"), changes)
