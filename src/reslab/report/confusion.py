"""The confusion matrix as a picture, and the error of each class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .figures import INK, styled

_MAX_NUMBERED = 20  # classes up to which each cell shows its count


def confusion_figure(counts: Sequence[Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Return the matrix, each row (true class) coloured by its shares; counts: [num_classes][num_classes]."""
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    size = len(matrix)
    with styled():
        side = min(9.0, max(4.4, 0.52 * size + 1.6))
        figure = Figure(figsize=(side, side * 0.92), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        every = 1 if size <= 30 else -(-size // 25)
        ticks = range(0, size, every)
        names = [_short(class_names[tick]) for tick in ticks]
        font = 9 if size <= _MAX_NUMBERED else 6
        is_upright = max(map(len, names)) < 3
        placed = {"rotation": 0, "ha": "center"} if is_upright else {"rotation": 60, "ha": "right"}
        axes.set_xticks(list(ticks), names, fontsize=font, **placed)
        axes.set_yticks(list(ticks), names, fontsize=font)
        axes.spines[:].set_visible(False)
        if size <= _MAX_NUMBERED:
            for row in range(size):
                for column in range(size):
                    color = "white" if shares[row, column] > 0.5 else INK
                    if matrix[row, column]:
                        axes.text(
                            column, row, str(matrix[row, column]), ha="center", va="center", color=color, fontsize=8
                        )
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"
