"""Photos of any size: decoding, and the view that evaluation takes of each."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from reslab.errors import Failure
from reslab.spec import PreprocessSpec

from .dataset import FileDataset
from .hashing import SAMPLE, permutation
from .preprocess import PixelSums

_MODES = {1: "L", 3: "RGB"}
_AHEAD = 2  # batches decoded before they are asked for


def decode(path: Path, num_channels: int) -> Image.Image:
    """Return the picture as grey (1 channel) or RGB (3), turned as its EXIF data says; Failure names a bad file."""
    if num_channels not in _MODES:
        raise Failure(f"{path}: photos are read with 1 or 3 channels, not {num_channels}.")
    try:
        with Image.open(path) as picture:
            return _eight_bits(ImageOps.exif_transpose(picture), path).convert(_MODES[num_channels])
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise Failure(f"{path}: cannot be read as an image ({error}); mend it or take it out of the data.") from None


def _eight_bits(picture: Image.Image, path: Path) -> Image.Image:
    """Return a picture that Pillow converts without loss of meaning: its own conversion clips 16 bits to white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise Failure(f"{path}: has 32-bit pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "P" and "transparency" in picture.info:  # straight to RGB, Pillow warns for each file
        return picture.convert("RGBA")
    return picture


def resize_short_side(picture: Image.Image, short_side: int) -> Image.Image:
    """Return the picture with its shorter side at `short_side` pixels, bilinear with antialiasing."""
    width, height = picture.size
    scale = short_side / min(width, height)
    size = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return uint8 [channels, height, width]."""
    pixels = np.array(picture)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes))


def centre_view(path: Path, spec: PreprocessSpec) -> Tensor:
    """Return uint8 [channels, height, width]: shorter side resized, centre cropped; as it is without a `short_side`."""
    picture = decode(path, spec.channels)
    if spec.short_side is None:
        if picture.size != (spec.width, spec.height):
            raise Failure(
                f"{path}: is {picture.width}x{picture.height} pixels; this model takes {spec.width}x{spec.height} only."
            )
        return to_tensor(picture)
    picture = resize_short_side(picture, spec.short_side)
    left, top = (picture.width - spec.width) // 2, (picture.height - spec.height) // 2
    return to_tensor(picture.crop((left, top, left + spec.width, top + spec.height)))


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
