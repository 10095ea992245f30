"""Several runs side by side: a table, and curves as in the paper's Figs. 4 and 6 (plain left, residual right)."""

import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.artifacts.documents import DataFacts, Session
from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.errors import UsageError
from reslab.spec import ModelSpec
from reslab.system.files import open_atomically, write_atomically

from .figures.curves import BOLD, THIN, Curve, HasError, draw, points
from .figures.style import COLORS, INK, in_iterations, styled, to_svg
from .grouping import Alike, group_alike
from .html import figure_markup, write_page
from .reading import ReadRun, read_run


@dataclass(frozen=True, slots=True)
class Row:
    """One run in the table.

    Attributes:
        path: Its folder, or its record.
        label: The recipe, and in which settings the run differs from others of the recipe in the comparison.
        recipe: The recipe's name.
        network: The network's label.
        seed: The run's seed.
        iterations: Steps that were made.
        train_error: In %; None while the run is not finished, or without such a split. So are the next three.
        reported_split: The split whose error is the result.
        reported_error: That error, in %.
        minutes: Time spent in training.
        selection: Which weights are the result, in words.
    """

    path: str
    label: str
    recipe: str
    network: str
    seed: int
    iterations: int
    train_error: float | None
    reported_split: str | None
    reported_error: float | None
    minutes: float | None
    selection: str


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one training with different seeds.

    Attributes:
        label: As in `Row`.
        recipe: The recipe's name.
        spec: The network.
        runs: The runs.
        rows: Their rows in the table.
    """

    label: str
    recipe: str
    spec: ModelSpec
    runs: tuple[ReadRun, ...]
    rows: tuple[Row, ...]

    @property
    def seeds(self) -> str:
        """How many seeds; with the number of runs, where a seed was run more than once."""
        count = len({row.seed for row in self.rows})
        return str(count) if count == len(self.rows) else f"{count} ({len(self.rows)} runs)"

    def spread(self, key: str) -> str:
        """Return the mean and the standard deviation over the runs, in words.

        Args:
            key: "train_error" or "reported_error".
        """
        values = [value for row in self.rows if (value := getattr(row, key)) is not None]
        if not values:
            return "-"
        mean = f"{statistics.mean(values):.2f}"
        return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs in the order given, grouped by training."""

    groups: tuple[Group, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every run's row."""
        return tuple(row for group in self.groups for row in group.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonPage:
    """What `comparison.html` shows.

    Attributes:
        title: The heading.
        verdict: Sentences at the top.
        figure: The curves.
        caption: The words under them.
        groups: The runs.
        data: The first run's data.
        session: The first run's first start.
    """

    title: str
    verdict: tuple[str, ...]
    figure: Markup
    caption: str
    groups: tuple[Group, ...]
    data: DataFacts
    session: Session


def compare(runs: Sequence[RunFolder | RecordedRun]) -> Comparison:
    """Read runs and group them by training.

    A group is of runs whose configs differ in nothing but the seed and where data and weights lie, on the same data.

    Args:
        runs: The runs; one given twice counts once.

    Raises:
        UsageError: There are none.
    """
    if not runs:
        raise UsageError("no runs to compare; give run folders, or a folder that holds some.")
    return Comparison(tuple(_group(alike) for alike in group_alike([read_run(run) for run in runs])))


def write_comparison(
    runs: Sequence[RunFolder | RecordedRun], path: Path, *, title: str = "Comparison", verdict: Sequence[str] = ()
) -> Path:
    """Write one self-contained HTML page with the curves and the table.

    Args:
        runs: The runs; one given twice counts once.
        path: The file to write.
        title: The heading.
        verdict: Sentences at the top.

    Returns:
        The path.
    """
    comparison, first = compare(runs), runs[0].environment()
    label = "Learning curves. " + "; ".join(
        f"{group.label}: training error {group.spread('train_error')} %" for group in comparison.groups
    )
    page = ComparisonPage(
        title=title,
        verdict=tuple(verdict),
        figure=figure_markup(to_svg(comparison_figure(comparison), "curves", label)),
        caption=_caption(comparison),
        groups=comparison.groups,
        data=first.data,
        session=first.sessions[0],
    )
    return write_page("comparison.html", path, page)


def save_figure(runs: Sequence[RunFolder | RecordedRun], path: Path) -> Path:
    """Write the curves alone.

    Args:
        runs: The runs; one given twice counts once.
        path: The file to write; its suffix is .svg or .png.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is another one, or there are no runs.
    """
    figure = comparison_figure(compare(runs))
    if path.suffix == ".svg":
        svg = to_svg(figure, "curves", "Learning curves")
        write_atomically(
            path,
            svg.replace("<svg", '<svg style="background:#fff"', 1)
            if "style=" not in svg[:200]
            else svg.replace('style="', 'style="background:#fff;', 1),
        )
    elif path.suffix == ".png":
        with styled(), open_atomically(path) as file:
            figure.savefig(file, format="png", dpi=160, facecolor="white")
    else:
        raise UsageError(f"{path}: a figure is written as .svg or .png, not {path.suffix or 'without a suffix'!r}.")
    return path


def comparison_figure(comparison: Comparison) -> Figure:
    """Draw the curves: plain nets left and residual nets right where there are both, else one panel."""
    kinds = [[group for group in comparison.groups if group.spec.is_plain is is_plain] for is_plain in (True, False)]
    panels = [groups for groups in kinds if groups] if all(kinds) else [list(comparison.groups)]
    with styled():
        figure = Figure(layout="constrained")
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, groups in zip(all_axes, panels, strict=True):
            _draw_panel(axes, groups)
        characters = 50 if len(panels) == 2 else 80
        lines = max(_place_legend(axes, characters) for axes in all_axes)
        figure.set_size_inches(9.6 if len(panels) == 2 else 7.2, 3.7 + 0.2 * lines)
        if len(panels) == 2:
            all_axes[0].set_title("plain")
            all_axes[1].set_title("residual")
        all_axes[0].set_ylabel("error (%)")
        all_axes[0].set_ylim(0, _top(comparison))
    return figure


def _draw_panel(axes: Axes, groups: Sequence[Group]) -> None:
    for number, group in enumerate(groups):
        color = COLORS[number % len(COLORS)]
        name = f"{group.spec.depth} layers" if len({g.spec.depth for g in groups}) == len(groups) else group.label
        if train := _with_points(run.train for run in group.runs):
            draw(axes, Curve(f"{name}, training", color, THIN, train))
        if bold := _with_points(run.monitored for run in group.runs):
            draw(axes, Curve(f"{name}, {group.runs[0].config.evaluation.monitor}", color, BOLD, bold))
    furthest = max(groups[0].runs, key=lambda run: len(run.train))
    for step in furthest.rate_drops:
        axes.axvline(step, color=INK, linewidth=0.7, linestyle=(0, (4, 4)), alpha=0.5)
    in_iterations(axes)


def _place_legend(axes: Axes, characters: int) -> int:
    """Put the legend below the panel, as curves of nets that do not converge are in every corner; return its lines."""
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return 0
    columns = 2 if max(map(len, names)) <= characters // 2 else 1
    names = [textwrap.fill(name, characters) for name in names]
    # the distance (in font sizes) leaves room for the numbers and the name of the axis
    axes.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4, fontsize=9, ncols=columns)
    return -(-sum(1 + name.count("\n") for name in names) // columns)


def _with_points(curves: Iterable[Sequence[HasError]]) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Return the points of each curve that has some: a run that has just started hides none of the others."""
    return tuple(points(curve) for curve in curves if curve)


def _top(comparison: Comparison) -> float:
    """Return the top of the axis, with room for each run's curves after their first third; at most 100."""
    later: list[float] = []
    for run in (run for group in comparison.groups for run in group.runs):
        for curve in (run.train, run.monitored):
            later += [point.error for point in curve[len(curve) // 3 :]]
    return min(100.0, max(10.0, 1.15 * max(later, default=80)))


def _caption(comparison: Comparison) -> str:
    several = any(len(group.rows) > 1 for group in comparison.groups)
    band = " Lines are means over the runs, bands go from the lowest to the highest." if several else ""
    if any(row.minutes is None for row in comparison.rows):
        band += " Runs in progress count as far as they have come."
    lines = "Thin: training error of the batches as trained on; bold: the monitored split's error;"
    return f"{lines} dashed: the learning rate drops.{band}"


def _group(alike: Alike) -> Group:
    config = alike.runs[0].config
    rows = tuple(_row(run, alike.label) for run in alike.runs)
    return Group(alike.label, config.recipe, config.model, alike.runs, rows)


def _row(run: ReadRun, label: str) -> Row:
    result = run.result
    final = {} if result is None else result.final
    split = None if result is None else result.reported_split
    steps_so_far = run.train[-1].step if run.train else 0
    return Row(
        path=str(run.path),
        label=label,
        recipe=run.config.recipe,
        network=run.config.model.label,
        seed=run.config.seed,
        iterations=steps_so_far if result is None else result.iterations,
        train_error=final["train"].error if "train" in final else None,
        reported_split=split,
        reported_error=None if split is None else final[split].error,
        minutes=None if result is None else result.minutes,
        selection="in progress" if result is None else result.selection,
    )
