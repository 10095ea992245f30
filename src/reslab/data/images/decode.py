"""Decoding: ordinary JPEGs by libjpeg-turbo, everything else by Pillow, with the same pixels."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from reslab.errors import RunError, counted

ARRAY = b"\x93NUMPY"  # how an .npy file begins
MAX_PIXELS = 2 * 89_478_485  # Pillow's limit for decompression bombs; the JPEG decoder has none
ADVICE = "; repair or remove it."
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation; 1 is upright
_JPEG = b"\xff\xd8\xff"
_SCAN, _APP1, _PADDING = b"\xda", b"\xe1", b"\xff"  # markers of a JPEG's segments: its pixels; EXIF or XMP


def decode(path: Path, num_channels: int) -> Tensor:
    """Read and decode an image file, rotated as its EXIF data says.

    Args:
        path: A picture, or an .npy file (see `decode_array`).
        num_channels: 1 (grey), 3 (RGB) or 4 (RGBA) for a picture; for an .npy file, the channels that it has.

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The file cannot be read, or the range of its pixels is not known.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path}: does not exist.") from None
    except (OSError, ValueError) as error:  # a null byte in a path is a ValueError
        raise _failure(path, error) from None
    return decode_bytes(content, path, num_channels)


def decode_bytes(content: bytes, name: str | Path, num_channels: int) -> Tensor:
    """Decode the content of an image file, rotated as its EXIF data says.

    Args:
        content: The file's bytes.
        name: What errors call the image.
        num_channels: 1 (grey), 3 (RGB) or 4 (RGBA) for a picture; for an .npy file, the channels that it has.

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The content cannot be decoded, or the range of its pixels is not known.
    """
    if content.startswith(ARRAY):
        return decode_array(content, name, num_channels)
    pixels = _decode_jpeg(content) if num_channels == 3 else None
    if pixels is not None:
        return torch.from_numpy(pixels).permute(2, 0, 1)
    _check_channels(name, num_channels)
    try:
        picture = Image.open(BytesIO(content))
    except UnidentifiedImageError:  # its message would name the buffer
        raise _failure(name, "not a known image format") from None
    except Exception as error:  # Pillow's readers raise errors of any type for damaged files
        raise _failure(name, str(error) or type(error).__name__) from None
    with picture:
        return decode_pillow(picture, name, num_channels)


def decode_pillow(picture: Image.Image, name: str | Path, num_channels: int) -> Tensor:
    """Convert a PIL image to pixels, rotated as its EXIF data says.

    Args:
        picture: The image; not changed.
        name: What errors call the image.
        num_channels: 1 (grey), 3 (RGB) or 4 (RGBA).

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The image cannot be decoded, or the range of its pixels is not known.
    """
    _check_channels(name, num_channels)
    if 0 in picture.size:
        raise _failure(name, "it has no pixels")
    try:
        pixels = np.array(_eight_bits(_turned(picture), name).convert(MODES[num_channels]))
    except RunError:
        raise
    except Exception as error:  # Pillow reads the pixels only at this point
        raise _failure(name, str(error) or type(error).__name__) from None
    planes = torch.from_numpy(pixels)
    return planes.unsqueeze(0) if planes.ndim == 2 else planes.permute(2, 0, 1)


def _check_channels(name: str | Path, num_channels: int) -> None:
    if num_channels not in MODES:
        raise RunError(
            f"{name}: a picture has 1, 3 or 4 channels, not {num_channels}; use .npy files for other numbers."
        )


