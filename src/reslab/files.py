"""Files that are there whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from reslab.errors import Failure


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Yield a file under a temporary name, which is renamed to `path` once all is written, and else removed.

    Failure names the file and the reason where it cannot be written.
    """
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes files that nobody else may read
        Path(temporary).replace(path)
    except BaseException as error:  # also Ctrl-C
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise Failure(f"{path}: cannot be written: {error.strerror or error}.") from None


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it, then rename; Failure names the file and the reason."""
    with open_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits; Failure where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror or error}.") from None


def to_json(values: Any) -> str:
    """Return JSON that people can read and that never holds NaN."""
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; Failure names the file and what is wrong with it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise Failure(f"{path}: not a JSON file: {error}.") from None
