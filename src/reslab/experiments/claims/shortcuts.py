"""Options A, B and C of the shortcut: projections help a little, and are not essential (paper Table 3)."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.complexity import measure_complexity
from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import draw_dots, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import MARGIN, MeanDifference, difference, p_in_words, spread
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells

_OPTIONS = ("A", "B", "C")
_DEPTH = 20


def _arms(size: Size) -> tuple[Arm, ...]:
    # option A is the CIFAR nets' own, and shared with the other experiments
    others = (make_arm(size, "resnet", _DEPTH, {"model": {"shortcut": option}}, suffix=f"-{option}") for option in "BC")
    return (make_arm(size, "resnet", _DEPTH), *others)


def _by_option(evidence: Evidence) -> dict[str, str]:
    return {str(evidence.spec(name).shortcut): name for name in evidence.records}


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    errors = {option: evidence.reported(name) for option, name in _by_option(evidence).items()}
    worse = difference(errors["A"], errors["C"])
    steps = {"B minus A": difference(errors["B"], errors["A"]), "C minus B": difference(errors["C"], errors["B"])}
    order = sorted(_OPTIONS, key=lambda option: statistics.mean(errors[option]))
    sentence = (
        f"Test error: {_step('A minus C', worse)}. In order of their means, lowest first: "
        f"{', '.join(f'{option} ({spread(errors[option])} %)' for option in order)}; "
        f"{'; '.join(_step(name, step) for name, step in steps.items())}.{budget_in_words(evidence)}"
    )
    return (decide(sentence, Estimate(what="A minus C", difference=worse, side="below", threshold=MARGIN)),)


def _step(name: str, step: MeanDifference) -> str:
    return f"{name} is {step}" + ("" if step.no_interval else f", {p_in_words(step.p_value)}")


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for option, name in _by_option(evidence).items():
        parameters = f"{measure_complexity(evidence.spec(name)).parameters:,}"
        rows.append((f"ResNet-{_DEPTH}, option {option}", parameters, *error_cells(evidence, name)))
    return ResultTable(("network", "parameters", *ERROR_COLUMNS), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    names = _by_option(evidence)
    test = {f"option {option}": evidence.reported(name) for option, name in names.items()}
    train = {f"option {option}": evidence.errors(name, "train") for option, name in names.items()}
    shown = {"test error (%)": test}
    if any(map(any, train.values())):  # where every network fits every image there is nothing to see
        shown = {"training error, clean (%)": train, **shown}

    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, (title, values) in zip(panels, shown.items(), strict=True):
            draw_dots(axes, values)
            axes.set_ylabel(title)

    return make_figure(draw_on, len(shown))


EXPERIMENT = Experiment(
    name="shortcuts",
    title="Projection shortcuts are not essential",
    claim="B (projections where dimensions change) is slightly better than A (zero padding), and C (projections "
    "everywhere) marginally better than B; so projections are not essential for the degradation problem.",
    source="Sec. 4.1, Table 3",
    paper=(("ImageNet top-1 error of ResNet-34 with A, B, C (Table 3)", "25.03 %, 24.52 %, 24.19 %"),),
    rule="The rule judges the part of the claim that few seeds can test: projections are not essential. Reproduced if "
    f"the test error with A is at most {MARGIN:g} point above that with C (upper end of the 95 % interval, Welch's "
    "t). Not reproduced if it is more than that above (lower end). The order of A, B and C is "
    "shown but not judged: the paper's steps are about as large as the spread between seeds. The nets have "
    f"{_DEPTH} layers; whether options matter where plain nets degrade would need deeper nets and their plain twins.",
    seeds=lambda size: {"digits": 10, "small": 12, "paper": 3}[size],
    caption=f"ResNet-{_DEPTH} with each option. A dot for each seed, a bar at the mean. Where every network fits its "
    "training "
    "images, only the test error is shown.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
