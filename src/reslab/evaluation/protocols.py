"""How a network sees each picture in evaluation: the views of a protocol, whose softmax outputs are averaged."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor

from reslab.data.dataset import ArrayDataset, Dataset, FileDataset
from reslab.data.images.decode import MAX_PIXELS, decode, resize_short_side, short_side_size
from reslab.data.images.photos import full_chunks
from reslab.data.views import check_size, describe_view, single_views
from reslab.errors import RunError, UsageError, check_choice
from reslab.spec import PreprocessSpec
from reslab.system.threads import map_ahead

ProtocolName = Literal["center", "flip", "ten-crop", "multi-scale"]
PAPER_SIDES = (224, 256, 384, 480, 640)  # Sec. 3.4

_WHOLE_PICTURES = 16  # pictures in a chunk of multi-scale, each of which is kept at every size

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which views of each picture are averaged.

    "center" is the usual view: one centre crop; for images in memory, the image itself.
    "flip" adds its mirror image.
    "ten-crop" takes the four corners and the centre of the picture resized to the model's short side, and their mirror
    images (the "standard 10-crop testing" of the paper's Sec. 3.4).
    "multi-scale" takes the whole picture, resized to each short side, through the fully convolutional network, whose
    last map is averaged over all its positions (Sec. 3.4). The views are not mirrored: the paper does not say that its
    views were.

    Args:
        name: "center", "flip", "ten-crop" or "multi-scale".
        sides: Short sides of "multi-scale", in pixels; None for the paper's 224, 256, 384, 480 and 640.

    Raises:
        UsageError: The protocol is unknown, or the sides do not fit it.
    """

    name: ProtocolName = "center"
    sides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_choice("protocol", self.name, get_args(ProtocolName))
        if self.sides is None:
            return
        if self.name != "multi-scale":
            raise UsageError(f"sides is {self.sides}, but only protocol 'multi-scale' has sides, not {self.name!r}.")
        if not self.sides or min(self.sides) < 1 or len(set(self.sides)) < len(self.sides):
            raise UsageError(f"sides is {self.sides}; give one or more different sizes of at least 1 pixel.")

    @property
    def num_views(self) -> int:
        """Views of each picture."""
        counts = {"center": 1, "flip": 2, "ten-crop": 10, "multi-scale": len(self.sides or PAPER_SIDES)}
        return counts[self.name]

    def describe(self, dataset: Dataset, spec: PreprocessSpec) -> str:
        """Describe how the network sees each picture.

        Args:
            dataset: The pictures.
            spec: How the network takes its images.

        Returns:
            Words for a report or a record.
        """
        crop = f"{spec.height}x{spec.width} of short side {spec.short_side}"
        match self.name:
            case "center":
                return describe_view(dataset, spec)
            case "flip":
                return f"{describe_view(dataset, spec)}, and its mirror image (softmax averaged over 2 views)"
            case "ten-crop":
                return f"10 crops {crop}: corners, centre, mirror images (softmax averaged), fp32"
            case "multi-scale":
                sides = ", ".join(map(str, self.sides or PAPER_SIDES))
                mean = "; the mean image as its channel means" if spec.mean_image else ""
                return f"whole picture, fully convolutional, short sides {sides} (softmax averaged{mean}), fp32"


@dataclass(frozen=True, slots=True)
class Views:
    """Some views of one size.

    Attributes:
        indices: The sample that each view is of, int64 [m].
        images: The views, uint8 [m, channels, height, width].
    """

    indices: Tensor
    images: Tensor


def check_protocol(protocol: Protocol, dataset: Dataset, spec: PreprocessSpec) -> None:
    """Check that a data set has the views of a protocol.

    Args:
        protocol: Which views.
        dataset: The pictures.
        spec: How the network takes its images.

    Raises:
        UsageError: The data set has no such views.
        RunError: Images in memory do not have the model's size.
    """
    has_one_size = isinstance(dataset, ArrayDataset) or spec.short_side is None
    if protocol.name == "ten-crop" and has_one_size:
        raise UsageError(
            f"protocol 'ten-crop' crops pictures that are larger than the model's input, but this model sees whole "
            f"pictures of {dataset.name}, at {spec.width}x{spec.height}; allowed: center, flip, and multi-scale with "
            "sides of your own."
        )
    if protocol.name == "multi-scale" and has_one_size and protocol.sides is None:
        raise UsageError(
            f"protocol 'multi-scale' resizes to {PAPER_SIDES} by default, the paper's sides for photos. This model "
            f"sees {dataset.name} at {spec.width}x{spec.height}: name sides near that."
        )
    if isinstance(dataset, ArrayDataset) and protocol.name != "multi-scale":
        check_size(dataset, spec)


