"""Near-duplicates: the cosines against scipy's, and planted copies among real photos."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.planted_labels import COPIES
from PIL import Image
from scipy.fft import dctn

from reslab.analysis import find_near_duplicates, small_copies
from reslab.analysis.near_duplicates import _Frequencies
from reslab.data.dataset import ArrayDataset, FileDataset
from reslab.data.sources import open_splits
from reslab.errors import UsageError


def noise(count: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Smooth random pictures, uint8 [n, channels, 32, 32]."""
    coarse = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear").to(torch.uint8)


def test_the_frequencies_are_scipys_dct_of_the_planes() -> None:
    small = noise(2)
    red, green, blue = small.double().numpy().transpose(1, 0, 2, 3)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    spectra: list[Any] = [
        dctn(plane, axes=(1, 2), norm="ortho") for plane in (luma, (blue - luma) / 1.772, (red - luma) / 1.402)
    ]
    spectra[0][:, 0] *= np.sqrt(2)  # the first row and column have another scale there
    spectra[0][:, :, 0] *= np.sqrt(2)
    found = _Frequencies(3)(small)[:, 0]
    assert found.shape == (2, 63 + 2 * 15)
    np.testing.assert_allclose(found[:, :63], spectra[0][:, :8, :8].reshape(2, -1)[:, 1:], rtol=1e-3, atol=0.05)
    # blue and red differences, without their means
    assert found[0, 63 + 4].item() == pytest.approx(spectra[1][0, 1, 1], abs=0.05)
    assert found[0, 78 + 4].item() == pytest.approx(spectra[2][0, 1, 1], abs=0.05)


def test_a_mirrored_picture_changes_the_sign_of_odd_frequencies_only() -> None:
    for channels in (1, 3):
        small = noise(3, channels)
        frequencies = _Frequencies(channels)
        sign = 1 - 2 * frequencies.is_odd.float()
        torch.testing.assert_close(frequencies(small.flip(-1)), frequencies(small) * sign, rtol=1e-3, atol=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_copies_and_mirrored_copies_come_first_with_their_originals(channels: int) -> None:
    references, images = noise(300, channels), noise(200, channels, seed=1)
    images[17], images[190] = references[250], references[3].flip(-1)
    images[60] = references[99] // 2 + 20  # less contrast
    seen: list[int] = []
    found = find_near_duplicates(images, references, seen.append)
    assert sorted(found.indices[:3].tolist()) == [17, 60, 190]
    assert dict(zip(found.indices[:3].tolist(), found.matches[:3].tolist(), strict=True)) == {17: 250, 190: 3, 60: 99}
    mirrored = dict(zip(found.indices.tolist(), found.are_mirrored.tolist(), strict=True))
    assert (mirrored[17], mirrored[190], mirrored[60]) == (False, True, False)
    assert found.similarities[2] > 0.99 > 0.9 > found.similarities[3]
    assert sorted(found.indices.tolist()) == list(range(200))
    assert seen == [128, 200]


def test_blank_images_are_like_none_and_a_single_reference_serves() -> None:
    references = noise(20)
    images = torch.full((2, 3, 32, 32), 128, dtype=torch.uint8)
    assert find_near_duplicates(images, references).similarities.abs().max() < 0.01
    assert find_near_duplicates(images, images).similarities.abs().max() < 0.01
    assert find_near_duplicates(images, references[:1]).matches.tolist() == [0, 0]


def test_splits_that_do_not_compare_are_refused() -> None:
    with pytest.raises(UsageError, match="must be in colour or both in grey"):
        find_near_duplicates(noise(2), noise(2, 1))
    with pytest.raises(UsageError, match="neither may be empty"):
        find_near_duplicates(noise(2), noise(0))


def test_small_copies_of_files_and_of_arrays_are_the_same(tmp_path: Path) -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 40, 40), dtype=np.uint8))
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(paths[-1])
    labels = torch.arange(5) % 2
    in_memory = small_copies(ArrayDataset("noise", images, labels, ("a", "b")))
    assert in_memory.shape == (5, 3, 32, 32)
    assert torch.equal(small_copies(FileDataset("noise", tuple(paths), labels, ("a", "b"))), in_memory)


def test_planted_copies_of_training_photos_are_found_in_imagenettes_val(imagenette: Path, tmp_path: Path) -> None:
    splits = open_splits("folder", str(imagenette))
    generator = torch.Generator().manual_seed(0)
    train, val = (
        part.subset(torch.randperm(len(part), generator=generator)[:count])
        for part, count in ((splits.part("train"), 1500), (splits.part("validation"), 1200))
    )
    assert isinstance(train, FileDataset)
    assert isinstance(val, FileDataset)
    paths, originals = list(val.paths), {}
    for number in range(24):  # 2 %
        with Image.open(train.paths[number * 50]) as photo:
            COPIES[number % len(COPIES)](photo.convert("RGB")).save(tmp_path / f"{number}.jpg", quality=60)
        originals[len(paths)] = number * 50
        paths.append(tmp_path / f"{number}.jpg")
    planted = FileDataset("planted", tuple(paths), torch.zeros(len(paths), dtype=torch.int64), val.class_names)
    found = find_near_duplicates(small_copies(planted), small_copies(train))
    first = len(paths) * 3 // 100
    pairs = zip(found.indices[:first].tolist(), found.matches[:first].tolist(), strict=True)
    assert sum(originals.get(index) == match for index, match in pairs) >= 0.8 * len(originals)
