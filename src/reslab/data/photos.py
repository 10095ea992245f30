"""Photos of any size: the view that evaluation takes of each."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from reslab.errors import Failure
from reslab.spec import PreprocessSpec

from .dataset import FileDataset
from .decode import decode, resize_short_side
from .hashing import SAMPLE, permutation
from .preprocess import PixelSums

_AHEAD = 2  # batches decoded before they are asked for


def centre_view(path: Path, spec: PreprocessSpec) -> Tensor:
    """Return uint8 [channels, height, width]: shorter side resized, centre cropped; as it is without a `short_side`."""
    pixels = decode(path, spec.channels)
    if spec.short_side is None:
        height, width = pixels.shape[1:]
        if (height, width) != (spec.height, spec.width):
            raise Failure(f"{path}: is {width}x{height} pixels; this model takes {spec.width}x{spec.height} only.")
        return pixels
    pixels = resize_short_side(pixels, spec.short_side)
    top, left = (pixels.shape[1] - spec.height) // 2, (pixels.shape[2] - spec.width) // 2
    return pixels[:, top : top + spec.height, left : left + spec.width]


def full_chunks(indices: Tensor, batch_size: int) -> list[Tensor]:
    """Return the indices in batches; none for no indices, where `split` gives one empty batch."""
    return [chunk for chunk in indices.split(batch_size) if len(chunk)]


def centre_views(
    dataset: FileDataset, indices: Tensor, spec: PreprocessSpec, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (indices, uint8 [n, channels, height, width]) batch by batch, decoded by threads some batches ahead."""
    chunks = full_chunks(indices, batch_size)
    with ThreadPoolExecutor() as pool:
        pending = [_submit(pool, dataset, chunk, spec) for chunk in chunks[:_AHEAD]]
        for number, chunk in enumerate(chunks):
            futures = pending.pop(0)
            if number + _AHEAD < len(chunks):
                pending.append(_submit(pool, dataset, chunks[number + _AHEAD], spec))
            yield chunk, torch.stack([future.result() for future in futures])


def _submit(pool: ThreadPoolExecutor, dataset: FileDataset, chunk: Tensor, spec: PreprocessSpec) -> list:
    return [pool.submit(centre_view, dataset.paths[index], spec) for index in chunk.tolist()]


def measure_photo_preprocess(
    dataset: FileDataset, *, mean: str, scale: str, size: int, short_side: int, seed: int, max_images: int = 10_000
) -> PreprocessSpec:
    """Return the spec whose mean and deviation are those of the centre views of at most `max_images` images."""
    channels = dataset.num_channels
    flat = (0.0,) * channels, (1.0,) * channels
    view = PreprocessSpec(channels=channels, height=size, width=size, short_side=short_side, mean=flat[0], std=flat[1])
    chosen = permutation(seed, SAMPLE, 0, len(dataset))[:max_images]
    sums = PixelSums(channels, size, size)
    for _, images in centre_views(dataset, chosen, view, 64):
        sums.add(images)
    return sums.to_spec(mean=mean, scale=scale, short_side=short_side)
