"""Files that are there whole or not at all."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from reslab.errors import RunError

_ABANDONED_SECONDS = 3600


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Yield a file under a temporary name, which is renamed to `path` once all is written, and else removed.

    A link stays one, to a new file where it leads; an existing file passes its permissions on. A pipe or a device is
    written to as it is. RunError names the file and the reason where it cannot be written.
    """
    temporary: str | None = None
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as file:  # IsADirectoryError for a folder
                yield file
            return
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o644  # mkstemp's nobody else may read
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException as error:  # also Ctrl-C
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise RunError(f"{path}: cannot be written: {error.strerror or error}.") from None


def sweep_temporaries(folder: Path) -> None:
    """Remove what kills left of files being written to a folder; younger than an hour, somebody may be writing them."""
    for path in folder.glob(".*.*-????????"):
        if path.is_file() and path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name next to it, then rename; RunError names the file and the reason.

    Text is UTF-8. File names may hold other bytes: they are written as escapes, which are JSON's too.
    """
    with open_atomically(path) as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def check_can_be_written(folder: Path) -> None:
    """RunError, before the work whose result goes to `folder`, where it cannot be made or written; it is not made.

    A file without a name is written above it, as permissions do not tell (full disks, other file systems, root).
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise RunError(f"{folder}: cannot be written: {there} is a file, not a folder.")
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {there}: {error.strerror or error}.") from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits; RunError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None


def to_json(values: Any) -> str:
    """Return JSON that people can read and that never holds NaN."""
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; RunError names the file and what is wrong with it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise RunError(f"{path}: not a JSON file: {error}.") from None
