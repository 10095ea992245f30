"""Values of a network's layers as lines: in order of depth, and sorted as in the paper's Fig. 7."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class LayerLine:
    """One network's line.

    Attributes:
        values: One for each layer, in order of depth; NaN leaves a gap.
        color: Its colour.
        style: A format of matplotlib, like ".-".
        label: Its name in the legend; may be empty.
        is_faint: Thin and pale, behind the others.
    """

    values: Sequence[float]
    color: str
    style: str = "-"
    label: str = ""
    is_faint: bool = False


def draw_responses(panels: Sequence[Axes], lines: Sequence[LayerLine]) -> None:
    """Draw standard deviations of responses in order of depth, and the largest first (paper Fig. 7).

    Args:
        panels: The axes of both.
        lines: The networks.
    """
    for line in lines:
        _plot(panels[0], line, line.values)
        _plot(panels[1], line, sorted(filter(math.isfinite, line.values), reverse=True))
    for axes, title in zip(panels, ("in order of depth", "sorted"), strict=True):
        axes.set_xlabel("3x3 layer, " + title)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("standard deviation")


def draw_by_depth(axes: Axes, line: LayerLine, what: str = "3x3 layer") -> None:
    """Draw one value for each layer, in order of depth.

    Args:
        axes: The panel.
        line: The network.
        what: What the layers are called.
    """
    _plot(axes, line, line.values)
    axes.set_xlabel(f"{what}, in order of depth")


def _plot(axes: Axes, line: LayerLine, values: Sequence[float]) -> None:
    width, alpha, order = (0.9, 0.6, 1) if line.is_faint else (1.5, 1.0, 2)
    layers = range(1, len(values) + 1)
    axes.plot(layers, values, line.style, color=line.color, lw=width, alpha=alpha, zorder=order, label=line.label)
