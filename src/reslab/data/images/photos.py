"""Photos of any size: the views that evaluation takes, batch by batch."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from reslab.data.dataset import FileDataset
from reslab.data.draws import SAMPLE, permutation
from reslab.data.preprocess import PixelSums
from reslab.spec import PreprocessSpec, ResizeMode
from reslab.system.threads import map_ahead

from .picture import view_of


def full_chunks(indices: Tensor, batch_size: int) -> list[Tensor]:
    """Return the indices in batches; none for no indices, where `split` gives one empty batch."""
    return [chunk for chunk in indices.split(batch_size) if len(chunk)]


def centre_views(
    dataset: FileDataset, indices: Tensor, spec: PreprocessSpec, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (indices, uint8 [n, channels, height, width]) batch by batch, decoded by threads some batches ahead."""
    chunks = full_chunks(indices, batch_size)
    paths = ([dataset.paths[index] for index in chunk.tolist()] for chunk in chunks)
    views = map_ahead(lambda path: view_of(path, spec), paths)
    yield from ((chunk, torch.stack(pixels)) for chunk, pixels in zip(chunks, views, strict=True))


def measure_photo_preprocess(
    dataset: FileDataset,
    *,
    mean: str,
    scale: str,
    size: int,
    short_side: int | None,
    seed: int,
    resize_mode: ResizeMode = "crop",
    max_images: int = 10_000,
) -> PreprocessSpec:
    """Return the spec whose mean and deviation are those of the views of at most `max_images` images.

    The border of a letterbox is filled with the mean, so it is measured without one, on the squashed pictures.
    """
    channels = dataset.num_channels
    zero, one = (0.0,) * channels, (1.0,) * channels
    view = PreprocessSpec(
        channels=channels,
        height=size,
        width=size,
        short_side=short_side,
        mean=zero,
        std=one,
        resize_mode="squash" if resize_mode == "letterbox" else resize_mode,
    )
    chosen = permutation(seed, SAMPLE, 0, len(dataset))[:max_images]
    sums = PixelSums(channels, size, size)
    for _, images in centre_views(dataset, chosen, view, 64):
        sums.add(images)
    return replace(sums.to_spec(mean=mean, scale=scale, short_side=short_side), resize_mode=resize_mode)
