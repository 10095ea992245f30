"""Deeper plain nets have a higher training error; with shortcuts they do not (paper Figs. 1, 4 and 6)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.experiments.arms import FIGURE_DEPTHS, NET_KINDS, Arm, Size, kind_in_words, make_arm
from reslab.experiments.evidence import Evidence, arms_by_depth
from reslab.experiments.experiment import Experiment, ResultTable, Verdict
from reslab.experiments.figures import draw_curves, make_figure
from reslab.experiments.statistics import MARGIN, difference, difference_of_gaps
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells

_SHALLOW, _DEEP = FIGURE_DEPTHS[0], FIGURE_DEPTHS[-1]  # the two that are judged


def _arms(size: Size) -> tuple[Arm, ...]:
    depths = (*FIGURE_DEPTHS, 110) if size == "paper" else FIGURE_DEPTHS
    return tuple(make_arm(size, kind, depth) for kind in NET_KINDS for depth in depths)


def judged_arms(size: Size) -> tuple[Arm, ...]:
    """Return the arms that the verdict is computed from: the shallowest and the deepest net of each kind."""
    return tuple(make_arm(size, kind, depth) for kind in NET_KINDS for depth in (_SHALLOW, _DEEP))


def _judge(evidence: Evidence) -> Verdict:
    errors = [evidence.errors(arm.name, "train") for arm in judged_arms(evidence.size)]
    plain_gap, residual_gap = (errors[1], errors[0]), (errors[3], errors[2])
    plain, residual = difference(*plain_gap), difference(*residual_gap)
    more = difference_of_gaps(plain_gap, residual_gap)
    sentence = (
        f"From {_SHALLOW} to {_DEEP} layers the clean training error changes by {plain} in plain nets and by "
        f"{residual} in residual nets; the first is {more} more than the second.{budget_in_words(evidence)}"
    )
    return Verdict.of(
        sentence,
        holds=plain.is_above_zero and residual.high <= MARGIN and more.is_above_zero,
        fails=plain.is_below_zero or residual.low > MARGIN or more.is_below_zero,
    )


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for kind in NET_KINDS:
        for name in arms_by_depth(evidence, kind):
            spec = evidence.spec(name)
            rows.append((spec.label, str(spec.depth), *error_cells(evidence, name)))
    return ResultTable(("network", "layers", *ERROR_COLUMNS), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, kind in zip(panels, NET_KINDS, strict=True):
            # one legend for both, where the curves lie low
            draw_curves(axes, evidence, arms_by_depth(evidence, kind), has_legend=kind == "resnet")
            axes.set_title(kind_in_words(kind))
        top = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(0, top)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="degradation",
    title="Deeper plain nets degrade, residual nets do not",
    claim="With more layers, the accuracy of a plain net saturates and then degrades. This is not overfitting: its "
    "training error is higher too. With shortcuts, the deeper net trains at least as well.",
    source="Sec. 1, 4.1, 4.2; Figs. 1, 4, 6 (left, middle); Table 2",
    paper=(
        ("ImageNet top-1 error, plain 18 and 34 layers (Table 2)", "27.94 %, 28.54 %"),
        ("ImageNet top-1 error, residual 18 and 34 layers (Table 2)", "27.88 %, 25.03 %"),
        ("CIFAR-10 test error, plain 110 layers (Fig. 6)", "above 60 %"),
        ("CIFAR-10 test error, residual 20, 32, 44, 56 layers (Table 6)", "8.75 %, 7.51 %, 7.17 %, 6.97 %"),
    ),
    rule=f"The rule compares the clean training error of {_DEEP} layers with that of {_SHALLOW}; both have the same "
    "recipe. Reproduced if the error of plain nets rises (95 % interval of the difference above 0), the error of "
    f"residual nets rises by at most {MARGIN:g} point (upper end of the interval), and plain nets lose more than "
    "residual nets (interval of the difference between the two above 0). Not reproduced if the plain interval is below "
    f"0, the residual interval is wholly above {MARGIN:g} point, or the difference between the two is below 0. "
    "Otherwise inconclusive: a wide interval does not show that there is no difference.",
    caption="Thin lines: training error of the batches as trained on; bold: validation error on the digits, test error "
    "on CIFAR-10. Lines are means over the seeds, bands go from the lowest to the highest; dashed: the learning rate "
    "drops.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
