"""From a file to pixels: JPEGs by libjpeg-turbo, everything else, and whatever is odd, by Pillow; the same pixels."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from reslab.errors import RunError

ARRAY = b"\x93NUMPY"  # how an .npy file begins
MAX_PIXELS = 2 * 89_478_485  # where Pillow calls a file a decompression bomb; the JPEG decoder has no limit of its own
ADVICE = "; mend it or take it out of the data."
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
    """Return uint8 [channels, height, width] of a file, turned as its EXIF data says.

    Pictures give 1 (grey), 3 (RGB) or 4 channels (RGBA); .npy files those they have, see `decode_array`.

    Raises RunError that names a file that cannot be read, or has pixels whose meaning is not known.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path}: does not exist.") from None
    except (OSError, ValueError) as error:  # a null byte in a path is a ValueError
        raise _failure(path, error) from None
    return decode_bytes(content, path, num_channels)


def decode_bytes(content: bytes, name: str | Path, num_channels: int) -> Tensor:
    """Return uint8 [channels, height, width] of a file's content; `name` is what errors call it."""
    if content.startswith(ARRAY):
        return decode_array(content, name, num_channels)
    pixels = _decode_jpeg(content) if num_channels == 3 else None
    if pixels is not None:
        return torch.from_numpy(pixels).permute(2, 0, 1)
    _check_channels(name, num_channels)
    try:
        picture = Image.open(BytesIO(content))
    except UnidentifiedImageError:  # Pillow would name the buffer it was given
        raise _failure(name, "no image format known here") from None
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise _failure(name, str(error) or type(error).__name__) from None
    with picture:
        return decode_pillow(picture, name, num_channels)


def decode_pillow(picture: Image.Image, name: str | Path, num_channels: int) -> Tensor:
    """Return uint8 [channels, height, width] of a PIL image, turned as its EXIF data says; it stays as it is."""
    _check_channels(name, num_channels)
    if 0 in picture.size:
        raise _failure(name, "it has no pixels")
    try:
        pixels = np.array(_eight_bits(_turned(picture), name).convert(MODES[num_channels]))
    except RunError:
        raise
    except Exception as error:  # the picture is read only now: see above
        raise _failure(name, str(error) or type(error).__name__) from None
    planes = torch.from_numpy(pixels)
    return planes.unsqueeze(0) if planes.ndim == 2 else planes.permute(2, 0, 1)


def _check_channels(name: str | Path, num_channels: int) -> None:
    if num_channels not in MODES:
        raise RunError(f"{name}: a picture gives 1, 3 or 4 channels, not {num_channels}; .npy files give any number.")


def decode_array(content: bytes, name: str | Path, num_channels: int | None) -> Tensor:
    """Return uint8 [channels, height, width] of an .npy file's [height, width] or [height, width, channels].

    uint8 stays as it is, uint16 gives its high byte. num_channels: how many there have to be; None: any number.
    Nothing but numbers is read: no pickle. RunError for other types, other numbers of channels, a file that is cut off.
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
    found = shape[2] if len(shape) == 3 else 1
    if num_channels not in (None, found):
        raise RunError(f"{name}: has {found} channel(s), not {num_channels}; set data.channels to what the files have.")
    if len(content) - file.tell() < math.prod(shape) * size:
        raise RunError(f"{name}: is cut off{ADVICE}")
    flat = np.frombuffer(content, kind, math.prod(shape), file.tell())
    values = flat.reshape(shape, order="F" if is_fortran else "C")
    pixels = (values >> 8).astype(np.uint8) if size == 2 else values
    return torch.from_numpy(pixels.reshape(*shape[:2], found).transpose(2, 0, 1).copy())


def _failure(name: str | Path, error: object) -> RunError:
    return RunError(f"{name}: cannot be read as an image ({error}){ADVICE}")


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """RGB pixels of an ordinary JPEG; None for what Pillow should read: turned, CMYK, truncated, no JPEG at all."""
    if not content.startswith(_JPEG) or _may_be_turned(content):
        return None
    try:
        if not _is_ordinary(content):
            return None
        return simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
    except ValueError:
        return None  # Pillow says what is wrong with it


def _may_be_turned(content: bytes) -> bool:
    """Whether a JPEG has EXIF data, or XMP with an orientation, in its segments before the first scan."""
    place = 2
    while content[place : place + 1] == b"\xff" and (marker := content[place + 1 : place + 2]) not in (b"", _SCAN):
        if marker == _PADDING:
            place += 1
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[place + 4 : end]
        if marker == _APP1 and (segment.startswith(b"Exif\0\0") or b"Orientation" in segment):
            return True
        place = end
    return False


def _is_ordinary(content: bytes) -> bool:
    """Whether a JPEG is grey or RGB and fits into memory; ValueError where it has no header."""
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(content)
    return colorspace not in ("CMYK", "YCCK") and int(height) * int(width) <= MAX_PIXELS


def jpeg_complaint(content: bytes) -> str | None:
    """Return what libjpeg notices in a JPEG that it can decode all the same, or None; decodes the whole picture."""
    try:
        if _is_ordinary(content):
            simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
    except ValueError as error:
        return str(error)
    return None


def _turned(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data says.

    Only the orientation is read: Pillow's own `exif_transpose` writes all tags anew, and fails at one of a wrong type,
    which cameras and editors leave behind in pictures that are well otherwise.
    """
    picture.load()  # EXIF may come after the pixels
    try:
        method = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data says nothing of the pixels
        method = None
    return picture if method is None else picture.transpose(method)


def _eight_bits(picture: Image.Image, name: str | Path) -> Image.Image:
    """Return a picture that Pillow converts without loss of meaning: its own conversion clips 16 bits to white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise RunError(f"{name}: has 32-bit pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "P" and "transparency" in picture.info:  # straight to RGB, Pillow warns for each file
        return picture.convert("RGBA")
    return picture


def resize_short_side(pixels: Tensor, short_side: int) -> Tensor:
    """Return uint8 [channels, h, w] with its shorter side at `short_side`; see `resize`."""
    return resize(pixels, short_side_size(pixels.shape[1], pixels.shape[2], short_side))


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return the (height, width) that a picture has once its shorter side is resized to `short_side`."""
    scale = short_side / min(width, height)
    return max(short_side, round(height * scale)), max(short_side, round(width * scale))


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return uint8 [channels, *size] (height, width), bilinear with antialiasing, as Pillow's.

    Within one level of Pillow's pixels, and faster; never by way of floats.
    """
    if size == tuple(pixels.shape[1:]):
        return pixels
    return F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0]
