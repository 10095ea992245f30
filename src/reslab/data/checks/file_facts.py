"""What one image file is, found by reading and decoding it once; by threads for many."""

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

_IN_HAND = 256  # files that threads have in hand: enough for all of them, and soon done after Ctrl-C
_WITH_FRAMES = ("GIF", "WEBP", "PNG", "TIFF")  # a JPEG's second frame is a preview


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file is. problem: (kind, what is wrong) where it cannot be used, and then the rest may be empty.

    digest: SHA-256 of its bytes; size: (width, height); complaint: what is wrong with a JPEG that can be decoded.
    is_transparent: whether parts of a picture are transparent, and fewer channels than 4 show what lies beneath.
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
    """Yield the facts of every file, in order; on_file is called after each. Ctrl-C stops it after some files."""
    read = partial(inspect, num_channels=num_channels, is_thorough=is_thorough)
    single = ([path] for path in paths)
    with closing(map_ahead(read, single, ahead=_IN_HAND, num_threads=num_threads)) as inspected:
        for (facts,) in inspected:
            if on_file is not None:
                on_file()
            yield facts


def inspect(path: Path, num_channels: int | None = None, *, is_thorough: bool = False) -> FileFacts:
    """Read and decode one file; nothing is raised for a bad one.

    num_channels: how many it has to give; None: three for pictures, and whatever an array file has.
    is_thorough: look for complaints too, which takes a JPEG's time twice.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            return FileFacts(("unreadable", "is not an ordinary file"))
        content = path.read_bytes()
    except FileNotFoundError:
        return FileFacts(("missing-file", "a link to nothing" if path.is_symlink() else "is not there"))
    except OSError as error:
        return FileFacts(("unreadable", f"cannot be read: {error.strerror or error}"))
    if not content:
        return FileFacts(("zero-byte", "has no bytes"))
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() in UNREAD_SUFFIXES:
        problem = f"{path.suffix[1:].upper()} files are not read; save it as JPEG or PNG"
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
        return FileFacts(("not-an-image", f"is not an image{_what_else(content)}"), digest)
    except Exception:  # decoding says it in words
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
    """Whether all pixels are the same; a few are compared first."""
    return all(bool((part == part[:, :1, :1]).all()) for part in (pixels[:, ::16, ::16], pixels))


def _kind_of(reason: str) -> str:
    """The kind of defect, from the words of a decoder."""
    kinds = (
        ("whose range", "unknown-range"),
        ("not a known image format", "not-an-image"),
        ("pixels in all", "bomb"),
        ("decompression bomb", "bomb"),
        ("truncated", "truncated"),
        ("cut off", "truncated"),
    )
    return next((kind for words, kind in kinds if words in reason), "damaged")


def _what_else(content: bytes) -> str:
    start = content[:400].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return ", but a web page"
    if start.startswith(b"version https://git-lfs"):
        return ", but a pointer of Git LFS; fetch the file itself"
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"mif1", b"hevc"):
        return " of a format that is read, but HEIC; save it as JPEG or PNG"
    if b"<svg" in start:
        return " of pixels, but an SVG drawing; save it as PNG"
    return ", but text" if re.fullmatch(rb"[\x09\x0a\x0d\x20-\x7e]+", content[:400]) else ""
