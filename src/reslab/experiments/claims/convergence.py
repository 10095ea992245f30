"""Plain nets do converge, only ever more slowly with depth: training longer does not cure them (paper Sec. 4.1)."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.config import RunConfig, StepDecay
from reslab.experiments.arms import Arm, Size, arm
from reslab.experiments.budget import budget_in_words
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, Table, Verdict
from reslab.experiments.figures import make_figure
from reslab.experiments.statistics import difference, paired_difference, spread
from reslab.report.figures.style import COLORS

SHALLOW, DEEP = 20, 56
BUDGETS = (1, 2, 3)


def _longer(config: RunConfig, times: int) -> RunConfig:
    """The same recipe with its iterations and drops at so many times the place; the warm-up stays."""
    assert isinstance(config.schedule, StepDecay)
    milestones = tuple(times * milestone for milestone in config.schedule.milestones)
    train = replace(config.train, iterations=times * config.train.iterations)
    schedule = replace(config.schedule, milestones=milestones)
    name = config.recipe + (f"-{times}x" if times > 1 else "")
    return replace(config, recipe=name, train=train, schedule=schedule)


def _arm(size: Size, depth: int, times: int) -> Arm:
    return Arm(_longer(arm(size, "plain", depth).config, times))


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(_arm(size, depth, times) for depth in (SHALLOW, DEEP) for times in BUDGETS)


def _errors(evidence: Evidence, depth: int, times: int) -> tuple[float, ...]:
    return evidence.errors(_arm(evidence.size, depth, times).name, "train")


def _judge(evidence: Evidence) -> Verdict:
    longest = BUDGETS[-1]
    falls = paired_difference(_errors(evidence, DEEP, longest), _errors(evidence, DEEP, 1))
    gap = difference(_errors(evidence, DEEP, longest), _errors(evidence, SHALLOW, longest))
    sentence = (
        f"With {longest} times the iterations the clean training error of plain-{DEEP} changes by {falls}; it then "
        f"differs from plain-{SHALLOW}'s at the same budget by {gap}.{budget_in_words(evidence)}"
    )
    if falls.is_below_zero and gap.is_above_zero:
        return Verdict("reproduced", sentence)
    if falls.is_above_zero or gap.is_below_zero:
        return Verdict("not reproduced", sentence)
    return Verdict("inconclusive", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for depth in (SHALLOW, DEEP):
        for times in BUDGETS:
            one = _arm(evidence.size, depth, times)
            train, test = evidence.errors(one.name, "train"), evidence.reported(one.name)
            row = (f"plain-{depth}", f"{one.config.train.iterations:,}", str(len(train)), spread(train), spread(test))
            rows.append(row)
    return Table(("network", "iterations", "seeds", "training error, clean (%)", "test error (%)"), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        axes = panels[0]
        for depth, color in zip((SHALLOW, DEEP), COLORS, strict=False):
            values = [_errors(evidence, depth, times) for times in BUDGETS]
            axes.plot(BUDGETS, [sum(v) / len(v) for v in values], color=color, lw=2, label=f"plain, {depth} layers")
            for times, seeds in zip(BUDGETS, values, strict=True):
                axes.plot([times] * len(seeds), seeds, "o", color=color, ms=5, alpha=0.7)
        axes.set_xticks(BUDGETS, [f"{times} x" for times in BUDGETS])
        axes.set_xlabel("iterations, to the recipe's")
        axes.set_ylabel("training error, clean (%)")
        axes.set_ylim(bottom=0)
        axes.legend()

    return make_figure(draw_on)


EXPERIMENT = Experiment(
    name="convergence",
    title="Plain nets converge, but deep ones very slowly",
    claim="The solver works to some extent on deep plain nets; they may have exponentially low convergence rates. "
    "Three times the iterations do not remove the degradation.",
    source="Sec. 4.1 and its footnote 3",
    paper=(
        (
            "deep plain nets on ImageNet",
            '"the solver works to some extent"; a guess: "exponentially low convergence rates"',
        ),
        ("plain-34 on ImageNet with 3 times the iterations", "the degradation is still observed"),
    ),
    rule=f"Reproduced if {BUDGETS[-1]} times the iterations lower the clean training error of plain-{DEEP} (95 % "
    f"interval below 0) and leave it above plain-{SHALLOW}'s at the same budget (interval above 0); not reproduced if "
    "either is the other way round; otherwise inconclusive. The first interval is Student's t of the differences seed "
    "by seed, because all budgets of a seed begin with the same weights; the second is Welch's.",
    caption="Clean training error at the end by budget; drops of the rate at the same parts of each. A dot for each "
    "seed, lines through the means.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
