"""Deeper plain nets have a higher training error; the same nets with shortcuts have not (paper Figs. 1, 4 and 6)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.experiments.arms import DEPTHS, KINDS, Arm, Size, arm
from reslab.experiments.budget import budget_in_words
from reslab.experiments.evidence import Evidence, nets
from reslab.experiments.experiment import Experiment, Table, Verdict
from reslab.experiments.figures import draw_curves, make_figure
from reslab.experiments.statistics import MARGIN, difference, difference_of_gaps, spread

SHALLOW, DEEP = DEPTHS[0], DEPTHS[-1]  # the two that are judged


def _arms(size: Size) -> tuple[Arm, ...]:
    depths = (*DEPTHS, 110) if size == "paper" else DEPTHS
    return tuple(arm(size, kind, depth) for kind in KINDS for depth in depths)


def _judge(evidence: Evidence) -> Verdict:
    ends = [
        (evidence.errors(arm(evidence.size, kind, DEEP).name, "train"),
         evidence.errors(arm(evidence.size, kind, SHALLOW).name, "train"))
        for kind in KINDS
    ]  # fmt: skip
    plain, residual = (difference(deep, shallow) for deep, shallow in ends)
    more = difference_of_gaps(*ends)
    sentence = (
        f"From {SHALLOW} to {DEEP} layers the clean training error changes by {plain} in plain nets and by "
        f"{residual} in residual nets; the first is {more} more than the second.{budget_in_words(evidence)}"
    )
    if plain.is_above_zero and residual.high <= MARGIN and more.is_above_zero:
        return Verdict("reproduced", sentence)
    if plain.is_below_zero or residual.low > MARGIN or more.is_below_zero:
        return Verdict("not reproduced", sentence)
    return Verdict("inconclusive", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for kind in KINDS:
        for name in nets(evidence, kind):
            spec = evidence.spec(name)
            train, test = evidence.errors(name, "train"), evidence.reported(name)
            rows.append((spec.label, str(spec.depth), str(len(train)), spread(train), spread(test)))
    return Table(("network", "layers", "seeds", "training error, clean (%)", "test error (%)"), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, kind, title in zip(panels, KINDS, ("plain", "residual"), strict=True):
            # one legend for both, where the curves lie low
            draw_curves(axes, evidence, nets(evidence, kind), has_legend=kind == "resnet")
            axes.set_title(title)
        top = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(0, top)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="degradation",
    title="Deeper plain nets degrade, residual nets do not",
    claim="With more layers, accuracy of a plain net gets saturated and then degrades, and this is not overfitting: "
    "its training error is higher too. With shortcuts, the deeper net trains at least as well.",
    source="Sec. 1, 4.1, 4.2; Figs. 1, 4, 6 (left, middle); Table 2",
    paper=(
        ("ImageNet top-1 error, plain 18 and 34 layers (Table 2)", "27.94 %, 28.54 %"),
        ("ImageNet top-1 error, residual 18 and 34 layers (Table 2)", "27.88 %, 25.03 %"),
        ("CIFAR-10 test error, plain 110 layers (Fig. 6)", "above 60 %"),
        ("CIFAR-10 test error, residual 20, 32, 44, 56 layers (Table 6)", "8.75 %, 7.51 %, 7.17 %, 6.97 %"),
    ),
    rule=f"Judged is the clean training error of {DEEP} layers against {SHALLOW}, which have the same recipe. "
    "Reproduced if that of plain nets rises (95 % interval of the difference above 0), that of residual nets by at "
    f"most {MARGIN:g} point (upper end of the interval), and the first by more than the second (interval of the "
    "difference between the two above 0). Not reproduced if the plain interval is below 0, the residual one wholly "
    f"more than {MARGIN:g} point above it, or the difference between the two below 0. Otherwise inconclusive: a wide "
    "interval is no sign of no difference.",
    caption="Thin lines: training error of the batches as trained on; bold: validation error on the digits, test error "
    "on CIFAR-10. Lines are means over the seeds, bands go from the lowest to the highest; dashed: the learning rate "
    "drops.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
