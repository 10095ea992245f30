"""The deeper a plain net, the longer it takes to the same training error: exponentially so (paper Sec. 4.1)."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.config import Setting
from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import draw_means, make_figure
from reslab.experiments.judged import MOST_SEEDS
from reslab.experiments.statistics import spread
from reslab.experiments.verdict import Verdict, decide
from reslab.report.figures.style import COLORS

_DEPTHS = (8, 14, 20, 26, 32, 38, 44)
_RATES = (0.015, 0.05, 0.15)
_ITERATIONS = 1020
_REACHED = 20.0  # % of training error
_CLEARLY = 4.0  # a difference of Akaike's criterion that decides
_FEWEST_DEPTHS = 5  # that have to get there, for a curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How waiting times grow with depth: exponentially, as the claim says, or in a straight line.

    Both are fitted by least squares: a line to the logarithms with a log-normal spread, and a line to the times with a
    normal one. Akaike's criterion compares them; both have three parameters.

    Attributes:
        times: For each depth the times of its seeds.
    """

    times: tuple[tuple[int, tuple[float, ...]], ...]

    @property
    def what(self) -> str:
        """What is compared."""
        return "exponential against linear growth"

    @property
    def rate(self) -> float:
        """The slope of the logarithm, for a layer."""
        depths, times = self._points()
        return float(np.polyfit(depths, np.log(times), 1)[0])

    @property
    def advantage(self) -> float:
        """Akaike's criterion of the line less that of the exponential."""
        depths, times = self._points()
        return len(times) * (_log_spread(depths, times) - _log_spread(depths, np.log(times))) - 2 * np.log(times).sum()

    @property
    def holds(self) -> bool:
        """Whether the exponential is clearly better."""
        return self.advantage >= _CLEARLY

    @property
    def fails(self) -> bool:
        """Whether the line is clearly better."""
        return self.advantage <= -_CLEARLY

    @property
    def smallest_effect(self) -> str:
        """A comparison of two models has no half-width."""
        return ""

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds would decide: the criterion grows with their number."""
        if self.holds or self.fails:
            return 0
        seeds, advantage = len(self.times[0][1]), abs(self.advantage)
        needed = math.ceil(_CLEARLY * seeds / advantage) if advantage else MOST_SEEDS + 1
        return needed - seeds if needed - seeds <= MOST_SEEDS else None

    def in_words(self) -> str:
        """Return which of the two describes the times better, and by how much."""
        better = "exponential" if self.advantage > 0 else "straight line"
        return f"the {better} is the better description, by {abs(self.advantage):.1f} in Akaike's criterion"

    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(depth, time) for depth, times in self.times for time in times]
        depths, times = zip(*pairs, strict=True)
        return np.array(depths, float), np.array(times, float)


def _log_spread(depths: np.ndarray, values: np.ndarray) -> float:
    """The logarithm of the mean squared distance from the line of least squares."""
    line = np.polyval(np.polyfit(depths, values, 1), depths)
    return float(np.log(np.mean((values - line) ** 2)))


def _arm(size: Size, depth: int, rate: float) -> Arm:
    changes: dict[str, Setting] = {
        "optim": {"lr": rate},
        "schedule": {"kind": "constant"},
        "train": {"iterations": _ITERATIONS},
        "evaluation": {"monitor": "none", "final_training_error": False},
    }
    return make_arm(size, "plain", depth, changes, suffix=f"-rate{rate:g}")


def _times(evidence: Evidence, depth: int, rate: float) -> tuple[float, ...]:
    """The end of each seed's first logged window below the error; infinite where there is none."""
    rows = (record.rows("train") for record in evidence.records[_arm(evidence.size, depth, rate).name])
    return tuple(next((float(row.step) for row in run if row.error < _REACHED), math.inf) for run in rows)


def _best_times(evidence: Evidence, depth: int) -> tuple[float, ...]:
    """When the seeds of a depth reach the error, at the rate with the earliest mean; () where none has all seeds."""
    complete = [times for rate in _RATES if not any(map(math.isinf, times := _times(evidence, depth, rate)))]
    return min(complete, key=statistics.mean, default=())


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    times = {depth: _best_times(evidence, depth) for depth in _DEPTHS}
    reached = {depth: found for depth, found in times.items() if found}
    shown = "; ".join(
        f"{depth} layers {statistics.mean(found):,.0f}" if found else f"{depth} layers not within {_ITERATIONS:,}"
        for depth, found in times.items()
    )
    best = f"at the best of {len(_RATES)} rates"
    sentence = f"Iterations until the training error is below {_REACHED:g} %, {best}: {shown}"
    if len(reached) < _FEWEST_DEPTHS:
        reason = f"Only {len(reached)} depths get there in this budget, too few for a curve."
        return (Verdict(outcome="not testable", sentence=f"{sentence}. {reason}"),)
    growth = Growth(times=tuple(reached.items()))
    factor = f"a factor of {math.exp(6 * growth.rate):.2f} for every six layers"
    return (decide(f"{sentence}: {factor}; {growth.in_words()}.", growth),)


def _table(evidence: Evidence) -> ResultTable:
    rows = [(f"plain-{depth}", *(_in_words(_times(evidence, depth, rate)) for rate in _RATES)) for depth in _DEPTHS]
    return ResultTable(("network", *(f"rate {rate:g}" for rate in _RATES)), tuple(rows))


def _in_words(times: Sequence[float]) -> str:
    """Mean and deviation of those that get there, and how many do not."""
    found = [time for time in times if not math.isinf(time)]
    missing = len(times) - len(found)
    parts = [spread(found, 0)] if found else []
    return ", ".join(parts + ([f"{missing} never"] if missing else []))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        axes = panels[0]
        times = {depth: found for depth in _DEPTHS if (found := _best_times(evidence, depth))}
        if times:
            label = f"plain nets, best of {len(_RATES)} rates"
            draw_means(axes, list(times), list(times.values()), color=COLORS[0], label=label, dot=5)
            axes.legend()
        axes.set_yscale("log")
        axes.set_xticks(_DEPTHS)
        axes.set_xlabel("layers")
        axes.set_ylabel(f"iterations until below {_REACHED:g} %")

    return make_figure(draw_on)


EXPERIMENT = Experiment(
    name="convergence-rate",
    title="Deep plain nets converge at exponentially low rates",
    claim="The degradation is conjectured to come from exponentially low convergence rates of deep plain nets.",
    source="Sec. 4.1",
    paper=(("a guess about deep plain nets on ImageNet", '"exponentially low convergence rates"'),),
    rule=f"For {len(_DEPTHS)} depths and {len(_RATES)} constant learning rates the rule takes the iterations until the "
    f"training error of a logged window is below {_REACHED:g} %, at the rate that gets there first with all seeds. "
    "Reproduced if they are described better by an exponential in the depth, with a log-normal spread, than by a "
    f"straight line with a normal one (Akaike's criterion, a difference of {_CLEARLY:g}); not reproduced if the line "
    "is "
    f"better by as much. Not testable if fewer than {_FEWEST_DEPTHS} depths get there.",
    caption="How long a plain net takes to a fixed training error, by depth; the axis is logarithmic, so that an "
    "exponential is a straight line. A dot for each seed, a line through the means.",
    arms=lambda size: tuple(_arm(size, depth, rate) for depth in _DEPTHS for rate in _RATES),
    judge=_judge,
    table=_table,
    draw=_draw,
    seeds=lambda size: 5,
)
