"""A rate of 0.1 is slightly too large for 110 layers to start with (paper Sec. 4.2)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, ResultTable, Verdict
from reslab.experiments.figures import draw_curves, make_figure
from reslab.experiments.statistics import paired_difference, spread
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
    """The iteration from which each seed's training error stays below 80 %; the whole training if it never does.

    Not the first one below: the warm-up ends there by definition, and the full rate throws the error back.
    """
    starts = []
    for record in evidence.records[name]:
        rows = record.rows("train")
        above = [number for number, row in enumerate(rows) if row.error >= _BELOW]
        first = above[-1] + 1 if above else 0
        starts.append(float(rows[first].step if first < len(rows) else record.document.iterations))
    return tuple(starts)


def _names(evidence: Evidence) -> dict[str, str]:
    return {role: arm.name for role, arm in _roles(evidence.size).items()}


def _judge(evidence: Evidence) -> Verdict:
    warm, cold = _names(evidence).values()
    later = paired_difference(_starts(evidence, cold), _starts(evidence, warm))
    at_end = paired_difference(evidence.reported(cold), evidence.reported(warm))
    sentence = (
        f"Without the warm-up the iteration from which the training error stays below {_BELOW:g} % moves by "
        f"{later.in_words('iterations', 0)}; at the end the test error differs by {at_end}."
    )
    return Verdict.of(sentence, holds=later.is_above_zero, fails=later.is_below_zero)


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for role, name in _names(evidence).items():
        seeds, *errors = error_cells(evidence, name)
        rows.append((role, seeds, spread(_starts(evidence, name), 0), *errors))
    seeds, *errors = ERROR_COLUMNS
    return ResultTable(("learning rate", seeds, f"below {_BELOW:g} % from", *errors), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        draw_curves(panels[0], evidence, {name: role for role, name in _names(evidence).items()}, top=100)

    return make_figure(draw_on)


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
    rule="Reproduced if without the warm-up the training error of the logged windows stays below 80 % only from a "
    "later iteration on (95 % interval of the difference above 0). Not reproduced if it does so from an earlier one. "
    "Otherwise inconclusive. A net that never stays below it counts with its whole training. Where the error is first "
    "below it is not judged: there the warm-up ends by definition. The error at the end is shown but not "
    "judged. Intervals are Student's t of the differences seed by seed, because both trainings of a seed begin with "
    "the same weights.",
    caption="ResNet-110 with and without the paper's warm-up. Thin: training error of the batches as trained on; bold: "
    "validation error on the digits, test error on CIFAR-10. Means over the seeds, bands from the lowest to the "
    "highest; dashed: the learning rate drops.",
    arms=lambda size: tuple(_roles(size).values()),
    judge=_judge,
    table=_table,
    draw=_draw,
)
