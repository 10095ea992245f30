"""Views of photos for training, against Pillow and against what the papers say."""

import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from reslab.data.augment import Draws, erase
from reslab.data.draws import AREA, ASPECT, CROP_X, CROP_Y, FLIP, draw_integers
from reslab.data.images.decode import resize_short_side
from reslab.data.images.photo_augment import RandAugment, ResizedCropFlip, ScaleCropFlip


def draws(count: int, seed: int = 0) -> Draws:
    index = torch.arange(count)
    return Draws(seed, torch.zeros_like(index), index)


def bits_for(view: ResizedCropFlip | ScaleCropFlip, count: int) -> list[tuple[int, ...]]:
    found = draws(count)
    return list(zip(*[found.bits(purpose) for purpose in view.purposes], strict=True))


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    y, x = np.mgrid[0:60, 0:97] / 12
    planes = np.stack([np.sin(x * y / 3), np.cos(x), np.sin(y)], axis=-1)
    return torch.from_numpy(((planes + 1) * 127).astype(np.uint8)).permute(2, 0, 1)


def test_a_resized_crop_is_pillows_resize_of_its_box(photo: torch.Tensor) -> None:
    view = ResizedCropFlip(min_area=0.2, max_aspect=4 / 3, flip=True)
    picture = Image.fromarray(photo.permute(1, 2, 0).numpy())
    for bits in bits_for(view, 20):
        top, left, rows, columns = view.box(60, 97, *bits[:4])
        part = picture.crop((left, top, left + columns, top + rows))
        expected = np.asarray(part.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
        expected = expected[:, ::-1] if bits[4] % 2 else expected
        found = view(photo, 32, bits).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(found - expected).max() <= 1


def test_crops_have_the_areas_and_aspects_they_are_asked_for_and_lie_inside() -> None:
    view = ResizedCropFlip(min_area=0.25, max_aspect=1.5, flip=False)
    boxes = np.array([view.box(1000, 1000, *bits[:4]) for bits in bits_for(view, 4000)])
    top, left, rows, columns = boxes.T
    assert (top + rows).max() <= 1000
    assert (left + columns).max() <= 1000
    area, aspect = rows * columns / 1e6, columns / rows
    fits = (rows < 1000) & (columns < 1000)  # sides that would not fit are cut
    assert area[fits].min() >= 0.24
    assert area.mean() == pytest.approx(0.62, abs=0.02)  # uniform in [0.25, 1], less what is cut
    assert (aspect[fits] >= 1 / 1.51).all()
    assert (aspect[fits] <= 1.51).all()
    assert np.log(aspect[fits]).mean() == pytest.approx(0, abs=0.02)


def test_a_crop_of_everything_is_the_whole_picture(photo: torch.Tensor) -> None:
    view = ResizedCropFlip(min_area=1.0, max_aspect=1.0, flip=False)
    square = photo[:, :, :60]
    for bits in bits_for(view, 5):
        assert torch.equal(view(square, 60, bits), square)


def test_the_papers_view_keeps_its_proportions_when_it_is_smaller(photo: torch.Tensor) -> None:
    view = ScaleCropFlip(min_short_side=40, max_short_side=40, crop_size=32, flip=False)
    bits = bits_for(view, 1)[0]
    _, x, y, _ = bits
    for size, side in ((32, 40), (16, 20)):
        resized = resize_short_side(photo, side)
        top, left = y % (resized.shape[1] - size + 1), x % (resized.shape[2] - size + 1)
        assert torch.equal(view(photo, size, bits), resized[:, top : top + size, left : left + size])


def test_randaugment_depends_on_its_bits_alone_and_keeps_size_and_type(photo: torch.Tensor) -> None:
    square = photo[:, :48, :48]
    operations = RandAugment(num_ops=2, magnitude=9)
    views = [operations(square, bits) for bits in range(60)]
    assert all(view.shape == square.shape and view.dtype == torch.uint8 for view in views)
    assert all(torch.equal(operations(square, bits), view) for bits, view in enumerate(views))
    assert len({view.numpy().tobytes() for view in views}) > 40
    assert operations(square[:1], 3).shape == (1, 48, 48)


def _affine(picture: Image.Image, *matrix: float) -> Image.Image:
    grey = (128, 128, 128)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=grey)


