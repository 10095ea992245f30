"""CSV files that list images, with the columns path, label and, for several splits, split."""

import csv
from collections.abc import Sequence
from pathlib import Path

from reslab.data.checks.findings import Finding
from reslab.errors import RunError

from .inventory import LAYOUTS, PART_NAMES, Inventory, Item, inventory_folder

COLUMNS = ("path", "label", "split")
_NAMES = (("path", "file", "filename", "image"), ("label", "class", "target"), ("split", "part", "set"))


def take_inventory(path: Path) -> Inventory:
    """List the splits, classes and files of a folder or CSV file, without reading the images.

    Args:
        path: A folder in one of the known layouts, or a CSV file.

    Returns:
        The inventory.

    Raises:
        RunError: The path does not exist, is of another kind, or has no images in classes.
    """
    if path.is_dir():
        return inventory_folder(path)
    if not path.exists():
        raise RunError(f"{path} does not exist; {LAYOUTS}.")
    if path.suffix.lower() != ".csv":
        raise RunError(f"{path} is neither a folder nor a CSV file; {LAYOUTS}.")
    return _inventory_list(path)


def write_list(rows: Sequence[Sequence[str]], header: Sequence[str] = COLUMNS) -> bytes:
    """Format a CSV file; names that are not valid Unicode keep their bytes.

    Args:
        rows: The cells of each row.
        header: The names of the columns.

    Returns:
        The file's content.
    """
    lines = [",".join(_quoted(cell) for cell in row) for row in (header, *rows)]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def read_list(path: Path) -> list[list[str]]:
    """Read a CSV file.

    Args:
        path: The file.

    Returns:
        The cells of each row, the header first.

    Raises:
        RunError: The file cannot be read.
    """
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
    path_column, label_column, split_column = columns
    if path_column is None or label_column is None:
        problem = f"has the columns {', '.join(header)}" if header else "is empty"
        raise RunError(
            f"{path}: {problem}; expected path and label (and split) in the first line, separated by commas."
        )
    inventory = Inventory(path, "csv")
    line_of: dict[Path, int] = {}
    for number, row in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in row):
            cells = [row[column] if column is not None and column < len(row) else "" for column in columns]
            _add_row(inventory, line_of, number, cells, has_splits=split_column is not None)
    for name in dict.fromkeys(item.split for item in inventory.items):
        inventory.classes[name] = sorted({item.label for item in inventory.items if item.split == name})
    if inventory.items and split_column is not None and "train" not in inventory.classes:
        raise RunError(f"{path}: no row has the split 'train'; the splits are: {', '.join(inventory.classes)}.")
    return inventory


def _add_row(
    inventory: Inventory, line_of: dict[Path, int], number: int, cells: list[str], *, has_splits: bool
) -> None:
    relative, label, split = cells
    part = PART_NAMES.get(split.strip().lower()) if has_splits else "all"
    file = inventory.root.parent / relative
    if not relative.strip() or not label.strip():
        problem = f"has no {'path' if not relative.strip() else 'label'}"
    elif part is None:
        problem = f"has split {split!r}; allowed: train, val, test"
    elif file in line_of:
        problem = f"repeats {relative}, which is in line {line_of[file]}"
    else:
        line_of[file] = number
        inventory.items.append(Item(file, part, label))
        return
    text = f"{inventory.root}, line {number}: {problem}."
    inventory.findings.append(Finding("list-row", text, (file,) if relative.strip() else (inventory.root,)))