def decode_array(content: bytes, name: str | Path, num_channels: int | None) -> Tensor:
    """Decode an .npy file of uint8 or uint16 values, of which the high byte is used.

    Only numbers are read, never a pickle.

    Args:
        content: The file's bytes: an array [height, width] or [height, width, channels].
        name: What errors call the image.
        num_channels: Channels that the array must have; None: any number.

    Returns:
        uint8 [channels, height, width].

    Raises:
        RunError: The array has another type, shape or number of channels, or the file is cut off.
    """
    file = BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        sides, is_fortran, kind = read_header(file)
        shape, size = tuple(int(side) for side in sides), int(kind.itemsize)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise _failure(name, error) from None
    if kind.kind != "u" or size > 2:
        raise RunError(f"{name}: has values of type {kind}, whose range is not known; save it as uint8 or uint16.")
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise RunError(f"{name}: is an array of {shape}; expected (height, width) or (height, width, channels).")
    channels = shape[2] if len(shape) == 3 else 1
    if num_channels not in (None, channels):
        raise RunError(
            f"{name}: has {counted(channels, 'channel')}, not {num_channels}; set data.channels to {channels}."
        )
    if len(content) - file.tell() < math.prod(shape) * size:
        raise RunError(f"{name}: is cut off{ADVICE}")
    flat = np.frombuffer(content, kind, math.prod(shape), file.tell())
    values = flat.reshape(shape, order="F" if is_fortran else "C")
    pixels = (values >> 8).astype(np.uint8) if size == 2 else values
    return torch.from_numpy(pixels.reshape(*shape[:2], channels).transpose(2, 0, 1).copy())


def _failure(name: str | Path, error: object) -> RunError:
    return RunError(f"{name}: cannot be read as an image ({error}){ADVICE}")


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """Decode an ordinary JPEG to RGB; return None for what Pillow should read: rotated, CMYK, cut off, not a JPEG."""
    if not content.startswith(_JPEG) or _may_be_turned(content):
        return None
    try:
        if not _is_ordinary(content):
            return None
        return simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
    except ValueError:
        return None  # Pillow's error names the defect


def _may_be_turned(content: bytes) -> bool:
    """Look for EXIF data, or XMP with an orientation, in a JPEG's segments before the first scan."""
    start = 2
    while content[start : start + 1] == b"\xff" and (marker := content[start + 1 : start + 2]) not in (b"", _SCAN):
        if marker == _PADDING:
            start += 1
            continue
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        segment = content[start + 4 : end]
        if marker == _APP1 and (segment.startswith(b"Exif\0\0") or b"Orientation" in segment):
            return True
        start = end
    return False


def _is_ordinary(content: bytes) -> bool:
    """Return whether a JPEG is grey or RGB and fits into memory; fail with a ValueError if it has no header."""
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(content)
    return colorspace not in ("CMYK", "YCCK") and int(height) * int(width) <= MAX_PIXELS


def jpeg_complaint(content: bytes) -> str | None:
    """Decode a whole JPEG and return libjpeg's warning about damaged data that it can still decode.

    Args:
        content: The file's bytes.

    Returns:
        The warning; None for a sound file.
    """
    try:
        if _is_ordinary(content):
            simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
    except ValueError as error:
        return str(error)
    return None


def _turned(picture: Image.Image) -> Image.Image:
    """Rotate a picture as its EXIF data says."""
    # Only the orientation is read. Pillow's `exif_transpose` writes all tags again and fails at one of a wrong type,
    # which cameras and editors leave in pictures that are sound otherwise.
    picture.load()  # EXIF may come after the pixels
    try:
        method = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # pixels may be sound where EXIF data is damaged
        method = None
    return picture if method is None else picture.transpose(method)


def _eight_bits(picture: Image.Image, name: str | Path) -> Image.Image:
    """Return a picture of 8 bits per value; Pillow's own conversion would clip 16 bits to white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise RunError(f"{name}: has 32-bit pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "P" and "transparency" in picture.info:  # converted directly to RGB, Pillow warns at each file
        return picture.convert("RGBA")
    return picture


def resize_short_side(pixels: Tensor, short_side: int) -> Tensor:
    """Resize the shorter side to a length and the longer side in proportion, as `resize` does.

    Args:
        pixels: uint8 [channels, h, w].
        short_side: Length in pixels.

    Returns:
        uint8 [channels, h', w'].
    """
    return resize(pixels, short_side_size(pixels.shape[1], pixels.shape[2], short_side))


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Compute the size of a picture after its shorter side is resized.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        short_side: Length of the shorter side afterwards.

    Returns:
        (height, width), rounded to whole pixels, halves to even.
    """
    scale = short_side / min(width, height)
    return max(short_side, round(height * scale)), max(short_side, round(width * scale))


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize pixels by bilinear interpolation with antialiasing, within one level of Pillow's result.

    Args:
        pixels: uint8 [channels, h, w].
        size: (height, width) afterwards.

    Returns:
        uint8 [channels, height, width].
    """
    if size == tuple(pixels.shape[1:]):
        return pixels
    return F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0]
