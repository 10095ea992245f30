"""A CSV file that lists images: the columns path and label, and split where the images are in several."""

import csv
from collections.abc import Sequence
from pathlib import Path

from reslab.data.checks.findings import Finding
from reslab.errors import RunError

from .inventory import LAYOUTS, PART_NAMES, Inventory, Item, inventory_folder

COLUMNS = ("path", "label", "split")
_NAMES = (("path", "file", "filename", "image"), ("label", "class", "target"), ("split", "part", "set"))


def take_inventory(path: Path) -> Inventory:
    """Return what lies in a folder, or what a CSV file lists; RunError where there are no images in classes at all."""
    if path.is_dir():
        return inventory_folder(path)
    if not path.exists():
        raise RunError(f"{path} does not exist; {LAYOUTS}.")
    if path.suffix.lower() != ".csv":
        raise RunError(f"{path} is no folder and no CSV file; {LAYOUTS}.")
    return _inventory_list(path)


def write_list(rows: Sequence[Sequence[str]], header: Sequence[str] = COLUMNS) -> bytes:
    """Return the content of a CSV file; names that are not valid Unicode keep their bytes."""
    lines = [",".join(_quoted(cell) for cell in row) for row in (header, *rows)]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def read_list(path: Path) -> list[list[str]]:
    """Return the rows of a CSV file, its line of names first; RunError names the file and what is wrong with it."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read as a CSV file: {error}.") from None


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell


def _inventory_list(path: Path) -> Inventory:
    rows = read_list(path)
    header = [name.strip().lower() for name in rows[0]] if rows else []
    columns = [next((header.index(name) for name in names if name in header), None) for names in _NAMES]
    place, label, split = columns
    if place is None or label is None:
        there = f"has the columns {', '.join(header)}" if header else "is empty"
        raise RunError(f"{path}: {there}; expected path and label (and split) in its first line, with commas between.")
    found = Inventory(path, "csv")
    seen: dict[Path, int] = {}
    for number, row in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in row):
            cells = [row[column] if column is not None and column < len(row) else "" for column in columns]
            _add_row(found, seen, number, cells, has_splits=split is not None)
    for name in dict.fromkeys(item.split for item in found.items):
        found.classes[name] = sorted({item.label for item in found.items if item.split == name})
    if found.items and split is not None and "train" not in found.classes:
        raise RunError(f"{path}: has no row whose split is 'train'; there are: {', '.join(found.classes)}.")
    return found


def _add_row(found: Inventory, seen: dict[Path, int], number: int, cells: list[str], *, has_splits: bool) -> None:
    place, label, split = cells
    part = PART_NAMES.get(split.strip().lower()) if has_splits else "all"
    file = found.root.parent / place
    if not place.strip() or not label.strip():
        problem = f"has no {'path' if not place.strip() else 'label'}"
    elif part is None:
        problem = f"has split {split!r}; allowed: train, val, test"
    elif file in seen:
        problem = f"names {place} again, after line {seen[file]}"
    else:
        seen[file] = number
        found.items.append(Item(file, part, label))
        return
    text = f"{found.root}, line {number}: {problem}."
    found.findings.append(Finding("list-row", text, (file,) if place.strip() else (found.root,)))
