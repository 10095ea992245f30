"""A rate of 0.1 is slightly too large for 110 layers to start with (paper Sec. 4.2)."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import draw_every_run, make_figure
from reslab.experiments.judged import Sooner
from reslab.experiments.statistics import p_in_words
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, error_cells

_DEPTH = 110
_BELOW = 80.0  # % training error, until which the paper trains with 0.01
_LR = 0.1


def _roles(size: Size) -> dict[str, Arm]:
    warm = {"kind": "until_error", "factor": 0.1, "below_percent": _BELOW}
    if size == "digits":
        warm["window_iterations"] = 17
    settings = {
        "0.01 until 80 %, then 0.1": {"optim": {"lr": _LR}, "warmup": warm},
        "0.1 from the start": {"optim": {"lr": _LR}, "warmup": {"kind": "none"}},
    }
    suffixes = ("-warmed", "-unwarmed")
    return {
        role: make_arm(size, "resnet", _DEPTH, changes, suffix=suffix)
        for (role, changes), suffix in zip(settings.items(), suffixes, strict=True)
    }


def _starts(evidence: Evidence, name: str) -> tuple[float, ...]:
    """The iteration from which each seed's training error stays below 80 %; infinite if it never does.

    Not the first one below: the warm-up ends there by definition, and the full rate throws the error back.
    """
    starts = []
    for record in evidence.records[name]:
        rows = record.rows("train")
        above = [number for number, row in enumerate(rows) if row.error >= _BELOW]
        first = above[-1] + 1 if above else 0
        starts.append(float(rows[first].step) if first < len(rows) else math.inf)
    return tuple(starts)


def _median(starts: Sequence[float]) -> str:
    """The median in words, since a mean would need a time for the nets that never start."""
    median = statistics.median_low(starts)
    return "never" if math.isinf(median) else f"{median:,.0f}"


def _names(evidence: Evidence) -> dict[str, str]:
    return {role: arm.name for role, arm in _roles(evidence.size).items()}


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    warm, cold = (_starts(evidence, name) for name in _names(evidence).values())
    lost = [sum(map(math.isinf, starts)) for starts in (warm, cold)]
    end = evidence.records[next(iter(evidence.records))][0].document.iterations
    sooner = Sooner(what=f"time until the training error stays below {_BELOW:g} %", first=warm, second=cold, end=end)
    fisher: Any = stats.fisher_exact([[lost[0], len(warm) - lost[0]], [lost[1], len(cold) - lost[1]]])
    sentence = (
        f"With the warm-up the training error stays below {_BELOW:g} % from iteration {_median(warm)} on (median over "
        f"the seeds), without from {_median(cold)} on (log-rank {p_in_words(sooner.p_value)}). By the end of {end:,} "
        f"iterations {lost[0]} of {len(warm)} networks with and {lost[1]} of {len(cold)} without have not started "
        f"(Fisher's exact {p_in_words(fisher[1])})."
    )
    return (decide(sentence, sooner),)


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for role, name in _names(evidence).items():
        seeds, *errors = error_cells(evidence, name)
        starts = _starts(evidence, name)
        lost = f"{sum(map(math.isinf, starts))} of {seeds}"
        rows.append((role, seeds, _median(starts), lost, *errors))
    seeds, *errors = ERROR_COLUMNS
    return ResultTable(
        ("learning rate", seeds, f"below {_BELOW:g} % from (median)", "never started", *errors), tuple(rows)
    )


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, (role, name) in zip(panels, _names(evidence).items(), strict=True):
            draw_every_run(axes, evidence, name, f"{role}: {_lost_in_words(evidence, name)}")

    return make_figure(draw_on, 2)


def _lost_in_words(evidence: Evidence, name: str) -> str:
    starts = _starts(evidence, name)
    return f"{sum(map(math.isinf, starts))} of {len(starts)} never start"


EXPERIMENT = Experiment(
    name="warmup",
    title="110 layers start better at a smaller rate",
    claim="For 110 layers a learning rate of 0.1 is slightly too large to start converging; 0.01 until the training "
    "error is below 80 % helps. Without, the net still starts after some epochs and reaches similar accuracy.",
    source="Sec. 4.2 and its footnote 5",
    paper=(
        ("iterations at 0.01 until the training error is below 80 %", "about 400"),
        ("without: error below 90 %", "after several epochs, similar accuracy at the end"),
    ),
    rule="The rule compares the iterations from which the training error of the logged windows stays below "
    f"{_BELOW:g} %. Reproduced if they are fewer with the warm-up (log-rank test, p below 0.05); not reproduced if "
    "they are more. A "
    "network that never stays below it waits until the end: it is censored there, not counted as if it had started. "
    "Where the error is first below is not judged: there the warm-up ends by definition. The share of networks that "
    "never start is shown with Fisher's exact test, and the error at the end; neither is judged.",
    seeds=lambda size: {"digits": 20, "small": 6, "paper": 1}[size],
    caption="ResNet-110 with and without the paper's warm-up. Training error of the batches as trained on, a line for "
    "each seed: some start late or never, and a mean over them would be an error that no network has.",
    arms=lambda size: tuple(_roles(size).values()),
    judge=_judge,
    table=_table,
    draw=_draw,
)
