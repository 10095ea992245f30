"""Near-duplicate images across splits: re-encoded, resized, slightly cropped, brightened or mirrored copies.

A picture is described by the low frequencies of a small copy of it. A mirrored picture has the same cosine
coefficients, of which those of odd horizontal frequency have changed their sign, so both orientations are compared at
the cost of one. Of a crop, the whole picture's coefficients are those of cosines stretched over the crop's window.
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
_CUTS = (0.05, 0.1)  # how much of a side a crop may have taken away
_FAINT = 0.1  # a length below this, where ordinary pictures have about 10, is rounding and not content
_CANDIDATES = 5  # references of each image that are compared as crops too
_READ_AT_ONCE, _COMPARED_AT_ONCE = 256, 128
# YCbCr without offsets: one plane of light, two of colour
_PLANES = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """For every image of one split its most similar image of another, the most similar pair first.

    indices, matches: int64 [n], positions in the two splits; similarities: float32 [n], at most 1;
    are_mirrored: bool [n].
    """

    indices: Tensor
    matches: Tensor
    similarities: Tensor
    are_mirrored: Tensor


# --- small copies -----------------------------------------------------------------------------------------------------


def small_copies(dataset: Dataset, on_progress: Callable[[int], None] | None = None) -> Tensor:
    """Return every image at 32x32, uint8 [n, channels, 32, 32]: 3 kB for each colour image.

    on_progress: called with the number of images done. RunError names a file that cannot be read.
    """
    found: list[Tensor] = []
    done = 0
    for small in _read(dataset):
        found.append(small)
        done += len(small)
        if on_progress:
            on_progress(done)
    return torch.cat(found)


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
    """The DCT's first cosines over a side from which parts are cut at both ends: float32 [frequencies, 32].

    With nothing cut it is the orthonormal DCT-II, up to the first row's scale.
    """
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
    """Which frequencies of which planes are kept. is_odd: bool [d], those whose sign a mirror changes."""

    def __init__(self, channels: int) -> None:
        self._is_color = channels == 3
        kept = torch.zeros(3 if self._is_color else 1, _LUMA, _LUMA, dtype=torch.bool)
        kept[0] = True
        kept[1:, :_CHROMA, :_CHROMA] = True
        kept[:, 0, 0] = False  # the mean is brightness and tint, not content: all blue skies share it
        self._kept = kept
        self.is_odd = (torch.arange(_LUMA) % 2 == 1).expand_as(kept)[kept]

    def __call__(self, small: Tensor, windows: tuple[tuple[float, float], ...] = _WHOLE) -> Tensor:
        """uint8 [n, channels, 32, 32] -> float32 [n, windows^2, d], for every pair of a row and a column window."""
        waves = torch.cat([_waves(*window) for window in windows])
        planes = small.float()
        planes = torch.einsum("pc,nchw->nphw", torch.tensor(_PLANES), planes) if self._is_color else planes[:, :1]
        count, num_planes = planes.shape[:2]
        spectrum = waves @ planes @ waves.T
        spectrum = spectrum.view(count, num_planes, len(windows), _LUMA, len(windows), _LUMA)
        return spectrum.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)[:, :, self._kept]


# --- comparison -------------------------------------------------------------------------------------------------------


def near_duplicates(
    images: Tensor, references: Tensor, on_progress: Callable[[int], None] | None = None
) -> NearDuplicates:
    """Return each image's most similar reference, as it is or mirrored, the most similar pair first.

    images, references: `small_copies` of two splits, uint8 [n, channels, 32, 32] and [m, channels, 32, 32].
    on_progress: called with the number of images compared.

    8x8 frequencies of light and 4x4 of colour, without the means, are divided by their deviation over the references,
    so that fine detail counts as much as the large areas that many photos share, and compared by cosine: near 1 for
    copies, near 0 for unrelated pictures. An image's five nearest references are then compared as crops of each other
    too, with up to 10 % of each side cut away. A blank image is like none.
    Memory grows with (n + m) times 4 kB; time with n m: 10,000 images among 90,000 take less than a minute.

    Raises UsageError for an empty split, or one in colour and one in grey.
    """
    if min(len(images), len(references)) == 0 or images.shape[1] != references.shape[1]:
        raise UsageError(
            f"near-duplicates of {list(images.shape)} among {list(references.shape)} small copies: both need images, "
            "all in colour or all grey."
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
    """The references, ready to be compared with."""

    def __init__(self, references: Tensor) -> None:
        self._references = references
        self._frequencies = _Frequencies(references.shape[1])
        whole = torch.cat([self._frequencies(part)[:, 0] for part in references.split(_READ_AT_ONCE)])
        self._scale = 1 / whole.std(0, correction=0).clamp(min=1.0)  # a level of grey
        self._whole = F.normalize(whole * self._scale, dim=1, eps=_FAINT)

    def nearest(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (similarity, position of the reference, whether mirrored), each [n]."""
        ours = self._at_windows(images)
        similarity, _ = self._compare("nd,md->nm", ours[:, 0], self._whole)
        candidates = similarity.topk(min(_CANDIDATES, len(self._whole)), dim=1).indices
        theirs = self._at_windows(self._references[candidates.flatten()]).unflatten(0, candidates.shape)
        # an image may be a crop of its reference, or the reference a crop of it
        found = (
            self._compare("nd,nkwd->nkw", ours[:, 0], theirs),
            self._compare("nwd,nkd->nkw", ours, theirs[:, :, 0]),
        )
        values, is_mirrored = (torch.cat(pair, dim=2) for pair in zip(*found, strict=True))
        best, place = values.flatten(1).max(1)
        match = candidates.gather(1, (place // values.shape[2])[:, None])[:, 0]
        return best, match, is_mirrored.flatten(1).gather(1, place[:, None])[:, 0]

    def _at_windows(self, images: Tensor) -> Tensor:
        """float32 [n, windows^2, d], of length 1 (a blank one of 0); the whole picture is the first window."""
        return F.normalize(self._frequencies(images, _WINDOWS) * self._scale, dim=2, eps=_FAINT)

    def _compare(self, pattern: str, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the better of both orientations, even + odd and even - odd, and whether that is the mirrored one."""
        is_odd = self._frequencies.is_odd
        even, odd = (torch.einsum(pattern, left[..., kept], right[..., kept]) for kept in (~is_odd, is_odd))
        return even + odd.abs(), odd < 0
