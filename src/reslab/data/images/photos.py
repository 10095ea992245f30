"""Evaluation views of photos, in batches."""

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
    """Divide indices into batches, and return no batch for no indices (`Tensor.split` returns an empty one).

    Args:
        indices: int64 [n].
        batch_size: Largest length of a batch.

    Returns:
        The batches.
    """
    return [chunk for chunk in indices.split(batch_size) if len(chunk)]


def centre_views(
    dataset: FileDataset, indices: Tensor, spec: PreprocessSpec, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Decode the evaluation views of photos, by threads some batches ahead.

    Args:
        dataset: The photos.
        indices: Which photos, int64 [n].
        spec: How a picture becomes a view.
        batch_size: Photos in a batch.

    Yields:
        (indices, views): int64 [m] and uint8 [m, channels, height, width].

    Raises:
        RunError: A file cannot be read.
    """
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
    """Measure the mean and the deviation of photos.

    A letterbox's border is filled with the mean, so its mean is measured on squashed pictures, which have none.

    Args:
        dataset: The photos.
        mean: "pixel" or "channel", see `reslab.data.preprocess.PixelSums.to_spec`.
        scale: "std" or "none", see `reslab.data.preprocess.PixelSums.to_spec`.
        size: Side of the view in pixels.
        short_side: Length in pixels to which the shorter side is resized before the centre crop.
        seed: Seed of the choice of photos.
        resize_mode: How a picture of another size becomes a view.
        max_images: Photos to measure at most.

    Returns:
        The spec.
    """
    channels = dataset.num_channels

    view = PreprocessSpec(
        channels=channels,
        height=size,
        width=size,
        short_side=short_side,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        resize_mode="squash" if resize_mode == "letterbox" else resize_mode,
    )
    sample = permutation(seed, SAMPLE, 0, len(dataset))[:max_images]
    sums = PixelSums(channels, size, size)
    for _, images in centre_views(dataset, sample, view, 64):
        sums.add(images)
    return replace(sums.to_spec(mean=mean, scale=scale, short_side=short_side), resize_mode=resize_mode)
