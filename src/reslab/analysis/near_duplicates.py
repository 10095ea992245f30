"""Near-duplicate images across splits: re-encoded, resized, slightly cropped, brightened or mirrored copies.

A picture is described by the low frequencies of a small copy. A mirrored picture has the same cosine coefficients,
with the opposite sign at odd horizontal frequencies, so both orientations are compared at the cost of one. For a crop,
the cosines are stretched over the crop's window.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.data.dataset import ArrayDataset, Dataset
from reslab.data.images.decode import decode
from reslab.errors import UsageError
from reslab.system.threads import map_ahead

_SIDE = 32  # of the small copy, whatever the picture's aspect
_LUMA, _CHROMA = 8, 4  # frequencies kept in each direction
_CUTS = (0.05, 0.1)  # fractions of a side that a crop may lack
_FAINT = 0.1  # a smaller length is rounding, not content; ordinary pictures have about 10
_CANDIDATES = 5  # references of each image that are also compared as crops
_READ_AT_ONCE, _COMPARED_AT_ONCE = 256, 128
# YCbCr without offsets: one plane of light, two of colour
_PLANES = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """The most similar reference of every image, the most similar pair first.

    Attributes:
        indices: Positions of the images, int64 [n].
        matches: Positions of their references, int64 [n].
        similarities: float32 [n], at most 1.
        are_mirrored: Whether one of the pair is mirrored, bool [n].
    """

    indices: Tensor
    matches: Tensor
    similarities: Tensor
    are_mirrored: Tensor


# --- small copies -----------------------------------------------------------------------------------------------------


def small_copies(dataset: Dataset, on_progress: Callable[[int], None] | None = None) -> Tensor:
    """Resize every image of a data set to 32x32.

    Args:
        dataset: The images.
        on_progress: Called with the number of images done.

    Returns:
        uint8 [n, channels, 32, 32]: 3 kB for each colour image.

    Raises:
        RunError: A file cannot be read.
    """
    copies: list[Tensor] = []
    done = 0
    for small in _read(dataset):
        copies.append(small)
        done += len(small)
        if on_progress:
            on_progress(done)
    return torch.cat(copies)


def _small(images: Tensor) -> Tensor:
    return F.interpolate(images, size=(_SIDE, _SIDE), mode="bilinear", antialias=True)


def _read(dataset: Dataset) -> Iterator[Tensor]:
    if isinstance(dataset, ArrayDataset):
        yield from map(_small, dataset.images.split(_READ_AT_ONCE))
        return

    def read(path: Path) -> Tensor:
        return _small(decode(path, dataset.num_channels)[None])

    chunks = (dataset.paths[start : start + _READ_AT_ONCE] for start in range(0, len(dataset), _READ_AT_ONCE))
    yield from map(torch.cat, map_ahead(read, chunks, ahead=1))


# --- low frequencies --------------------------------------------------------------------------------------------------


def _waves(cut_before: float, cut_after: float) -> Tensor:
    """Return the DCT's first cosines over a side that is cut at both ends, float32 [frequencies, 32]."""
    # with nothing cut it is the orthonormal DCT-II, up to the first row's scale
    start, length = cut_before * _SIDE, (1 - cut_before - cut_after) * _SIDE
    pixel = torch.arange(_SIDE)
    inside = (torch.minimum(pixel + 1, torch.tensor(start + length)) - pixel.clamp(min=start)).clamp(0, 1)
    phase = math.pi * (pixel + 0.5 - start) / length
    waves = inside * torch.cos(torch.arange(_LUMA)[:, None] * phase) * math.sqrt(2 / _SIDE)
    # a pixel cut in two leaves a wave with a mean, and brightness would count as content
    waves[1:] -= inside * waves[1:].sum(1, keepdim=True) / inside.sum()
    return waves


_WHOLE = ((0.0, 0.0),)
_WINDOWS = (*_WHOLE, *(window for cut in _CUTS for window in ((cut, 0.0), (0.0, cut), (cut / 2, cut / 2))))


