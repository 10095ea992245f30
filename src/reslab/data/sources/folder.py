"""A folder of images: train/<class>/*, with val/ and test/ of the same classes beside it."""

from pathlib import Path

import torch

from reslab.errors import Failure

from ..dataset import FileDataset, Splits, check_classes

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"))
_VALIDATION_NAMES = ("val", "valid", "validation")
_LAYOUT = "expected: train/<class>/*.jpg and val/<class>/*.jpg (test/ if there is one)"


def load_folder(path: Path) -> Splits:
    """Return the parts of an image folder; classes are the folders in train/, sorted by name.

    `val` (also `valid`, `validation`) is the validation part and `test` the test part. A folder without `test` has no
    test part: its final number is then one of validation, and says so. Failure names the folder that is wrong.
    """
    if not (path / "train").is_dir():
        raise Failure(f"{path}: has no folder 'train'; {_LAYOUT}.")
    train = _read_part(path / "train", path.name)
    validation = next((path / name for name in _VALIDATION_NAMES if (path / name).is_dir()), None)
    parts = [
        None if part is None or not part.is_dir() else _read_part(part, path.name)
        for part in (validation, path / "test")
    ]
    check_classes(str(path), [train, *(part for part in parts if part is not None)])
    return Splits(train, *parts)


def _visible(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if not item.name.startswith("."))


def _read_part(folder: Path, name: str) -> FileDataset:
    class_folders = [item for item in _visible(folder) if item.is_dir()]
    if len(class_folders) < 2:
        raise Failure(f"{folder}: has {len(class_folders)} class folder(s); a classifier needs at least 2; {_LAYOUT}.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, class_folder in enumerate(class_folders):
        images = [item for item in _visible(class_folder) if item.suffix.lower() in SUFFIXES and item.is_file()]
        if not images:
            raise Failure(f"{class_folder}: holds no images ({', '.join(sorted(SUFFIXES))}); {_LAYOUT}.")
        paths += images
        labels += [label] * len(images)
    return FileDataset(name, tuple(paths), torch.tensor(labels), tuple(item.name for item in class_folders))
