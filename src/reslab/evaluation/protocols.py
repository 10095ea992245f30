"""How each picture is shown to a network: the views of a protocol, of which the softmax outputs are averaged."""

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

    name:
        "center": the view that evaluation takes: one centre crop; for images in memory, the image itself.
        "flip": that view and its mirror image.
        "ten-crop": the four corners and the centre of the picture resized to the model's short side, and their mirror
            images (the "standard 10-crop testing" of Sec. 3.4, after its ref. 21).
        "multi-scale": the whole picture, resized to each short side, through the fully convolutional network: the
            last map is averaged over all its positions, whatever its size (Sec. 3.4). One view for each side, none
            mirrored: the paper does not say that its were.
    sides: the short sides of "multi-scale" in pixels; None: the paper's 224, 256, 384, 480, 640.

    Raises UsageError for an unknown protocol, and for sides that do not fit it.
    """

    name: ProtocolName = "center"
    sides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_choice("protocol", self.name, get_args(ProtocolName))
        if self.sides is None:
            return
        if self.name != "multi-scale":
            raise UsageError(f"sides is {self.sides}, but the protocol is {self.name!r}; only 'multi-scale' has sides.")
        if not self.sides or min(self.sides) < 1 or len(set(self.sides)) < len(self.sides):
            raise UsageError(f"sides is {self.sides}; give one or more different sizes of at least 1 pixel.")

    @property
    def num_views(self) -> int:
        """Views of each picture."""
        counts = {"center": 1, "flip": 2, "ten-crop": 10, "multi-scale": len(self.sides or PAPER_SIDES)}
        return counts[self.name]

    def describe(self, dataset: Dataset, spec: PreprocessSpec) -> str:
        """Say in words how each picture of `dataset` is shown to the network."""
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
    """Some views of one size. indices: int64 [m], whose they are; images: uint8 [m, channels, height, width]."""

    indices: Tensor
    images: Tensor


def check_protocol(protocol: Protocol, dataset: Dataset, spec: PreprocessSpec) -> None:
    """Raise UsageError where a data set has no such views, RunError where its images do not have the model's size."""
    has_one_size = isinstance(dataset, ArrayDataset) or spec.short_side is None
    if protocol.name == "ten-crop" and has_one_size:
        raise UsageError(
            f"protocol 'ten-crop' crops larger pictures, but {dataset.name} is shown to this model whole, at "
            f"{spec.width}x{spec.height}; allowed here: center, flip, and multi-scale with sides of your own."
        )
    if protocol.name == "multi-scale" and has_one_size and protocol.sides is None:
        raise UsageError(
            f"protocol 'multi-scale' has the paper's sides {PAPER_SIDES}, made for photos; for {dataset.name}, "
            f"of which this model takes {spec.width}x{spec.height} pixels, give the sides yourself."
        )
    if isinstance(dataset, ArrayDataset) and protocol.name != "multi-scale":
        check_size(dataset, spec)


def protocol_views(
    protocol: Protocol, dataset: Dataset, spec: PreprocessSpec, batch_size: int, samples: Tensor | None = None
) -> Iterator[Views]:
    """Yield every view of every sample once, never more pixels together than `batch_size` inputs of the model have.

    A view that is larger than that by itself comes alone.

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
    """[channels, h, w] -> [10, channels, height, width]: four corners, centre (rounded down), then their mirrors."""
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
    """budget: pixels (height times width) that go through the network together."""

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
            f"{path}: is {width}x{height} pixels, so long that its shorter side cannot be resized to {side}; take it "
            "out of the data."
        )
    return resize_short_side(pixels, side)


def _grouped(indices: Tensor, pictures: list[list[Tensor]], budget: int) -> Iterator[Views]:
    """Put views of equal shape together; pictures of odd aspect go alone."""
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
    """Yield (indices, what `read` makes of their files) chunk by chunk, decoded by threads some chunks ahead."""
    paths = ([dataset.paths[index] for index in chunk.tolist()] for chunk in chunks)
    yield from zip(chunks, map_ahead(read, paths), strict=True)
