"""Training longer does not cure deep plain nets (paper Sec. 4.1, footnote 3)."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.config import RunConfig, StepDecay
from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import draw_means, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import difference, paired_difference
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells
from reslab.report.figures.style import COLORS

_SHALLOW, _DEEP = 20, 56
_BUDGETS = (1, 2, 3)


def _longer(config: RunConfig, times: int) -> RunConfig:
    """The same recipe with its iterations and drops at so many times the place; the warm-up stays."""
    assert isinstance(config.schedule, StepDecay)
    milestones = tuple(times * milestone for milestone in config.schedule.milestones)
    train = replace(config.train, iterations=times * config.train.iterations)
    schedule = replace(config.schedule, milestones=milestones)
    name = config.recipe + (f"-{times}x" if times > 1 else "")
    return replace(config, recipe=name, train=train, schedule=schedule)


def _arm(size: Size, depth: int, times: int) -> Arm:
    return Arm(_longer(make_arm(size, "plain", depth).config, times))


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(_arm(size, depth, times) for depth in (_SHALLOW, _DEEP) for times in _BUDGETS)


def _errors(evidence: Evidence, depth: int, times: int) -> tuple[float, ...]:
    return evidence.errors(_arm(evidence.size, depth, times).name, "train")


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    longest = _BUDGETS[-1]
    falls = paired_difference(_errors(evidence, _DEEP, longest), _errors(evidence, _DEEP, 1))
    gap = difference(_errors(evidence, _DEEP, longest), _errors(evidence, _SHALLOW, longest))
    sentence = (
        f"With {longest} times the iterations the clean training error of plain-{_DEEP} still differs by {gap} from "
        f"plain-{_SHALLOW}'s at the same budget; it changes by {falls} from that at the recipe's length."
        f"{budget_in_words(evidence)}"
    )
    return (decide(sentence, Estimate(what=f"plain-{_DEEP} minus plain-{_SHALLOW}", difference=gap, side="above")),)


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for depth in (_SHALLOW, _DEEP):
        for arm in (_arm(evidence.size, depth, times) for times in _BUDGETS):
            rows.append((f"plain-{depth}", f"{arm.config.train.iterations:,}", *error_cells(evidence, arm.name)))
    return ResultTable(("network", "iterations", *ERROR_COLUMNS), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        axes = panels[0]
        for depth, color in zip((_SHALLOW, _DEEP), COLORS, strict=False):
            values = [_errors(evidence, depth, times) for times in _BUDGETS]
            draw_means(axes, _BUDGETS, values, color=color, label=f"plain, {depth} layers", dot=5)
        axes.set_xticks(_BUDGETS, [f"{times} x" for times in _BUDGETS])
        axes.set_xlabel("iterations, in multiples of the recipe's")
        axes.set_ylabel("training error, clean (%)")
        axes.set_ylim(bottom=0)
        axes.legend()

    return make_figure(draw_on)


EXPERIMENT = Experiment(
    name="convergence",
    title="Three times the iterations do not remove the degradation",
    claim="The solver works to some extent on deep plain nets; they may have exponentially low convergence rates. "
    "With three times the iterations the degradation is still there.",
    source="Sec. 4.1 and its footnote 3",
    paper=(("plain-34 on ImageNet with 3 times the iterations", "the degradation is still observed"),),
    rule=f"Reproduced if the clean training error of plain-{_DEEP} is above plain-{_SHALLOW}'s when both have "
    f"{_BUDGETS[-1]} times the recipe's iterations (95 % interval of Welch's t above 0); not reproduced if it is "
    "below. How much the longer training lowers the error of the deep net is shown but not judged.",
    seeds=lambda size: 5 if size == "digits" else 3,
    caption="Clean training error at the end, by budget. The learning rate drops at the same fractions of each "
    "budget. A dot for each seed, lines through the means.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
