"""What the experiments' figures share: curves of arms as in the paper's Fig. 6, dots for seeds, lines through means."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from reslab.report.figures.curves import BOLD, THIN, Curve, draw, points
from reslab.report.figures.style import COLORS, INK, in_iterations, make_figure

from .evidence import AnyEvidence
from .statistics import half_width_of_mean, spread

__all__ = [
    "GREY",
    "draw_curves",
    "draw_dots",
    "draw_every_run",
    "draw_means",
    "draw_pairs",
    "draw_points",
    "make_figure",
]

GREY = "#6b7280"


def draw_curves(
    axes: Axes,
    evidence: AnyEvidence,
    arms: Mapping[str, str],
    *,
    top: float | None = None,
    has_legend: bool = True,
) -> None:
    """Draw arms (name -> label): thin lines for training, bold ones for the split that was watched (Figs. 4 and 6).

    The legend says which split that is.
    """
    worst, watched = 0.0, ""
    for number, (arm, label) in enumerate(arms.items()):
        records = evidence.records[arm]
        color = COLORS[number % len(COLORS)]
        train = tuple(points(record.rows("train")) for record in records)
        monitor = evidence.config(arm).evaluation.monitor
        draw(axes, Curve("", color, THIN, train))
        if monitor != "none" and all(record.rows(monitor) for record in records):
            draw(axes, Curve(label, color, BOLD, tuple(points(record.rows(monitor)) for record in records)))
            watched = monitor
        else:
            axes.lines[-1].set_label(label)
        worst = max(worst, *(error for run in train for _, error in run[len(run) // 2 :]))
    for step in evidence.records[next(iter(arms))][0].rate_drops():
        axes.axvline(step, color=INK, linewidth=0.7, linestyle=(0, (4, 4)), alpha=0.5)
    axes.set_ylim(0, top or min(100.0, max(8.0, 1.3 * worst)))
    in_iterations(axes)
    axes.set_ylabel("error (%)")
    if not has_legend:
        return
    title = f"thin: training error; bold: {watched} error" if watched else "training error"
    axes.legend(loc="best", fontsize=9, title=title, title_fontsize=9)


def draw_every_run(axes: Axes, evidence: AnyEvidence, arm: str, title: str) -> None:
    """Draw the training error of every run of an arm, one line each, from 0 to 100 %."""
    for number, record in enumerate(evidence.records[arm]):
        steps, errors = zip(*points(record.rows("train")), strict=True)
        axes.plot(steps, errors, lw=1, alpha=0.8, color=COLORS[number % len(COLORS)])
    axes.set_ylim(0, 100)
    in_iterations(axes)
    axes.set_ylabel("training error (%)")
    axes.set_title(title, fontsize=10)


def draw_dots(axes: Axes, groups: Mapping[str, Sequence[float]], *, color: str = COLORS[0]) -> None:
    """Draw each group's values as dots over its name, with a bar at their mean.

    Where the values lie close together, far from 0, the axis begins near the smallest, and says so.
    """
    for place, values in enumerate(groups.values()):
        mean = sum(values) / len(values)
        axes.plot([place] * len(values), values, "o", color=color, ms=5, alpha=0.7)
        axes.plot([place - 0.2, place + 0.2], [mean, mean], color=color, lw=2)
        axes.annotate(spread(values), (place, max(values)), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.margins(x=0.15)
    axes.set_ylim(*_limits([value for values in groups.values() for value in values]))
    if axes.get_ylim()[0] > 0:
        axes.annotate("the axis does not begin at 0", (0.01, 0.015), xycoords="axes fraction", fontsize=8, color=GREY)
    axes.grid(axis="x", visible=False)


def draw_means(
    axes: Axes, places: Sequence[float], values: Sequence[Sequence[float]], *, color: str, label: str, dot: float = 4
) -> None:
    """Draw a line through the means of each place's values, and a dot for every value."""
    axes.plot(places, [sum(group) / len(group) for group in values], "-", color=color, lw=2, label=label)
    for place, group in zip(places, values, strict=True):
        axes.plot([place] * len(group), group, "o", color=color, ms=dot, alpha=0.7)


def draw_pairs(axes: Axes, pairs: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Draw the values of several kinds side by side over each group's name, a colour for each kind.

    Args:
        axes: The panel.
        pairs: Kind -> group -> values; all kinds have the same groups.
    """
    groups = list(next(iter(pairs.values())))
    for number, (kind, values_of) in enumerate(pairs.items()):
        color = COLORS[number]
        for place, group in enumerate(groups):
            values, x = values_of[group], place + 0.36 * (number - (len(pairs) - 1) / 2)
            mean = sum(values) / len(values)
            axes.plot([x] * len(values), values, "o", color=color, ms=5, alpha=0.7, label=kind if not place else "")
            axes.plot([x - 0.13, x + 0.13], [mean, mean], color=color, lw=2)
            text = f"{mean:.2f}"
            axes.annotate(text, (x, max(values)), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks(range(len(groups)), groups)
    axes.margins(x=0.1)
    every = [values for values_of in pairs.values() for values in values_of.values()]
    axes.set_ylim(*_limits([value for values in every for value in values]))
    axes.grid(axis="x", visible=False)
    axes.legend()


def draw_points(
    axes: Axes, places: Sequence[float], values: Sequence[Sequence[float]], *, color: str, label: str
) -> None:
    """Draw a pale dot for every value, and the mean of each place with its 95 % interval."""
    for place, group in zip(places, values, strict=True):
        axes.plot([place] * len(group), group, "o", color=color, ms=4, alpha=0.3, mew=0)
    means = [sum(group) / len(group) for group in values]
    half_widths = [half_width_of_mean(group) for group in values]
    axes.errorbar(places, means, half_widths, fmt="o", color=color, ms=5, capsize=3, lw=1.5, label=label)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Bottom and top of an axis: from 0, unless more than two thirds of it would be empty below the values."""
    low, high = min(values), max(values)
    if low <= high * 2 / 3:
        return 0, 1.25 * high or 1
    room = max(high - low, 0.01 * high)
    return low - 0.4 * room, high + 0.4 * room