def protocol_views(
    protocol: Protocol, dataset: Dataset, spec: PreprocessSpec, batch_size: int, samples: Tensor | None = None
) -> Iterator[Views]:
    """Yield every view of every sample once, in batches of about the same number of pixels.

    A batch has at most the pixels of `batch_size` inputs of the model; a view with more pixels comes alone.

    Args:
        protocol: Which views.
        dataset: Whose samples.
        spec: How the network takes its images.
        batch_size: At least 1.
        samples: Positions of the samples, int64 [n]; None for all of them, in order.

    Raises:
        UsageError: The data has no such views.
        RunError: A file cannot be read, or images in memory do not have the model's size.
    """
    check_protocol(protocol, dataset, spec)
    samples = torch.arange(len(dataset)) if samples is None else samples
    match protocol.name:
        case "center":
            yield from starmap(Views, single_views(dataset, spec, samples, batch_size))
        case "flip":
            for indices, images in single_views(dataset, spec, samples, max(batch_size // 2, 1)):
                yield Views(indices.repeat(2), torch.cat([images, images.flip(-1)]))
        case "ten-crop":
            assert isinstance(dataset, FileDataset)
            yield from _ten_crops(dataset, spec, full_chunks(samples, max(batch_size // 10, 1)))
        case "multi-scale":
            budget = batch_size * spec.height * spec.width
            chunks = full_chunks(samples, _WHOLE_PICTURES)
            yield from _multi_scale(dataset, spec, protocol.sides or PAPER_SIDES, chunks, budget)


def ten_crops(pixels: Tensor, height: int, width: int) -> Tensor:
    """Take the ten crops of a picture.

    Args:
        pixels: The picture [channels, h, w].
        height: Height of a crop, at most h.
        width: Width of a crop, at most w.

    Returns:
        [10, channels, height, width]: four corners and the centre (rounded down), then their mirror images.
    """
    bottom, right = pixels.shape[1] - height, pixels.shape[2] - width
    places = ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2))
    crops = torch.stack([pixels[:, top : top + height, left : left + width] for top, left in places])
    return torch.cat([crops, crops.flip(-1)])


def _ten_crops(dataset: FileDataset, spec: PreprocessSpec, chunks: list[Tensor]) -> Iterator[Views]:
    assert spec.short_side is not None
    side = spec.short_side

    def read(path: Path) -> Tensor:
        return ten_crops(_resized(decode(path, spec.channels), side, path), spec.height, spec.width)

    for indices, crops in _read_ahead(dataset, chunks, read):
        yield Views(indices.repeat_interleave(10), torch.cat(crops))


def _multi_scale(
    dataset: Dataset, spec: PreprocessSpec, sides: tuple[int, ...], chunks: list[Tensor], budget: int
) -> Iterator[Views]:
    """Yield the views of all sides; together, their pixels (height times width) are at most `budget`."""

    def read(path: Path) -> list[Tensor]:
        pixels = decode(path, spec.channels)
        return [_resized(pixels, side, path) for side in sides]

    def resize(image: Tensor) -> list[Tensor]:
        return [resize_short_side(image, side) for side in sides]

    if isinstance(dataset, ArrayDataset):
        pictures = ((indices, list(map(resize, dataset.images[indices]))) for indices in chunks)
    else:
        pictures = _read_ahead(dataset, chunks, read)
    for indices, at_sides in pictures:
        yield from _grouped(indices, at_sides, budget)


def _resized(pixels: Tensor, side: int, path: Path) -> Tensor:
    height, width = pixels.shape[1:]
    if math.prod(short_side_size(height, width, side)) > MAX_PIXELS:
        raise RunError(
            f"{path}: has {width}x{height} pixels: with its shorter side resized to {side}, it would be too large. "
            "Remove it from the data."
        )
    return resize_short_side(pixels, side)


def _grouped(indices: Tensor, pictures: list[list[Tensor]], budget: int) -> Iterator[Views]:
    """Batch views of equal shape."""
    groups: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
    for index, at_sides in zip(indices.tolist(), pictures, strict=True):
        for image in at_sides:
            groups.setdefault(tuple(image.shape), []).append((index, image))
    for (_, height, width), members in groups.items():
        count = max(budget // (height * width), 1)
        for start in range(0, len(members), count):
            part = members[start : start + count]
            yield Views(torch.tensor([index for index, _ in part]), torch.stack([image for _, image in part]))


def _read_ahead(
    dataset: FileDataset, chunks: list[Tensor], read: Callable[[Path], T]
) -> Iterator[tuple[Tensor, list[T]]]:
    """Yield (indices, results of `read` for their files) chunk by chunk; threads read some chunks ahead."""
    paths = ([dataset.paths[index] for index in chunk.tolist()] for chunk in chunks)
    yield from zip(chunks, map_ahead(read, paths), strict=True)
