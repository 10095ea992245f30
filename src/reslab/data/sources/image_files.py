"""Search for image files below a folder, whatever its layout."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .inventory import is_ignored, is_image_name


def is_folder(path: str) -> bool:
    """Check for a folder; False also where the system cannot tell (a link to itself, a name that is too long).

    Args:
        path: The path.

    Returns:
        Whether it is a folder, or a link to one.
    """
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def walk_images(folder: str, on_error: Callable[[OSError], None], above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield every image file below a folder, by name: first its own, then those of its folders.

    Files are images by their suffix. Hidden files and folders are left out. Links are followed, except to a folder
    that contains them.

    Args:
        folder: The folder.
        on_error: Called with the error of a folder that cannot be opened; the folder is left out.
        above: Real paths of the folders around `folder`.

    Yields:
        Paths of images.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as scan:
            entries = sorted((entry for entry in scan if not is_ignored(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        on_error(error)
        return
    yield from (entry.path for entry in entries if is_image_name(entry.name) and not is_folder(entry.path))
    for entry in entries:
        if is_folder(entry.path):
            yield from walk_images(entry.path, on_error, above | {real})
