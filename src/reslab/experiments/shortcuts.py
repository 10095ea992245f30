"""Options A, B and C of the shortcut: projections help a little (paper Table 3)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.models.complexity import measure

from .arms import Arm, Size, arm
from .draw import draw_dots, make_figure
from .evidence import Evidence
from .experiment import Experiment, Table, Verdict
from .statistics import difference, spread

OPTIONS = ("A", "B", "C")
DEPTH = 20


def _arms(size: Size) -> tuple[Arm, ...]:
    # option A is the CIFAR nets' own, and shared with the other experiments
    others = (arm(size, "resnet", DEPTH, {"model": {"shortcut": option}}, suffix=f"-{option}") for option in "BC")
    return (arm(size, "resnet", DEPTH), *others)


def _by_option(evidence: Evidence) -> dict[str, str]:
    return {str(evidence.spec(name).shortcut): name for name in evidence.records}


def _judge(evidence: Evidence) -> Verdict:
    errors = {option: evidence.reported(name) for option, name in _by_option(evidence).items()}
    steps = {pair: difference(errors[pair[1]], errors[pair[0]]) for pair in ("AB", "BC")}
    sentence = (
        f"Test error of B minus A: {steps['AB']}, p = {steps['AB'].p_value:.2f}; "
        f"of C minus B: {steps['BC']}, p = {steps['BC'].p_value:.2f}."
    )
    if any(step.is_above_zero for step in steps.values()):
        return Verdict("not reproduced", sentence)
    if all(step.is_below_zero for step in steps.values()):
        return Verdict("reproduced", sentence)
    return Verdict("inconclusive", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for option, name in _by_option(evidence).items():
        train, test = evidence.errors(name, "train"), evidence.reported(name)
        parameters = f"{measure(evidence.spec(name)).parameters:,}"
        rows.append((f"ResNet-{DEPTH}, option {option}", parameters, str(len(test)), spread(train), spread(test)))
    return Table(("network", "parameters", "seeds", "training error, clean (%)", "test error (%)"), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    names = _by_option(evidence)

    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, title in zip(panels, ("training error, clean (%)", "test error (%)"), strict=True):
            values = evidence.reported if title.startswith("test") else lambda name: evidence.errors(name, "train")
            draw_dots(axes, {f"option {option}": values(name) for option, name in names.items()})
            axes.set_title(title, fontsize=10)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="shortcuts",
    title="Projection shortcuts help a little",
    claim="B (projections where dimensions change) is slightly better than A (zero padding), and C (projections "
    "everywhere) marginally better than B; so projections are not essential for the degradation problem.",
    source="Sec. 4.1, Table 3",
    paper=(("ImageNet top-1 error of ResNet-34 with A, B, C (Table 3)", "25.03 %, 24.52 %, 24.19 %"),),
    rule="Reproduced if the 95 % intervals (Welch's t) of both B minus A and C minus B are below 0; not reproduced if "
    "either is above 0; otherwise inconclusive: the differences are smaller than the spread between seeds.",
    caption="A dot for each seed, a bar at the mean.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