class _Frequencies:
    """The frequencies kept of each plane; `is_odd` marks those whose sign a mirror image changes, bool [d]."""

    def __init__(self, channels: int) -> None:
        self._is_color = channels == 3
        kept = torch.zeros(3 if self._is_color else 1, _LUMA, _LUMA, dtype=torch.bool)
        kept[0] = True
        kept[1:, :_CHROMA, :_CHROMA] = True
        kept[:, 0, 0] = False  # the mean is brightness and tint, which all blue skies share
        self._kept = kept
        self.is_odd = (torch.arange(_LUMA) % 2 == 1).expand_as(kept)[kept]

    def __call__(self, small: Tensor, windows: tuple[tuple[float, float], ...] = _WHOLE) -> Tensor:
        """Map uint8 [n, channels, 32, 32] to float32 [n, windows^2, d], for all pairs of row and column windows."""
        waves = torch.cat([_waves(*window) for window in windows])
        planes = small.float()
        planes = torch.einsum("pc,nchw->nphw", torch.tensor(_PLANES), planes) if self._is_color else planes[:, :1]
        count, num_planes = planes.shape[:2]
        spectrum = waves @ planes @ waves.T
        spectrum = spectrum.view(count, num_planes, len(windows), _LUMA, len(windows), _LUMA)
        return spectrum.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)[:, :, self._kept]


# --- comparison -------------------------------------------------------------------------------------------------------


def find_near_duplicates(
    images: Tensor, references: Tensor, on_progress: Callable[[int], None] | None = None
) -> NearDuplicates:
    """Find each image's most similar reference, mirrored or not.

    8x8 frequencies of light and 4x4 of colour, without the means, are divided by their deviation over the references,
    so that fine detail counts as much as the large areas that many photos share. Their cosine is near 1 for copies and
    near 0 for unrelated pictures. An image's five nearest references are also compared as crops, with up to 10 % of
    each side cut away. A blank image is similar to none. Memory grows with (n + m) x 4 kB, time with n m: 10,000 images
    and 90,000 references take less than a minute.

    Args:
        images: `small_copies` of a split, uint8 [n, channels, 32, 32].
        references: `small_copies` of another split, uint8 [m, channels, 32, 32].
        on_progress: Called with the number of images compared.

    Returns:
        One pair for each image, the most similar first.

    Raises:
        UsageError: A split is empty, or one is in colour and the other in grey.
    """
    if min(len(images), len(references)) == 0 or images.shape[1] != references.shape[1]:
        raise UsageError(
            f"images has shape {list(images.shape)} and references {list(references.shape)}; neither may be empty, and "
            "both must be in colour or both in grey."
        )
    index = _Index(references)
    rows = []
    done = 0
    for part in images.split(_COMPARED_AT_ONCE):
        rows.append(index.nearest(part))
        done += len(part)
        if on_progress:
            on_progress(done)
    similarities, matches, are_mirrored = (torch.cat(column) for column in zip(*rows, strict=True))
    order = torch.argsort(similarities, descending=True, stable=True)
    return NearDuplicates(order, matches[order], similarities[order], are_mirrored[order])


class _Index:
    """The references' frequencies, for comparison."""

    def __init__(self, references: Tensor) -> None:
        self._references = references
        self._frequencies = _Frequencies(references.shape[1])
        whole = torch.cat([self._frequencies(part)[:, 0] for part in references.split(_READ_AT_ONCE)])
        self._scale = 1 / whole.std(0, correction=0).clamp(min=1.0)  # a level of grey
        self._whole = F.normalize(whole * self._scale, dim=1, eps=_FAINT)

    def nearest(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (similarity, position of the reference, whether mirrored), each [n]."""
        windows = self._at_windows(images)
        similarity, _ = self._compare("nd,md->nm", windows[:, 0], self._whole)
        candidates = similarity.topk(min(_CANDIDATES, len(self._whole)), dim=1).indices
        reference_windows = self._at_windows(self._references[candidates.flatten()]).unflatten(0, candidates.shape)
        # the image may be a crop of its reference, or the reference a crop of the image
        comparisons = (
            self._compare("nd,nkwd->nkw", windows[:, 0], reference_windows),
            self._compare("nwd,nkd->nkw", windows, reference_windows[:, :, 0]),
        )
        values, is_mirrored = (torch.cat(pair, dim=2) for pair in zip(*comparisons, strict=True))
        best, position = values.flatten(1).max(1)
        match = candidates.gather(1, (position // values.shape[2])[:, None])[:, 0]
        return best, match, is_mirrored.flatten(1).gather(1, position[:, None])[:, 0]

    def _at_windows(self, images: Tensor) -> Tensor:
        """Return float32 [n, windows^2, d] of length 1, or 0 for a blank image; the first window is the whole image."""
        return F.normalize(self._frequencies(images, _WINDOWS) * self._scale, dim=2, eps=_FAINT)

    def _compare(self, pattern: str, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the better of even + odd and even - odd, and whether it is the latter: the mirror image."""
        is_odd = self._frequencies.is_odd
        even, odd = (torch.einsum(pattern, left[..., kept], right[..., kept]) for kept in (~is_odd, is_odd))
        return even + odd.abs(), odd < 0