def _by_pillow(picture: Image.Image, magnitude: int, sign: int) -> list[Image.Image]:
    """The fourteen operations of Cubuk et al. 2020 at a magnitude, with the ranges that torchvision has."""
    part = sign * magnitude / 30
    factors = 1 + 0.9 * part
    return [
        picture,
        ImageOps.autocontrast(picture),
        ImageOps.equalize(picture),
        ImageOps.posterize(picture, {0: 8, 9: 7, 30: 4}[magnitude]),
        ImageOps.solarize(picture, {0: 256, 9: 179, 30: 0}[magnitude]),
        ImageEnhance.Color(picture).enhance(factors),
        ImageEnhance.Contrast(picture).enhance(factors),
        ImageEnhance.Brightness(picture).enhance(factors),
        ImageEnhance.Sharpness(picture).enhance(factors),
        picture.rotate(-30 * part, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)),
        _affine(picture, 1, 0.3 * part, 0, 0, 1, 0),
        _affine(picture, 1, 0, 0, 0.3 * part, 1, 0),
        _affine(picture, 1, 0, 0.45 * 48 * part, 0, 1, 0),
        _affine(picture, 1, 0, 0, 0, 1, 0.45 * 48 * part),
    ]


@pytest.mark.parametrize("magnitude", [0, 9, 30])
def test_randaugments_operations_are_pillows_at_its_magnitude(photo: torch.Tensor, magnitude: int) -> None:
    square = photo[:, :48, :48]
    picture = Image.fromarray(square.permute(1, 2, 0).numpy())
    expected = {}
    for number in range(14):
        for sign in (-1, 1):
            pixels = np.asarray(_by_pillow(picture, magnitude, sign)[number]).transpose(2, 0, 1)
            expected[number, sign] = torch.from_numpy(pixels.copy())
    met = set()
    for bits in range(200):
        draws = random.Random(bits)
        drawn = draws.choice(range(14)), draws.choice((-1, 1))
        found = RandAugment(num_ops=1, magnitude=magnitude)(square, bits)
        difference = (found.int() - expected[drawn].int()).abs()
        assert (difference > 2).double().mean() < 0.01, drawn  # Pillow turns by a matrix that it rounds
        met.add(drawn)
    assert len(met) == 28


def test_randaugment_of_no_operations_changes_nothing(photo: torch.Tensor) -> None:
    assert torch.equal(RandAugment(0, 9)(photo, 5), photo)


def test_erasing_sets_one_rectangle_of_the_asked_share_of_images_to_the_mean() -> None:
    images = torch.ones(2000, 3, 40, 50)
    erased = erase(images, 0.25, draws(2000))
    is_zero = erased[:, 0] == 0
    assert torch.equal(erased == 0, is_zero[:, None].expand(-1, 3, -1, -1))
    area = is_zero.flatten(1).double().mean(1)
    assert (area > 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    some = area[area > 0]
    assert some.max() < 0.36
    assert some.min() > 0.012
    assert some.mean().item() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.015)
    for mask in is_zero[area > 0][:20]:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()  # a rectangle


def test_a_draw_for_one_purpose_says_nothing_about_another() -> None:
    index = torch.arange(20_000)
    values = [draw_integers(2, 0, purpose, 0, index).double() for purpose in (AREA, ASPECT, CROP_X, CROP_Y, FLIP)]
    correlation = torch.corrcoef(torch.stack(values)) - torch.eye(5).double()
    assert correlation.abs().max() < 0.03


def test_grey_pictures_are_cropped_too() -> None:
    view = ResizedCropFlip(min_area=0.5, max_aspect=1.2, flip=True)
    grey = torch.arange(30 * 30, dtype=torch.int64).remainder(256).to(torch.uint8).view(1, 30, 30)
    assert view(grey, 16, bits_for(view, 1)[0]).shape == (1, 16, 16)
