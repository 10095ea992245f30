"""The test error of residual nets falls with depth (paper Table 6)."""

import math
import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.complexity import measure_complexity
from reslab.experiments.arms import FIGURE_DEPTHS, Arm, Size, make_arm
from reslab.experiments.evidence import Evidence, arms_by_depth
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import GREY, draw_points, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import difference
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells
from reslab.report.figures.style import COLORS

_SMALLEST = 0.5  # points: the smallest effect that counts
_PAPER = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.61}  # of 110 layers the mean of five runs, as ours are means


def _arms(size: Size) -> tuple[Arm, ...]:
    depths = (*FIGURE_DEPTHS, 110) if size == "paper" else FIGURE_DEPTHS
    return tuple(make_arm(size, "resnet", depth) for depth in depths)


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    names = list(arms_by_depth(evidence, "resnet"))
    fall = difference(evidence.reported(names[-1]), evidence.reported(names[0]))
    first, last = evidence.spec(names[0]).depth, evidence.spec(names[-1]).depth
    sentence = f"From {first} to {last} layers the test error changes by {fall}.{budget_in_words(evidence)}"
    estimate = Estimate(
        what=f"ResNet-{last} minus ResNet-{first}", difference=fall, side="below", fails_beyond=-_SMALLEST
    )
    verdict = decide(sentence, estimate)
    if verdict.outcome == "undecided" and (reason := _untestable(evidence, names[0])):
        return (Verdict(outcome="not testable", sentence=f"{sentence} {reason}", estimates=verdict.estimates),)
    return (verdict,)


def _untestable(evidence: Evidence, shallowest: str) -> str:
    """Why this size cannot show the effect: all that could be gained is less than the test images tell apart."""
    record = evidence.records[shallowest][0].document
    error = statistics.mean(evidence.reported(shallowest)) / 100
    total = record.final[str(record.reported_split)].total
    resolution = 100 * 1.96 * math.sqrt(2 * error * (1 - error) / total)
    if resolution < 100 * error:
        return ""
    return (
        f"With {total:,} test images two networks differ by up to {resolution:.2f} points by chance, more than the "
        f"{100 * error:.2f} % that depth could gain; size small is where it is tested."
    )


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for name in arms_by_depth(evidence, "resnet"):
        spec = evidence.spec(name)
        parameters = f"{measure_complexity(spec).parameters / 1e6:.2f} M"
        paper = f"{_PAPER[spec.depth]:.2f}" + (" (mean of five)" if spec.depth == 110 else "")
        rows.append((spec.label, parameters, *error_cells(evidence, name), paper))
    return ResultTable(("network", "parameters", *ERROR_COLUMNS, "paper's, on CIFAR-10 (%)"), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        axes = panels[0]
        names = list(arms_by_depth(evidence, "resnet"))
        depths = [evidence.spec(name).depth for name in names]
        test, train = map(evidence.reported, names), (evidence.errors(name, "train") for name in names)
        draw_points(axes, depths, list(test), color=COLORS[0], label="test, ours")
        draw_points(axes, depths, list(train), color=COLORS[1], label="training, clean, ours")
        if evidence.size != "digits":  # other data, other errors
            axes.plot(
                depths,
                [_PAPER[depth] for depth in depths],
                "s--",
                color=GREY,
                ms=4,
                label="test, the paper's (Table 6)",
            )
        axes.set_xticks(depths)
        axes.set_xlabel("layers")
        axes.set_ylabel("error (%)")
        axes.set_ylim(bottom=0)
        axes.legend()

    return make_figure(draw_on)


EXPERIMENT = Experiment(
    name="depth",
    title="The error of residual nets falls with depth",
    claim="Residual nets gain from depth: the test error on CIFAR-10 falls from 20 to 110 layers.",
    source="Sec. 4.2, Table 6",
    paper=(
        *((f"test error of ResNet-{depth} (Table 6)", f"{_PAPER[depth]:.2f} %") for depth in FIGURE_DEPTHS),
        ("test error of ResNet-110 (Table 6)", "6.43 % (the best of five runs; their mean 6.61 ± 0.16)"),
    ),
    rule="Reproduced if the deepest net's test error is below the shallowest one's (95 % interval of the difference, "
    f"Welch's t over the seeds, below 0); not reproduced if it is less than {_SMALLEST:g} points below (lower end). "
    f"{_SMALLEST:g} points are the smallest effect that counts: the paper's is 1.8. Not testable where the whole error "
    "of the shallowest net is less than chance moves with so few test images.",
    seeds=lambda size: {"digits": 3, "small": 4, "paper": 1}[size],
    caption="Error at the end by depth: a pale dot for each seed, a dark one at the mean, and the 95 % interval of the "
    "mean.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
