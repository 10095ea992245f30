"""The image files below a folder, whatever they are called and however they are arranged."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .inventory import is_ignored, is_image_name


def is_folder(path: str) -> bool:
    """Whether there is a folder; not where nobody can tell (a link to itself, a name too long), which reading says."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def walk_images(folder: str, on_error: Callable[[OSError], None], above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the path of every image file below a folder, in a fixed order: its own by name, then its folders' by name.

    Files are images by their suffix; hidden files and folders are left out. Links are followed, but not to a folder
    that they are in. on_error is told of a folder that cannot be opened, which is left out.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not is_ignored(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        on_error(error)
        return
    yield from (entry.path for entry in entries if is_image_name(entry.name) and not is_folder(entry.path))
    for entry in entries:
        if is_folder(entry.path):
            yield from walk_images(entry.path, on_error, above | {real})
