"""The endless stream: full batches, any world size, positions that need no history; augmentation by hand."""

import json
import statistics
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reslab.artifacts.reader import checked
from reslab.data import ArrayDataset
from reslab.data.augment import Draws, PadCropFlip, no_augment
from reslab.data.draws import CROP_X, CROP_Y, FLIP, ORDER, permutation
from reslab.data.order import sample_positions
from reslab.data.preprocess import Normalizer, measure_preprocess
from reslab.data.stream import MemoryStream, growing_size
from reslab.spec import PreprocessSpec

CPU = torch.device("cpu")


def _dataset(length: int = 23, channels: int = 3, size: int = 6) -> ArrayDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (length, channels, size, size), generator=generator, dtype=torch.uint8)
    return ArrayDataset("noise", images, torch.arange(length) % 5, ("a", "b", "c", "d", "e"))


def _stream(
    dataset: ArrayDataset, *, batch_size: int, rank: int = 0, world_size: int = 1, seed: int = 3
) -> MemoryStream:
    normalize = Normalizer(measure_preprocess(dataset, mean="pixel", scale="std"), CPU)
    crop = PadCropFlip(2, flip=True, fill="mean")
    return MemoryStream(
        dataset, normalize, crop, batch_size=batch_size, seed=seed, device=CPU, rank=rank, world_size=world_size
    )


@given(st.integers(0, 99), st.integers(1, 40), st.integers(0, 500), st.integers(1, 100))
def test_sample_k_is_the_kth_of_the_permutations(seed: int, length: int, start: int, count: int) -> None:
    epoch, index = sample_positions(seed, length, start, start + count)
    for k, e, i in zip(range(start, start + count), epoch.tolist(), index.tolist(), strict=True):
        assert e == k // length
        assert i == permutation(seed, ORDER, e, length)[k % length]


def test_every_epoch_shows_every_sample_once_though_batches_straddle_epochs() -> None:
    epoch, index = sample_positions(0, 23, 0, 23 * 5)
    for number in range(5):
        assert index[epoch == number].sort().values.tolist() == list(range(23))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_any_world_size_sees_the_same_global_batches(world_size: int) -> None:
    dataset = _dataset()
    whole = _stream(dataset, batch_size=8).batch(5)
    parts = [_stream(dataset, batch_size=8, rank=rank, world_size=world_size).batch(5) for rank in range(world_size)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def test_a_batch_does_not_depend_on_what_was_asked_before() -> None:
    sequential = _stream(_dataset(), batch_size=7)
    batches = [sequential.batch(step) for step in range(9)]
    jumped = _stream(_dataset(), batch_size=7).batch(8)
    assert torch.equal(jumped.images, batches[8].images)


@pytest.mark.parametrize("fill", ["mean", "black"])
def test_crop_and_flip_equal_slicing_by_hand(fill: str) -> None:
    dataset = _dataset()
    spec = measure_preprocess(dataset, mean="pixel", scale="std")
    index = torch.arange(len(dataset))
    draws = Draws(11, torch.full_like(index, 4), index)
    batch = PadCropFlip(2, flip=True, fill=fill)(dataset.images, Normalizer(spec, CPU), draws)  # type: ignore[arg-type]
    normalize = Normalizer(spec, CPU)
    tops, lefts, flips = (draws.integers(5, CROP_Y), draws.integers(5, CROP_X), draws.integers(2, FLIP))
    for i, (top, left, flip) in enumerate(zip(tops.tolist(), lefts.tolist(), flips.tolist(), strict=True)):
        image = dataset.images[i : i + 1]
        source = normalize(image) if fill == "mean" else image
        padded = torch.zeros(1, 3, 10, 10, dtype=source.dtype)
        padded[:, :, 2:8, 2:8] = source
        expected = padded[:, :, top : top + 6, left : left + 6]
        expected = expected if fill == "mean" else normalize(expected)
        expected = torch.flip(expected, [3]) if flip else expected
        assert torch.equal(batch[i], expected[0])


def test_pixels_minus_the_measured_mean_have_mean_zero_and_deviation_one() -> None:
    dataset = _dataset(length=64)
    images = no_augment(dataset.images, Normalizer(measure_preprocess(dataset, mean="channel", scale="std"), CPU), None)  # type: ignore[arg-type]
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(images.std((0, 2, 3), correction=0), torch.ones(3), rtol=1e-4, atol=0)
    per_pixel = Normalizer(measure_preprocess(dataset, mean="pixel", scale="none"), CPU)(dataset.images)
    assert per_pixel.mean(0).abs().max() < 1e-6


def test_a_channel_of_one_value_is_divided_by_one_whatever_the_value() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 256, 1, 1).expand(7, 256, 3, 5)  # a channel for each
    dataset = ArrayDataset("flat", levels, torch.zeros(7, dtype=torch.int64), ("a",))
    assert set(measure_preprocess(dataset, mean="channel", scale="std").std) == {1.0}


