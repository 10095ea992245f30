"""The confusion matrix on a page: a table of numbers up to 20 classes, a picture to read cell by cell above."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar

import numpy as np
from PIL import Image

from reslab.evaluation.summary import ConfusionCells

MAX_NUMBERED = 20  # classes up to which each cell shows its count
_MAX_SIDE = 250  # cells of the picture; of more classes, each cell is the largest of a block
_LEAST, _MOST = np.array([255.0, 255.0, 255.0]), np.array([8.0, 48.0, 107.0])


@dataclass(frozen=True, slots=True)
class ShadedCell:
    """A cell of the table.

    Attributes:
        count: Images.
        shade: From 0 to 1: the square root of the cell's share of the row, so that a share of 1 % shows next to one of
            100 %.
    """

    count: int
    shade: float


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """A row of the table: a true class, and a cell for each answer."""

    name: str
    cells: tuple[ShadedCell, ...]


@dataclass(frozen=True, slots=True)
class ConfusionTable:
    """A confusion matrix with the count in each cell."""

    is_table: ClassVar = True
    names: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]


@dataclass(frozen=True, slots=True)
class ConfusionPicture:
    """A confusion matrix as a picture, which the page's script reads cell by cell.

    Attributes:
        num_classes: Rows and columns.
        block: Each pixel is the largest of block x block cells.
        uri: The picture as a data URI.
        names: The classes, a JSON list.
        cells: The cells that are not empty, a JSON list of [row, column, count].
    """

    is_table: ClassVar = False
    num_classes: int
    block: int
    uri: str
    names: str
    cells: str


def confusion_view(confusion: ConfusionCells, names: Sequence[str]) -> ConfusionTable | ConfusionPicture:
    """Draw a confusion matrix.

    Args:
        confusion: The matrix.
        names: The classes, in the order of its rows.

    Returns:
        A table up to 20 classes, a picture above.
    """
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for row, column, count in confusion.cells:
        matrix[row, column] = count
    support = matrix.sum(1)
    shares = np.sqrt(matrix / np.maximum(support, 1)[:, None])
    if len(names) <= MAX_NUMBERED:
        rows = (
            tuple(ShadedCell(count, round(share, 2)) for count, share in zip(counts, of_row, strict=True))
            for counts, of_row in zip(matrix.tolist(), shares.tolist(), strict=True)
        )
        return ConfusionTable(tuple(names), tuple(map(ConfusionRow, names, rows)))
    block = -(-len(names) // _MAX_SIDE)
    return ConfusionPicture(
        num_classes=len(names),
        block=block,
        uri=_picture(_pooled(shares, block)),
        names=json.dumps(list(names), ensure_ascii=False),
        cells=json.dumps(confusion.cells, separators=(",", ":")),
    )


def _pooled(shares: np.ndarray, block: int) -> np.ndarray:
    """Return the largest share of each block x block cells."""
    side = -(-len(shares) // block)
    padded = np.zeros((side * block, side * block))
    padded[: len(shares), : len(shares)] = shares
    return padded.reshape(side, block, side, block).max(axis=(1, 3))


def _picture(shares: np.ndarray) -> str:
    """Return a data URI of a PNG with one pixel for each value, from white (0) to dark blue (1)."""
    colors = _LEAST + (_MOST - _LEAST) * np.linspace(0, 1, 256)[:, None]
    picture = Image.fromarray((shares * 255).round().astype(np.uint8), mode="P")
    picture.putpalette(colors.round().astype(np.uint8).tobytes())
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
