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
    """Yield a temporary file that replaces `path` at the end of the block, or is removed after an error.

    A symbolic link is kept, and the file that it points to replaced. Permissions of an existing file are kept. A pipe
    or a device is written to directly.

    Args:
        path: The file to write.

    Yields:
        The open file.

    Raises:
        RunError: It cannot be written; the message names the file and the reason.
    """
    temporary: str | None = None
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as file:  # IsADirectoryError for a folder
                yield file
            return
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o644  # mkstemp's is 0o600
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
    """Remove temporary files that killed processes left in a folder.

    Files younger than an hour stay: a process may still be writing them.
    """
    for path in folder.glob(".*.*-????????"):
        if path.is_file() and path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, then rename it, so that it is whole or not there at all.

    Args:
        path: The file.
        content: Bytes, or text to write as UTF-8. Bytes of file names that are not UTF-8 are escaped as in JSON.

    Raises:
        RunError: It cannot be written; the message names the file and the reason.
    """
    with open_atomically(path) as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def check_can_be_written(folder: Path) -> None:
    """Check that a folder can be made and written to, before the work whose result goes there.

    A nameless temporary file is written to the nearest folder that exists: permissions alone do not tell (full disks,
    read-only file systems, root). The folder itself is not made.

    Raises:
        RunError: It cannot; the message names the folder and the reason.
    """
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not parent.is_dir():
        raise RunError(f"{folder}: cannot be written: {parent} is a file, not a folder.")
    try:
        with tempfile.TemporaryFile(dir=parent) as file:
            file.write(b"0")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {parent}: {error.strerror or error}.") from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits.

    Raises:
        RunError: The file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None


def to_json(values: Any) -> str:
    """Return indented JSON with a line end.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold.
    """
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        RunError: It cannot be read, or is not JSON; the message names the file and the reason.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise RunError(f"{path}: not a JSON file: {error}.") from None
