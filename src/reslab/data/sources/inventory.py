"""The splits, classes and files of a folder of images in any known layout, by their names only."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reslab.data.checks.findings import Finding
from reslab.errors import RunError, counted, first_few

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
     ".ppm", ".pgm", ".pbm", ".pnm", ".npy"]
)  # fmt: skip
# pictures in formats that are not read; leaving them out silently would hide missing images
UNREAD_SUFFIXES = frozenset(
    [".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".tga", ".ico",
     ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".exr", ".hdr", ".dcm"]
)  # fmt: skip
PARTS = ("train", "validation", "test")
PART_NAMES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
LAYOUTS = (
    "expected: train/<class>/*.jpg with val/<class>/* (or valid, validation) and test/<class>/* next to it, "
    "or a folder of class folders, or a CSV file with the columns path,label (and split)"
)

_IGNORED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"))  # left by operating systems
Layout = Literal["splits", "classes", "csv"]


@dataclass(frozen=True, slots=True)
class Item:
    """One image file.

    Attributes:
        path: The file.
        split: "train", "validation" or "test"; "all" in a layout without splits.
        label: Name of the class.
    """

    path: Path
    split: str
    label: str


@dataclass(slots=True)
class Inventory:
    """The contents of a folder or CSV file of images.

    Attributes:
        root: The folder or the CSV file.
        layout: Folders of splits, folders of classes, or a CSV file.
        items: Image files by their suffix, in a fixed order, whether or not they exist and can be read.
        classes: Class names of each split, sorted, including classes without images.
        split_folders: Folder that contains each split's class folders; empty for a CSV file.
        strays: Files that are not images by their suffix, or are outside the class folders.
        findings: Defects noticed while listing.
    """

    root: Path
    layout: Layout
    items: list[Item] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    split_folders: dict[str, Path] = field(default_factory=dict)
    strays: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def of_split(self, split: str) -> list[Item]:
        """Return the images of one split.

        Args:
            split: "train", "validation", "test" or "all".

        Returns:
            The images, in order.
        """
        return [item for item in self.items if item.split == split]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Training's classes, which every other split must have too."""
        return tuple(self.classes.get("train", self.classes.get("all", [])))


def is_image_name(name: str) -> bool:
    """Recognise an image file by its suffix, also in formats that are not read; hidden files are not images.

    Args:
        name: The file's name.

    Returns:
        Whether it is an image by its name.
    """
    suffix = Path(name).suffix.lower()
    return not is_ignored(name) and (suffix in SUFFIXES or suffix in UNREAD_SUFFIXES)


def is_ignored(name: str) -> bool:
    """Recognise hidden files and folders, and those left by operating systems.

    Args:
        name: Name of the file or folder.

    Returns:
        Whether it is ignored.
    """
    return name.startswith(".") or name in _IGNORED


def inventory_folder(path: Path) -> Inventory:
    """List the splits, classes and image files of a folder.

    Args:
        path: The folder.

    Returns:
        The inventory.

    Raises:
        RunError: The folder has neither `train` nor class folders, or cannot be opened.
    """
    folders, files = _entries(path)
    of_split = defaultdict(list)
    for folder in folders:
        if part := PART_NAMES.get(folder.name.lower()):
            of_split[part].append(folder)
    if "train" not in of_split:
        return _inventory_classes(path, folders, files, [folder.name for part in of_split.values() for folder in part])
    inventory = Inventory(path, "splits")
    for part in PARTS:
        if len(of_split[part]) > 1:
            names = " and ".join(folder.name for folder in of_split[part])
            text = f"{path}: {names} both mean {part}."
            inventory.findings.append(Finding("ambiguous-split", text, tuple(of_split[part])))
        for folder in of_split[part][:1]:
            _add_split(inventory, part, folder, *_entries(folder, inventory))
    inventory.strays += files
    inventory.findings += unused_folders(path)
    return inventory


