"""The test error of residual nets falls with depth (paper Table 6)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.complexity import measure
from reslab.experiments.arms import DEPTHS, Arm, Size, arm
from reslab.experiments.budget import budget_in_words
from reslab.experiments.evidence import Evidence, nets
from reslab.experiments.experiment import Experiment, Table, Verdict
from reslab.experiments.figures import GREY, make_figure
from reslab.experiments.statistics import difference, spread
from reslab.report.figures.style import COLORS

PAPER = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.61}  # of 110 layers the mean of five runs, as ours are means


def _arms(size: Size) -> tuple[Arm, ...]:
    depths = (*DEPTHS, 110) if size == "paper" else DEPTHS
    return tuple(arm(size, "resnet", depth) for depth in depths)


def _judge(evidence: Evidence) -> Verdict:
    names = list(nets(evidence, "resnet"))
    fall = difference(evidence.reported(names[-1]), evidence.reported(names[0]))
    first, last = evidence.spec(names[0]).depth, evidence.spec(names[-1]).depth
    sentence = f"From {first} to {last} layers the test error changes by {fall}.{budget_in_words(evidence)}"
    if fall.is_below_zero:
        return Verdict("reproduced", sentence)
    return Verdict("not reproduced" if fall.is_above_zero else "inconclusive", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for name in nets(evidence, "resnet"):
        spec = evidence.spec(name)
        parameters = f"{measure(spec).parameters / 1e6:.2f} M"
        train, test = evidence.errors(name, "train"), evidence.reported(name)
        paper = f"{PAPER[spec.depth]:.2f}" + (" (mean of five)" if spec.depth == 110 else "")
        rows.append((spec.label, parameters, str(len(test)), spread(train), spread(test), paper))
    columns = (
        "network",
        "parameters",
        "seeds",
        "training error, clean (%)",
        "test error (%)",
        "paper's, on CIFAR-10 (%)",
    )
    return Table(columns, tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        axes = panels[0]
        names = list(nets(evidence, "resnet"))
        depths = [evidence.spec(name).depth for name in names]
        for values_of, color, label in (
            (evidence.reported, COLORS[0], "test"),
            (lambda name: evidence.errors(name, "train"), COLORS[1], "training, clean"),
        ):
            values = [values_of(name) for name in names]
            means = [sum(v) / len(v) for v in values]
            axes.plot(depths, means, "-", color=color, lw=2, label=f"{label}, ours")
            for depth, seeds in zip(depths, values, strict=True):
                axes.plot([depth] * len(seeds), seeds, "o", color=color, ms=4, alpha=0.7)
        if evidence.size != "digits":  # other data, other errors
            axes.plot(depths, [PAPER[d] for d in depths], "s--", color=GREY, ms=4, label="test, the paper's (Table 6)")
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
        *((f"test error of ResNet-{depth} (Table 6)", f"{PAPER[depth]:.2f} %") for depth in DEPTHS),
        ("test error of ResNet-110 (Table 6)", "6.43 % (the best of five runs; their mean 6.61 ± 0.16)"),
    ),
    rule="Reproduced if the deepest net's test error is below the shallowest one's (95 % interval of the difference "
    "below 0); not reproduced if that interval is above 0; otherwise inconclusive.",
    caption="Error at the end by depth; a dot for each seed, lines through the means.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
