"""Heat maps over pictures, and small pictures for a page, without matplotlib."""

import base64
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reslab.errors import UsageError

# matplotlib's viridis (CC0) at 33 points: lightness rises evenly, also for the colour-blind and in grey
_VIRIDIS = """
440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e 26818e 23898e 21908c
1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 d5e21a eae51a fde725
"""
_COLORS = np.array([list(bytes.fromhex(color)) for color in _VIRIDIS.split()], dtype=np.float64)


def colored(heat: np.ndarray) -> np.ndarray:
    """Colour values with viridis, from dark violet (0) to yellow (1).

    Args:
        heat: Values of any shape; those outside [0, 1] are clipped.

    Returns:
        uint8 [..., 3].
    """
    position = np.clip(heat, 0, 1) * (len(_COLORS) - 1)
    channels = [np.interp(position, np.arange(len(_COLORS)), _COLORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def picture_of(pixels: Tensor) -> Image.Image:
    """Convert pixels to a picture.

    Args:
        pixels: uint8 [channels, height, width].

    Returns:
        An RGB picture; for other numbers of channels than 1 and 3, their mean in grey.
    """
    if pixels.shape[0] not in (1, 3):
        pixels = pixels.float().mean(0, keepdim=True).round().to(torch.uint8)
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy())


def overlay_heat(picture: Image.Image, heat: Tensor, alpha: float = 0.5) -> Image.Image:
    """Blend a heat map with the picture in grey, so that every colour belongs to the map.

    Args:
        picture: The picture.
        heat: [h, w] in [0, 1] (`upsampled`); resized bilinearly to the picture's size.
        alpha: Weight of the map, from 0 (only the picture) to 1 (only the map).

    Returns:
        An RGB picture.

    Raises:
        UsageError: `alpha` is outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha}; allowed: 0 (only the picture) to 1 (only the heat map).")
    values = Image.fromarray(heat.detach().float().cpu().numpy())
    if values.size != picture.size:
        values = values.resize(picture.size, Image.Resampling.BILINEAR)
    return Image.blend(picture.convert("L").convert("RGB"), Image.fromarray(colored(np.asarray(values))), alpha)


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """Enlarge a small picture by a whole factor, so that each pixel becomes a square.

    Args:
        picture: The picture.
        side: Largest length of the longer side in pixels.

    Returns:
        The enlarged picture, or the same one if a factor of 2 is too much.
    """
    factor = side // max(picture.size)
    if factor < 2:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def thumbnail_uri(picture: Image.Image, side: int = 96, quality: int = 75) -> str:
    """Encode a picture as the data URI of a small WebP image, about 2 kB at 96 pixels.

    Args:
        picture: The picture; it is never enlarged.
        side: Largest length of the longer side in pixels.
        quality: WebP's quality, 1 to 100.

    Returns:
        The data URI.
    """
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