def test_a_channel_of_nearly_one_value_is_divided_by_its_deviation() -> None:
    images = torch.full((50, 1, 40, 50), 254, dtype=torch.uint8)
    images[3, 0, 5, 7] = 253
    dataset = ArrayDataset("nearly", images, torch.zeros(50, dtype=torch.int64), ("a",))
    expected = statistics.pstdev(images.flatten().tolist()) / 255  # exact: in fractions
    assert measure_preprocess(dataset, mean="channel", scale="std").std == pytest.approx((expected,), rel=1e-6)


def test_the_mean_image_survives_the_spec_as_json() -> None:
    spec = measure_preprocess(_dataset(), mean="pixel", scale="none")
    again = checked(json.loads(json.dumps(asdict(spec))), PreprocessSpec, "spec")
    assert again == spec
    assert torch.equal(Normalizer(again, CPU).mean, Normalizer(spec, CPU).mean)


def _crop(dataset: ArrayDataset, epoch: int, **settings: object) -> torch.Tensor:
    """One image of the whole set each, in one epoch, without any normalisation."""
    flat = PreprocessSpec(channels=3, height=6, width=6, mean=(0.0,) * 3, std=(1.0,) * 3)
    index = torch.arange(len(dataset))
    crop = PadCropFlip(**{"padding": 0, "flip": False, "fill": "mean", **settings})  # type: ignore[arg-type]
    return crop(dataset.images, Normalizer(flat, CPU), Draws(1, torch.full_like(index, epoch), index))


def test_alternating_flips_show_both_sides_of_every_image_in_any_two_epochs() -> None:
    dataset = _dataset()
    as_it_is = dataset.images / 255
    views = [_crop(dataset, epoch, flip=True, alternates=True) for epoch in range(3)]
    flipped = [(view != as_it_is).flatten(1).any(1) for view in views]
    assert 0 < flipped[0].sum() < len(dataset)
    assert torch.equal(flipped[1], ~flipped[0])
    assert torch.equal(flipped[2], flipped[0])
    assert torch.equal(views[1][flipped[1]], as_it_is[flipped[1]].flip(-1))


def test_cutout_blanks_a_square_and_nothing_else() -> None:
    dataset = _dataset()
    as_it_is = dataset.images / 255
    views = _crop(dataset, 0, cutout_size=3)
    for image, view in zip(as_it_is, views, strict=True):
        blank = (view == 0).all(0)
        rows, columns = blank.any(1).nonzero(), blank.any(0).nonzero()
        assert 1 < blank.sum() <= 9  # half of it may lie outside
        assert blank.sum() == len(rows) * len(columns)
        assert torch.equal(view[:, ~blank], image[:, ~blank])
    assert len({tuple((view == 0).all(0).nonzero()[0].tolist()) for view in views}) > 5


def test_reflected_padding_repeats_the_pixels_inside() -> None:
    dataset = _dataset()
    views = _crop(dataset, 0, padding=2, fill="reflect")
    padded = torch.nn.functional.pad(dataset.images / 255, (2,) * 4, mode="reflect")
    for image, view in zip(padded, views, strict=True):
        windows = [image[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
        assert any(torch.equal(view, window) for window in windows)


def test_images_grow_in_equal_steps_to_their_own_size() -> None:
    size_at = growing_size(20, 32, until_step=90)
    assert [size_at(step) for step in (0, 29, 30, 59, 60, 89, 90, 1000)] == [20, 20, 24, 24, 28, 28, 32, 32]
    dataset = _dataset(size=32)
    normalize = Normalizer(measure_preprocess(dataset, mean="channel", scale="std"), CPU)
    place = {"batch_size": 4, "seed": 0, "device": CPU}
    growing = MemoryStream(dataset, normalize, no_augment, size_at=size_at, **place)  # type: ignore[arg-type]
    plain = MemoryStream(dataset, normalize, no_augment, **place)  # type: ignore[arg-type]
    assert growing.batch(30).images.shape == (4, 3, 24, 24)
    assert torch.equal(growing.batch(95).images, plain.batch(95).images)
