"""The confusion matrix on a page: numbers in a table up to 20 classes, a picture that is read cell by cell above."""

import base64
import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

MAX_NUMBERED = 20  # classes up to which each cell shows its count
_MAX_SIDE = 250  # cells of the picture; of more classes, each cell is the largest of a block
_LEAST, _MOST = np.array([255.0, 255.0, 255.0]), np.array([8.0, 48.0, 107.0])


def confusion_view(cells: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, Any]:
    """Return what the template draws. cells: [row (true class), column (predicted), count], those that are not empty.

    A cell's shade is its share of the row, under a square root, so that a share of 1 % shows next to one of 100 %.
    """
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for row, column, count in cells:
        matrix[row, column] = count
    support = matrix.sum(1)
    shares = np.sqrt(matrix / np.maximum(support, 1)[:, None])
    if len(names) <= MAX_NUMBERED:
        rows = [
            {
                "name": names[row],
                "support": int(support[row]),
                "cells": [
                    {"count": int(matrix[row, column]), "shade": round(float(shares[row, column]), 2)}
                    for column in range(len(names))
                ],
            }
            for row in range(len(names))
        ]
        return {"is_table": True, "names": list(names), "rows": rows}
    block = -(-len(names) // _MAX_SIDE)
    return {
        "is_table": False,
        "num_classes": len(names),
        "block": block,
        "uri": _picture(_pooled(shares, block)),
        "names": json.dumps(list(names), ensure_ascii=False),
        "cells": json.dumps([list(cell) for cell in cells], separators=(",", ":")),
    }


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
