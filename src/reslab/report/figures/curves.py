"""Learning curves in the paper's style (Figs. 4 and 6): training error thin, test or validation error bold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.artifacts.metrics_log import TrainRow

from .style import COLORS, INK, in_iterations, styled

THIN, BOLD = 0.9, 2.2


@dataclass(frozen=True, slots=True)
class Curve:
    """One line, or several of different seeds drawn as their mean and a band from lowest to highest.

    Attributes:
        label: Its name in the legend.
        color: Its colour.
        width: Its width in points.
        runs: For each seed its points (step, value).
    """

    label: str
    color: str
    width: float
    runs: tuple[tuple[tuple[int, float], ...], ...]


class HasError(Protocol):
    """A row of a log, or a point of a recorded curve."""

    @property
    def step(self) -> int: ...
    @property
    def error(self) -> float: ...


def points(rows: Sequence[HasError]) -> tuple[tuple[int, float], ...]:
    """Return the (step, error in %) points of a log's rows."""
    return tuple((row.step, row.error) for row in rows)


def draw(axes: Axes, curve: Curve) -> None:
    """Draw a curve; several seeds as mean and band over the steps they share, each as far as it has come.

    Args:
        axes: The panel.
        curve: The seeds, and how the line looks.
    """
    tables = [dict(run) for run in curve.runs]
    ends = [max(table, default=0) for table in tables]
    steps = sorted({step for table in tables for step in table})
    shared = [step for step in steps if all(step in t or step > end for t, end in zip(tables, ends, strict=True))]
    values = [[table[step] for table in tables if step in table] for step in shared]
    means = [sum(row) / len(row) for row in values]
    axes.plot(shared, means, color=curve.color, linewidth=curve.width, label=_as_text(curve.label))
    if len(tables) > 1:
        axes.fill_between(shared, [min(row) for row in values], [max(row) for row in values],
                          color=curve.color, alpha=0.15, linewidth=0)  # fmt: skip


def _as_text(label: str) -> str:
    """Escape the dollars of a label: matplotlib takes what is between two of them for a formula."""
    return label.replace("$", r"\$")


def error_figure(
    train: Sequence[HasError],
    monitored: Sequence[HasError],
    split: str,
    drops: Sequence[int] = (),
    top: float | None = None,
) -> Figure:
    """Draw the errors of one run over its iterations.

    Args:
        train: The training error.
        monitored: The error of the split that was evaluated along the way; may be empty.
        split: What that split is called.
        drops: Steps at which the learning rate drops, each a dashed line.
        top: The top of the error axis; by default it leaves out the start.
    """
    with styled():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        axes = figure.add_subplot()
        if train:
            draw(axes, Curve("training error (batches as trained on)", COLORS[0], THIN, (points(train),)))
        if monitored:
            draw(axes, Curve(f"{split} error", COLORS[0], BOLD, (points(monitored),)))
        for step in drops:
            axes.axvline(step, color=INK, linewidth=0.7, linestyle=(0, (4, 4)), alpha=0.5)
        axes.set_ylim(0, top or _top([*points(train), *points(monitored)]))
        axes.set_ylabel("error (%)")
        in_iterations(axes)
        if train or monitored:
            axes.legend(loc="best")  # a plain net that does not converge stays in the upper right
    return figure


def loss_figure(train: Sequence[TrainRow]) -> Figure:
    """Draw the training loss and, below it, the learning rate; both on logarithmic axes."""
    with styled():
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        steps = [row.step for row in train]
        upper.plot(steps, [max(row.loss, 1e-8) for row in train], color=COLORS[1], linewidth=THIN)
        upper.set_yscale("log")
        upper.set_ylabel("training loss")
        lower.step(steps, [row.lr for row in train], color=COLORS[2], linewidth=1.4, where="post")
        lower.set_yscale("log")
        lower.set_ylabel("learning rate")
        in_iterations(lower)
    return figure


def _top(values: Sequence[tuple[int, float]]) -> float:
    """Return a top of the error axis above nine tenths of the points, so that the start does not flatten the rest."""
    if not values:
        return 100
    ordered = sorted(value for _, value in values)
    return min(100.0, max(5.0, 1.6 * ordered[int(0.9 * (len(ordered) - 1))]))
