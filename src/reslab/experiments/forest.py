"""The forest plot: every judged difference in points of error with its interval, its margin and the outcome."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.report.figures.style import INK, make_figure

from .chapters import Chapter
from .figures import GREY
from .judged import Estimate

FOREST_CAPTION = (
    "Every difference in points of error that a verdict rests on, with its 95 % interval. The bar is the claim's side "
    "of its margin: an interval inside of it agrees with the claim, one outside contradicts it, and one across its "
    "edge decides nothing. Differences above 10 points are drawn on a logarithmic scale."
)
_COLORS = {"reproduced": "#0a7f5a", "not reproduced": "#b3261e", "undecided": GREY, "not testable": GREY}
_LINEAR = 10.0  # points up to which the axis is linear
_ROW = 0.34  # inches


@dataclass(frozen=True, slots=True)
class _Row:
    """A judged difference.

    Attributes:
        label: Experiment, size and what is compared.
        estimate: The difference and its margin.
        outcome: Of the verdict that rests on it.
    """

    label: str
    estimate: Estimate
    outcome: str


def has_differences(chapters: Sequence[Chapter]) -> bool:
    """Return whether there is anything to draw: a judged difference in points of error with an interval."""
    return bool(_rows(chapters))


def draw_forest(chapters: Sequence[Chapter]) -> Figure:
    """Draw the differences of all chapters, the paper's claims above those beyond it.

    Args:
        chapters: Of the book, in its order.
    """
    rows = _rows(chapters)

    def draw_on(panels: Sequence[Axes]) -> None:
        axes = panels[0]
        axes.set_xscale("symlog", linthresh=_LINEAR, linscale=1.2)
        reach = 1.3 * max((abs(value) for row in rows for value in _ends(row)), default=1.0)
        axes.set_xlim(-reach, reach)
        for place, row in enumerate(rows):
            _draw_row(axes, len(rows) - 1 - place, row, reach)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_yticks(range(len(rows)), [row.label for row in reversed(rows)], fontsize=8)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xticks([tick for tick in (-50, -20, -10, -5, -2, 0, 2, 5, 10, 20, 50) if abs(tick) <= reach])
        axes.tick_params(axis="x", labelsize=8)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
        axes.minorticks_off()
        axes.set_xlabel("points of error")
        axes.grid(axis="y", visible=False)
        for outcome in ("reproduced", "not reproduced", "undecided"):
            label = "undecided or not testable" if outcome == "undecided" else outcome
            axes.plot([], [], "o-", color=_COLORS[outcome], label=label)
        handles, labels = axes.get_legend_handles_labels()
        figure = axes.get_figure()
        assert isinstance(figure, Figure)
        figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=3)

    return make_figure(draw_on, 1, height=1.2 + _ROW * len(rows))


def _draw_row(axes: Axes, place: int, row: _Row, reach: float) -> None:
    estimate = row.estimate
    side = (estimate.threshold, reach) if estimate.side == "above" else (-reach, estimate.threshold)
    axes.fill_betweenx([place - 0.32, place + 0.32], *side, color=GREY, alpha=0.13, lw=0)
    axes.plot(_ends(row), [place, place], "-", color=_COLORS[row.outcome], lw=2)
    axes.plot([estimate.difference.mean], [place], "o", color=_COLORS[row.outcome], ms=5)


def _ends(row: _Row) -> tuple[float, float]:
    return row.estimate.difference.low, row.estimate.difference.high


def _rows(chapters: Sequence[Chapter]) -> list[_Row]:
    return [
        _Row(f"{chapter.experiment.name}, {chapter.evidence.size}: {one.what}", one, verdict.outcome)
        for is_beyond in (False, True)
        for chapter in chapters
        if chapter.experiment.is_beyond is is_beyond
        for verdict in chapter.verdicts
        for one in verdict.estimates
        if isinstance(one, Estimate) and one.unit == "points" and not one.difference.no_interval
    ]