def unused_folders(path: Path) -> list[Finding]:
    """Find folders with images next to `train` whose name is not that of a split.

    Args:
        path: The folder that contains `train`.

    Returns:
        One finding for each folder; none without `train`.
    """
    folders, _ = _entries(path)
    if all(PART_NAMES.get(folder.name.lower()) != "train" for folder in folders):
        return []
    counts = {folder: _count_images(folder) for folder in folders if folder.name.lower() not in PART_NAMES}
    return [
        Finding(
            "unused-folder",
            f"{folder}: {counted(count, 'image')} not used; names of splits are {', '.join(PART_NAMES)}.",
            (folder,),
        )
        for folder, count in counts.items()
        if count
    ]


def _count_images(folder: Path) -> int:
    discarded = Inventory(folder, "classes")  # takes the findings, which do not matter in an unused folder
    return sum(is_image_name(file.name) for file in _walk(folder, (), discarded))


def _inventory_classes(path: Path, folders: list[Path], files: list[Path], split_names: list[str]) -> Inventory:
    """List a folder of class folders; fail if some of them are named like splits (`split_names`)."""
    if split_names:
        names = first_few(map(repr, split_names))
        raise RunError(
            f"{path}: has {names}, which is read as a split, but no folder 'train' next to it. If it is a class, put "
            f"the class folders into {path / 'train'}, or use a CSV file; {LAYOUTS}."
        )
    if not folders:
        raise RunError(f"{path}: has no folder 'train' and no class folders; {LAYOUTS}.")
    if len(folders) == 1 and any(inner.name.lower() == "train" for inner in _entries(folders[0])[0]):
        raise RunError(f"{path}: has no folder 'train', but {folders[0]} has one; use {folders[0]} instead.")
    inventory = Inventory(path, "classes")
    _add_split(inventory, "all", path, folders, files)
    return inventory


def _entries(folder: Path, inventory: Inventory | None = None) -> tuple[list[Path], list[Path]]:
    """Return the (folders, files) in a folder, by name, with links followed and hidden entries left out.

    A broken link is a file. A folder that cannot be opened is a finding of the inventory; without one, an error.
    """
    folders: list[Path] = []
    files: list[Path] = []
    try:
        names = sorted(item.name for item in folder.iterdir() if not is_ignored(item.name))
        for name in names:
            (folders if _is_folder(folder / name) else files).append(folder / name)
    except OSError as error:
        problem = f"{folder}: cannot be opened: {error.strerror}."
        if inventory is None:
            raise RunError(problem) from None
        inventory.findings.append(Finding("unreadable-folder", problem, (folder,)))
        return [], []
    return folders, files


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return False
        raise


def _add_split(inventory: Inventory, split: str, folder: Path, folders: list[Path], files: list[Path]) -> None:
    inventory.classes[split], inventory.split_folders[split] = [item.name for item in folders], folder
    loose = tuple(file for file in files if is_image_name(file.name))
    if loose:
        kind = "unclassed" if folders else "flat"
        advice = "move each into its class folder" if folders else LAYOUTS
        text = f"{folder}: {counted(len(loose), 'image')} outside the class folders; {advice}."
        inventory.findings.append(Finding(kind, text, loose if folders else (folder,)))
    inventory.strays += [file for file in files if not is_image_name(file.name)]
    for class_folder in folders:
        parents = set()
        for file in _walk(class_folder, (os.path.realpath(folder),), inventory):
            if is_image_name(file.name):
                inventory.items.append(Item(file, split, class_folder.name))
                parents.add(file.parent)
            else:
                inventory.strays.append(file)
        if len(parents) > 1:
            names = first_few(sorted(str(parent.relative_to(folder)) for parent in parents))
            text = f"{class_folder}: images in {len(parents)} folders: {names}; all count as {class_folder.name!r}."
            inventory.findings.append(Finding("nested-class", text, (class_folder,)))


def _walk(folder: Path, above: tuple[str, ...], inventory: Inventory) -> Iterator[Path]:
    """Yield every file below a folder, with links followed; a link to a folder around it is a finding."""
    real = os.path.realpath(folder)
    if real in above:
        text = f"{folder}: a link to {real}, which contains it."
        inventory.findings.append(Finding("link-loop", text, (folder,)))
        return
    folders, files = _entries(folder, inventory)
    yield from files
    for inner in folders:
        yield from _walk(inner, (*above, real), inventory)
