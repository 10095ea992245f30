"""Folders of images and CSV files as data sets, with training's classes for all splits."""

from pathlib import Path

import torch

from reslab.data.checks.structure import check_structure
from reslab.data.dataset import FileDataset, Splits
from reslab.data.sources.image_files import walk_images
from reslab.data.sources.image_list import COLUMNS, read_list, take_inventory
from reslab.data.sources.inventory import PARTS, Inventory, is_ignored
from reslab.errors import RunError, first_few


def load_folder(path: Path, num_channels: int = 3) -> Splits:
    """Load the splits of a folder or CSV file, without reading the images.

    Folders `val`, `valid` and `validation` are the validation split, `test` is the test split. Without splits all
    images are training. Images of a single class are accepted, because a network can be evaluated on them.

    Args:
        path: A folder train/<class>/*, a folder of class folders, or a CSV file.
        num_channels: Channels that every file is decoded to.

    Returns:
        The splits.

    Raises:
        RunError: Classes differ between the splits, an image has no class, or a folder cannot be opened.
    """
    inventory = take_inventory(path)
    errors = [
        finding.text.removesuffix(".")
        for finding in check_structure(inventory)
        if finding.severity == "error" and (finding.kind != "too-few-classes" or not inventory.items)
    ]
    if errors:
        raise RunError(f"{first_few(errors, separator='; ')}. 'reslab data check {path}' lists everything.")
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
    """Read the splits that a run recorded, in its order.

    The classes are those of all splits together, and are not checked again.

    Args:
        path: The run's CSV file.
        root: Folder that the listed paths are relative to.
        name: The data set's name.
        num_channels: Channels that every file is decoded to.

    Returns:
        The splits.

    Raises:
        RunError: The file is damaged.
    """
    rows = read_list(path)
    if (
        not rows
        or tuple(rows[0]) != COLUMNS
        or any(len(row) != len(COLUMNS) or row[2] not in PARTS for row in rows[1:])
    ):
        raise RunError(
            f"{path}: damaged; expected the columns {', '.join(COLUMNS)}, as written when the run started. Restore the "
            "file, or start a new run."
        )
    names = tuple(sorted({label for _, label, _ in rows[1:]}))
    number_of = {label: number for number, label in enumerate(names)}

    def part(wanted: str) -> FileDataset | None:
        images = [(root / relative, number_of[label]) for relative, label, split in rows[1:] if split == wanted]
        paths, labels = tuple(path for path, _ in images), torch.tensor([label for _, label in images])
        return FileDataset(name, paths, labels, names, num_channels) if images else None

    train = part("train")
    if train is None:
        raise RunError(f"{path}: damaged; no row has the split 'train'. Restore the file, or start a new run.")
    return Splits(train, part("validation"), part("test"))


def is_image_folder(path: Path) -> bool:
    """Recognise a folder of images in classes: it has `train`, or images in the folders inside it.

    Args:
        path: The folder.

    Returns:
        Whether it looks like one; `load_folder` checks it.
    """
    if any(inner.name.lower() == "train" and inner.is_dir() for inner in _inside(path)):
        return True
    folders = [inner for inner in _inside(path) if inner.is_dir()]
    if any(inner.name.lower() == "train" for folder in folders for inner in _inside(folder)):
        return len(folders) == 1  # `load_folder` names the inner folder; several are a folder of data sets
    images = (image for folder in folders for image in walk_images(str(folder), lambda _: None))
    return next(images, None) is not None


def _inside(path: Path) -> list[Path]:
    try:
        return [inner for inner in path.iterdir() if not is_ignored(inner.name)]
    except OSError:
        return []
