"""Heat maps over pictures, and thumbnails."""

import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.analysis import enlarged, overlay_heat, picture_of, thumbnail_uri
from reslab.analysis.overlay import colored
from reslab.errors import UsageError


def test_colours_are_viridis_and_lightness_only_rises() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    values = np.linspace(0, 1, 256)
    expected = matplotlib.colormaps["viridis"](np.arange(256))[:, :3] * 255
    assert np.abs(colored(values) - expected).max() < 3
    lightness = colored(values) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.8).all()  # rounding
    assert np.array_equal(colored(np.array([-1.0, 2.0])), colored(np.array([0.0, 1.0])))


def test_an_overlay_mixes_the_grey_picture_and_the_map() -> None:
    picture = Image.new("RGB", (12, 8), (200, 0, 0))
    heat = torch.zeros(8, 12)
    heat[2, 3] = 1
    found = np.asarray(overlay_heat(picture, heat, alpha=0.25)).astype(float)
    grey = 0.299 * 200
    for place, value in (((2, 3), 1.0), ((0, 0), 0.0)):
        expected = 0.75 * grey + 0.25 * colored(np.array(value)).astype(float)
        assert np.abs(found[place] - expected).max() <= 1
    assert overlay_heat(picture, heat, 0.0).getpixel((3, 2)) == (60, 60, 60)


def test_a_map_of_another_size_is_stretched_over_the_picture() -> None:
    heat = torch.tensor([[0.0, 1.0]])
    found = np.asarray(overlay_heat(Image.new("RGB", (40, 20)), heat, alpha=1.0))
    assert found.shape == (20, 40, 3)
    assert np.array_equal(found[10, 0], colored(np.array(0.0)))
    assert np.array_equal(found[10, 39], colored(np.array(1.0)))
    with pytest.raises(UsageError, match="alpha is 2; allowed"):
        overlay_heat(Image.new("RGB", (4, 4)), heat, alpha=2)


def test_a_thumbnail_is_small_and_a_small_picture_keeps_its_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 15, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels).resize((600, 400), Image.Resampling.BICUBIC)
    uri = thumbnail_uri(photo)
    assert len(uri) < 6000
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    found = Image.open(BytesIO(base64.b64decode(data)))
    assert found.size == (96, 64)
    assert np.abs(np.asarray(found.resize((15, 10))).astype(float) - pixels).mean() < 40
    small = Image.open(BytesIO(base64.b64decode(thumbnail_uri(Image.new("L", (32, 20))).partition(",")[2])))
    assert small.size == (32, 20)


def test_a_picture_of_other_than_one_or_three_channels_is_their_mean_in_grey() -> None:
    grey = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    assert picture_of(grey).getpixel((1, 2)) == (9, 9, 9)
    assert picture_of(torch.stack([grey[0], grey[0] + 1, grey[0] + 2])).getpixel((0, 0)) == (0, 1, 2)
    several = torch.stack([grey[0], grey[0] + 2, grey[0] + 4, grey[0] + 6, grey[0] + 8])
    assert picture_of(several).getpixel((1, 2)) == (13, 13, 13)


def test_a_small_picture_is_enlarged_by_whole_pixels_and_a_large_one_is_not() -> None:
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    found = np.asarray(enlarged(picture, 20))
    assert np.array_equal(found, np.kron(np.asarray(picture), np.ones((3, 3), np.uint8)))
    assert enlarged(picture, 11) is picture
