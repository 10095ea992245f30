"""Folders of images and CSV files as data sets. One list of classes for all splits, taken from training."""

from pathlib import Path

import torch

from reslab.data.checks.structure import check_structure
from reslab.data.dataset import FileDataset, Splits
from reslab.data.sources.image_files import walk_images
from reslab.data.sources.image_list import COLUMNS, read_list, take_inventory
from reslab.data.sources.inventory import PARTS, Inventory, is_ignored
from reslab.errors import RunError

_SHOWN = 5


def load_folder(path: Path, num_channels: int = 3) -> Splits:
    """Return the splits of a folder or CSV file; without splits of its own, everything is training.

    `val` (also `valid`, `validation`) is the validation split and `test` the test split. A folder without `test` has no
    test split: its final number is then one of validation, and says so.

    RunError names what would make results wrong: classes that differ between the splits, images whose class is not
    known, folders that cannot be opened. Whether each file can be read is seen later (`data.preflight`). Images of a
    single class are accepted: a network can be judged on them, and training looks at the number itself.
    """
    inventory = take_inventory(path)
    errors = [finding for finding in check_structure(inventory) if finding.severity == "error"]
    wrong = [one.text for one in errors if one.kind != "too-few-classes" or not inventory.items]
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        raise RunError(f"{' '.join(wrong[:_SHOWN])}{more} 'reslab data check {path}' lists everything.")
    if "all" in inventory.classes:
        return Splits(_split(inventory, "all", num_channels), None, None)
    validation, test = (
        _split(inventory, name, num_channels) if name in inventory.classes else None for name in ("validation", "test")
    )
    return Splits(_split(inventory, "train", num_channels), validation, test)


def _split(inventory: Inventory, split: str, num_channels: int) -> FileDataset:
    names = inventory.class_names
    number_of = {name: number for number, name in enumerate(names)}
    items = inventory.of_split(split)
    labels = torch.tensor([number_of[item.label] for item in items])
    name = inventory.root.stem if inventory.layout == "csv" else inventory.root.name
    return FileDataset(name, tuple(item.path for item in items), labels, names, num_channels)


def read_split(path: Path, root: Path, name: str, num_channels: int) -> Splits:
    """Return the splits that a run recorded, in its order; its paths are below `root`.

    The classes are those of all splits: a class may have lost its training images to validation when the run began.
    RunError for a file that is damaged. Which classes each split has is as it was, and is not looked at again.
    """
    rows = read_list(path)
    if (
        not rows
        or tuple(rows[0]) != COLUMNS
        or any(len(row) != len(COLUMNS) or row[2] not in PARTS for row in rows[1:])
    ):
        raise RunError(f"{path}: damaged; expected the columns {', '.join(COLUMNS)}, as this run's start wrote them.")
    names = tuple(sorted({label for _, label, _ in rows[1:]}))
    number_of = {label: number for number, label in enumerate(names)}

    def part(wanted: str) -> FileDataset | None:
        own = [(root / place, number_of[label]) for place, label, split in rows[1:] if split == wanted]
        paths, labels = tuple(path for path, _ in own), torch.tensor([label for _, label in own])
        return FileDataset(name, paths, labels, names, num_channels) if own else None

    train = part("train")
    if train is None:
        raise RunError(f"{path}: damaged: it has no training images.")
    return Splits(train, part("validation"), part("test"))


def is_image_folder(path: Path) -> bool:
    """Whether a folder is meant to hold images in classes: it has `train`, or images in the folders inside it."""
    if any(inner.name.lower() == "train" and inner.is_dir() for inner in _inside(path)):
        return True
    folders = [inner for inner in _inside(path) if inner.is_dir()]
    if any(inner.name.lower() == "train" for folder in folders for inner in _inside(folder)):
        return len(folders) == 1  # which is said when it is read; more are a folder of data sets
    images = (image for folder in folders for image in walk_images(str(folder), lambda _: None))
    return next(images, None) is not None


def _inside(path: Path) -> list[Path]:
    try:
        return [inner for inner in path.iterdir() if not is_ignored(inner.name)]
    except OSError:
        return []
