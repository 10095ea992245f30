"""Heat maps over pictures, and pictures small enough for a page: without matplotlib."""

import base64
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reslab.errors import UsageError

# matplotlib's viridis (CC0) at 33 places: lightness rises evenly, also for the colour-blind and in grey
_VIRIDIS = """
440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e 26818e 23898e 21908c
1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 d5e21a eae51a fde725
"""
_COLORS = np.array([list(bytes.fromhex(color)) for color in _VIRIDIS.split()], dtype=np.float64)


def colored(heat: np.ndarray) -> np.ndarray:
    """Values in [0, 1], of any shape -> uint8 [..., 3], from dark violet (0) to yellow (1); others are clipped."""
    place = np.clip(heat, 0, 1) * (len(_COLORS) - 1)
    channels = [np.interp(place, np.arange(len(_COLORS)), _COLORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def picture_of(pixels: Tensor) -> Image.Image:
    """uint8 [channels, height, width] -> an RGB picture; of other than 1 or 3 channels, their mean in grey."""
    if pixels.shape[0] not in (1, 3):
        pixels = pixels.float().mean(0, keepdim=True).round().to(torch.uint8)
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy())


def overlay(picture: Image.Image, heat: Tensor, alpha: float = 0.5) -> Image.Image:
    """Return the picture in grey under the heat map, so that colours are the map's alone.

    heat: [h, w] in [0, 1] (`upsampled`); resized bilinearly where it has not the picture's size.
    alpha: how much of the map is seen, from 0 (none) to 1 (nothing else).
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha}; allowed: 0 (the picture alone) to 1 (the heat map alone).")
    values = Image.fromarray(heat.detach().float().cpu().numpy())
    if values.size != picture.size:
        values = values.resize(picture.size, Image.Resampling.BILINEAR)
    return Image.blend(picture.convert("L").convert("RGB"), Image.fromarray(colored(np.asarray(values))), alpha)


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """Return a small picture with each pixel as a square, its longer side at most `side`; a large one unchanged."""
    times = side // max(picture.size)
    if times < 2:
        return picture
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def thumbnail_uri(picture: Image.Image, side: int = 96, quality: int = 75) -> str:
    """Return a data URI of a WebP, its longer side at most `side` pixels, about 2 kB at 96; never enlarged.

    quality: 1 to 100, as WebP counts it.
    """
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
