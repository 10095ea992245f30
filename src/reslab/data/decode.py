"""From a file to pixels: JPEGs by libjpeg-turbo, everything else, and whatever is odd, by Pillow; the same pixels."""

from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from reslab.errors import Failure

_MODES = {1: "L", 3: "RGB"}
_JPEG = b"\xff\xd8\xff"
_EXIF_WITHIN = 65536  # a JPEG's EXIF block is among its first segments


def decode(path: Path, num_channels: int) -> Tensor:
    """Return uint8 [channels, height, width]: grey (1 channel) or RGB (3), turned as the file's EXIF data says.

    Raises Failure that names a file that cannot be read, or has pixels whose meaning is not known.
    """
    if num_channels not in _MODES:
        raise Failure(f"{path}: photos are read with 1 or 3 channels, not {num_channels}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: cannot be read as an image ({error}); mend it or take it out of the data.") from None
    pixels = _decode_jpeg(content) if num_channels == 3 else None
    if pixels is None:
        pixels = np.array(_decode_any(content, path, _MODES[num_channels]))
    planes = torch.from_numpy(pixels)
    return planes.unsqueeze(0) if planes.ndim == 2 else planes.permute(2, 0, 1)


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """RGB pixels of an ordinary JPEG; None for what Pillow should read: turned, CMYK, truncated, no JPEG at all."""
    if not content.startswith(_JPEG) or b"Exif\0\0" in content[:_EXIF_WITHIN]:
        return None
    try:
        if simplejpeg.decode_jpeg_header(content)[2] in ("CMYK", "YCCK"):
            return None
        return simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
    except ValueError:
        return None  # Pillow says what is wrong with it


def _decode_any(content: bytes, path: Path, mode: str) -> Image.Image:
    try:
        with Image.open(BytesIO(content)) as picture:
            return _eight_bits(ImageOps.exif_transpose(picture), path).convert(mode)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        # Pillow would name the buffer it was given
        reason = "no image format known here" if isinstance(error, UnidentifiedImageError) else error
        raise Failure(f"{path}: cannot be read as an image ({reason}); mend it or take it out of the data.") from None


def _eight_bits(picture: Image.Image, path: Path) -> Image.Image:
    """Return a picture that Pillow converts without loss of meaning: its own conversion clips 16 bits to white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise Failure(f"{path}: has 32-bit pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "P" and "transparency" in picture.info:  # straight to RGB, Pillow warns for each file
        return picture.convert("RGBA")
    return picture


def resize_short_side(pixels: Tensor, short_side: int) -> Tensor:
    """Return uint8 [channels, h, w] with its shorter side at `short_side`, bilinear with antialiasing, as Pillow's.

    Within one level of Pillow's pixels, and faster; never by way of floats.
    """
    height, width = pixels.shape[1:]
    scale = short_side / min(width, height)
    size = (max(short_side, round(height * scale)), max(short_side, round(width * scale)))
    if size == (height, width):
        return pixels
    return F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0]
