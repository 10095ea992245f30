"""Facts about image files, from reading and decoding each once."""

import hashlib
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from reslab.data.images.decode import ADVICE, ARRAY, decode_array, decode_bytes, jpeg_complaint
from reslab.data.sources.inventory import UNREAD_SUFFIXES
from reslab.errors import RunError
from reslab.system.threads import map_ahead

_IN_HAND = 256  # files in work: enough for all threads, and soon done after Ctrl-C
_WITH_FRAMES = ("GIF", "WEBP", "PNG", "TIFF")  # a JPEG's second frame is a preview


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one image file is.

    Attributes:
        problem: (kind, text) of a file that cannot be used, whose other facts may be missing; None for a usable file.
        digest: SHA-256 of its bytes.
        format: Pillow's name of the format; "NPY" for an array.
        mode: Pillow's name of the colour mode; for an array, its number of channels.
        size: (width, height) in pixels.
        num_frames: Frames of the file, of which the first is used.
        is_blank: Whether all pixels are equal.
        complaint: What libjpeg notices in a JPEG that can be decoded.
        is_transparent: Whether the picture has transparent parts, which fewer than 4 channels do not show.
    """

    problem: tuple[str, str] | None = None
    digest: str = ""
    format: str = ""
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    num_frames: int = 1
    is_blank: bool = False
    complaint: str | None = None
    is_transparent: bool = False


def inspect_all(
    paths: Iterable[Path],
    num_channels: int | None = None,
    *,
    is_thorough: bool = False,
    num_threads: int | None = None,
    on_file: Callable[[], None] | None = None,
) -> Iterator[FileFacts]:
    """Read and decode files, by threads.

    Args:
        paths: The files.
        num_channels: Channels that every file must give; None: 3 for a picture, any number for an array.
        is_thorough: Also look for complaints, which doubles a JPEG's time.
        num_threads: Threads; None: as many as suits the machine.
        on_file: Called after each file, for progress.

    Yields:
        The facts of each file, in order.
    """
    read = partial(inspect, num_channels=num_channels, is_thorough=is_thorough)
    single = ([path] for path in paths)
    with closing(map_ahead(read, single, ahead=_IN_HAND, num_threads=num_threads)) as inspected:
        for (facts,) in inspected:
            if on_file is not None:
                on_file()
            yield facts


def inspect(path: Path, num_channels: int | None = None, *, is_thorough: bool = False) -> FileFacts:
    """Read and decode one file, without raising an error for a bad one.

    Args:
        path: The file.
        num_channels: Channels that it must give; None: 3 for a picture, any number for an array.
        is_thorough: Also look for complaints, which doubles a JPEG's time.

    Returns:
        The facts.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            return FileFacts(("unreadable", "is not an ordinary file"))
        content = path.read_bytes()
    except FileNotFoundError:
        return FileFacts(("missing-file", "a broken link" if path.is_symlink() else "does not exist"))
    except OSError as error:
        return FileFacts(("unreadable", f"cannot be read: {error.strerror or error}"))
    if not content:
        return FileFacts(("zero-byte", "has no bytes"))
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() in UNREAD_SUFFIXES:
        problem = f"{path.suffix[1:].upper()} files cannot be read; save it as JPEG or PNG"
        return FileFacts(("unsupported-format", problem), digest)
    try:
        if content.startswith(ARRAY):
            return _facts(decode_array(content, path, num_channels), digest, "NPY", "")
        facts = _inspect_picture(content, path, num_channels or 3, digest)
    except RunError as error:
        reason = str(error).removeprefix(f"{path}: ").removesuffix(ADVICE).rstrip(".")
        return FileFacts((_kind_of(reason), reason), digest)
    if is_thorough and facts.problem is None and facts.format == "JPEG":
        return replace(facts, complaint=jpeg_complaint(content))
    return facts


def _inspect_picture(content: bytes, path: Path, num_channels: int, digest: str) -> FileFacts:
    try:
        with Image.open(BytesIO(content)) as picture:
            format, mode = picture.format or "", picture.mode
            frames = getattr(picture, "n_frames", 1) if format in _WITH_FRAMES else 1
            is_transparent = num_channels < 4 and picture.has_transparency_data and _has_transparent_parts(picture)
    except UnidentifiedImageError:
        return FileFacts(("not-an-image", f"is not {_instead(content)}"), digest)
    except Exception:  # decoding raises an error that names the defect
        format, mode, frames, is_transparent = "", "", 1, False
    facts = _facts(decode_bytes(content, path, num_channels), digest, format, mode, frames)
    return replace(facts, is_transparent=is_transparent)


def _has_transparent_parts(picture: Image.Image) -> bool:
    return bool(np.asarray(picture.convert("RGBA").getchannel("A")).min() < 255)


def _facts(pixels: Tensor, digest: str, format: str, mode: str, frames: int = 1) -> FileFacts:
    channels, height, width = pixels.shape
    return FileFacts(
        None, digest, format, mode or f"{channels} channels", (width, height), frames, is_blank=_is_blank(pixels)
    )


def _is_blank(pixels: Tensor) -> bool:
    """Check whether all pixels are equal, a few of them first."""
    return all(bool((part == part[:, :1, :1]).all()) for part in (pixels[:, ::16, ::16], pixels))


def _kind_of(reason: str) -> str:
    """Return the kind of defect that a decoder's message names."""
    kinds = (
        ("whose range", "unknown-range"),
        ("not a known image format", "not-an-image"),
        ("pixels in all", "bomb"),
        ("decompression bomb", "bomb"),
        ("truncated", "truncated"),
        ("cut off", "truncated"),
    )
    return next((kind for words, kind in kinds if words in reason), "damaged")


def _instead(content: bytes) -> str:
    """Complete the sentence "is not ..." about a file that is not an image."""
    start = content[:400].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an image, but a web page"
    if start.startswith(b"version https://git-lfs"):
        return "an image, but a pointer of Git LFS; fetch the file itself"
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"mif1", b"hevc"):
        return "an image of a known format, but HEIC; save it as JPEG or PNG"
    if b"<svg" in start:
        return "an image of pixels, but an SVG drawing; save it as PNG"
    return "an image, but text" if re.fullmatch(rb"[\x09\x0a\x0d\x20-\x7e]+", content[:400]) else "an image"
