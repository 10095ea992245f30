"""What lies in a folder of images: splits, classes and files, whatever the layout. Nothing is decoded here."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reslab.data.checks.findings import Finding, listed
from reslab.errors import RunError

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
     ".ppm", ".pgm", ".pbm", ".pnm", ".npy"]
)  # fmt: skip
# pictures that are meant to be images of the set, but are not read; leaving them out has to be said
UNREAD_SUFFIXES = frozenset(
    [".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".tga", ".ico",
     ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".exr", ".hdr", ".dcm"]
)  # fmt: skip
PARTS = ("train", "validation", "test")
PART_NAMES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
LAYOUTS = (
    "expected: train/<class>/*.jpg with val/<class>/* (or valid, validation) and test/<class>/* beside it, "
    "or a folder of class folders, or a CSV file with the columns path,label (and split)"
)

_IGNORED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"))  # what systems leave behind
Layout = Literal["splits", "classes", "csv"]


@dataclass(frozen=True, slots=True)
class Item:
    """One image file. split: "train", "validation", "test"; "all" where the layout has none."""

    path: Path
    split: str
    label: str


@dataclass(slots=True)
class Inventory:
    """What was found below `root` (for a CSV file: the file itself).

    items: image files by their suffix, in a fixed order, also those that cannot be read or are not there.
    classes: for each split its class names, sorted; also those without a single image.
    split_folders: where each split's class folders are; none for a CSV file.
    strays: files that are no images by their suffix, or lie outside any class.
    findings: defects that were met on the way.
    """

    root: Path
    layout: Layout
    items: list[Item] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    split_folders: dict[str, Path] = field(default_factory=dict)
    strays: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def of_split(self, split: str) -> list[Item]:
        """Return the items of one split, in order."""
        return [item for item in self.items if item.split == split]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of training, which those of all other splits have to equal."""
        return tuple(self.classes.get("train", self.classes.get("all", [])))


def is_image_name(name: str) -> bool:
    """Whether a file is meant to be an image, by its suffix; hidden files are not."""
    suffix = Path(name).suffix.lower()
    return not is_ignored(name) and (suffix in SUFFIXES or suffix in UNREAD_SUFFIXES)


def is_ignored(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by a system."""
    return name.startswith(".") or name in _IGNORED


def inventory_folder(path: Path) -> Inventory:
    """Look through a folder; RunError where there is neither `train` nor any class folder."""
    folders, files = _entries(path)
    named = defaultdict(list)
    for folder in folders:
        if part := PART_NAMES.get(folder.name.lower()):
            named[part].append(folder)
    if "train" not in named:
        return _inventory_classes(path, folders, files, [folder.name for part in named.values() for folder in part])
    found = Inventory(path, "splits")
    for part in PARTS:
        if len(named[part]) > 1:
            both = " and ".join(folder.name for folder in named[part])
            found.findings.append(Finding("ambiguous-split", f"{path}: {both} both mean {part}.", tuple(named[part])))
        for folder in named[part][:1]:
            _add_split(found, part, folder, *_entries(folder, found))
    found.strays += files
    found.findings += unused_folders(path)
    return found


def unused_folders(path: Path) -> list[Finding]:
    """Return the folders beside `train` that are no split by their name, and hold images; none without a `train`."""
    folders, _ = _entries(path)
    if all(PART_NAMES.get(folder.name.lower()) != "train" for folder in folders):
        return []
    counts = {folder: _count_images(folder) for folder in folders if folder.name.lower() not in PART_NAMES}
    return [
        Finding(
            "unused-folder",
            f"{folder}: {count} image(s) that are not used; a split is called {', '.join(PART_NAMES)}.",
            (folder,),
        )
        for folder, count in counts.items()
        if count
    ]


def _count_images(folder: Path) -> int:
    aside = Inventory(folder, "classes")  # what is wrong inside does not matter, as nothing of it is used
    return sum(is_image_name(file.name) for file in _walk(folder, (), aside))


def _inventory_classes(path: Path, folders: list[Path], files: list[Path], parts: list[str]) -> Inventory:
    """parts: names of folders that are taken for splits."""
    if parts:
        raise RunError(
            f"{path}: has no folder 'train' beside {listed(parts)}, which is taken for a split (if it is a class, put "
            f"the class folders into {path / 'train'}, or give a CSV file); {LAYOUTS}."
        )
    if not folders:
        raise RunError(f"{path}: has no folder 'train' and no class folders; {LAYOUTS}.")
    if len(folders) == 1 and any(inner.name.lower() == "train" for inner in _entries(folders[0])[0]):
        raise RunError(f"{path}: has no folder 'train', but {folders[0]} has one; give that folder.")
    found = Inventory(path, "classes")
    _add_split(found, "all", path, folders, files)
    return found


def _entries(folder: Path, found: Inventory | None = None) -> tuple[list[Path], list[Path]]:
    """Return the (folders, files) in a folder by name, links followed, hidden ones left out.

    A dead link is a file. A folder that cannot be opened is a finding; RunError where there is no inventory to note it.
    """
    folders: list[Path] = []
    files: list[Path] = []
    try:
        names = sorted(item.name for item in folder.iterdir() if not is_ignored(item.name))
        for name in names:
            (folders if _is_folder(folder / name) else files).append(folder / name)
    except OSError as error:
        problem = f"{folder}: cannot be opened: {error.strerror}."
        if found is None:
            raise RunError(problem) from None
        found.findings.append(Finding("unreadable-folder", problem, (folder,)))
        return [], []
    return folders, files


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return False
        raise


def _add_split(found: Inventory, split: str, folder: Path, folders: list[Path], files: list[Path]) -> None:
    found.classes[split], found.split_folders[split] = [item.name for item in folders], folder
    loose = tuple(file for file in files if is_image_name(file.name))
    if loose:
        kind = "unclassed" if folders else "flat"
        advice = "move each into its class folder" if folders else LAYOUTS
        text = f"{folder}: {len(loose)} image(s) in no class folder; {advice}."
        found.findings.append(Finding(kind, text, loose if folders else (folder,)))
    found.strays += [file for file in files if not is_image_name(file.name)]
    for class_folder in folders:
        homes = set()
        for file in _walk(class_folder, (os.path.realpath(folder),), found):
            if is_image_name(file.name):
                found.items.append(Item(file, split, class_folder.name))
                homes.add(file.parent)
            else:
                found.strays.append(file)
        if len(homes) > 1:
            names = ", ".join(sorted(str(home.relative_to(folder)) for home in homes)[:5])
            text = f"{class_folder}: images in {len(homes)} folders ({names}), all of class {class_folder.name!r}."
            found.findings.append(Finding("nested-class", text, (class_folder,)))


def _walk(folder: Path, above: tuple[str, ...], found: Inventory) -> Iterator[Path]:
    """Every file below a folder, links followed; a link to a folder above it is noted and left."""
    real = os.path.realpath(folder)
    if real in above:
        found.findings.append(Finding("link-loop", f"{folder}: a link to {real}, which it is in.", (folder,)))
        return
    folders, files = _entries(folder, found)
    yield from files
    for inner in folders:
        yield from _walk(inner, (*above, real), found)
