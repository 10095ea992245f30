"""Dividing the rate when the error plateaus reaches what fixed milestones reach (paper Sec. 3.4 and 4.2)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import draw_curves, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import MARGIN, paired_difference
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells

_DEPTH = 20
_PATIENCE = {"digits": 4, "small": 4, "paper": 5}  # evaluations without a better one
_DROPS = 2
_EVALUATE_EVERY = {"small": 98}  # a quarter of an epoch: the recipe's 8 evaluations leave no time to drop twice


def _roles(size: Size) -> dict[str, Arm]:
    evaluation = {"monitor": "validation"}
    if size in _EVALUATE_EVERY:
        evaluation |= {"every": _EVALUATE_EVERY[size]}
    held_out = {} if size == "digits" else {"data": {"validation_size": 5000}, "evaluation": evaluation}
    schedule = {"kind": "plateau", "factor": 0.1, "patience": _PATIENCE[size], "max_drops": _DROPS}
    suffix = "" if size == "digits" else "-45k"
    return {
        "fixed milestones": make_arm(size, "resnet", _DEPTH, held_out, suffix=suffix),
        "plateau": make_arm(size, "resnet", _DEPTH, {**held_out, "schedule": schedule}, suffix="-plateau"),
    }


def _names(evidence: Evidence) -> dict[str, str]:
    return {role: arm.name for role, arm in _roles(evidence.size).items()}


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    fixed, plateau = _names(evidence).values()
    change = paired_difference(evidence.reported(plateau), evidence.reported(fixed))
    drops = [len(record.rate_drops()) for record in evidence.records[plateau]]
    sentence = (
        f"With drops at plateaus the test error differs by {change} from that with fixed milestones; the rate dropped "
        f"{', '.join(map(str, drops))} times (by seed) of at most {_DROPS}.{budget_in_words(evidence)}"
    )
    estimate = Estimate(what="plateaus minus milestones", difference=change, side="below", threshold=MARGIN)
    if min(drops) < _DROPS:
        reason = f"A training whose rate has not dropped {_DROPS} times before its end tests no plateaus."
        return (Verdict(outcome="not testable", sentence=f"{sentence} {reason}", estimates=(estimate,)),)
    return (decide(sentence, estimate),)


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for role, name in _names(evidence).items():
        drops = "; ".join(", ".join(map(str, record.rate_drops())) or "none" for record in evidence.records[name])
        rows.append((role, drops, *error_cells(evidence, name)))
    return ResultTable(("schedule", "drops at (by seed)", *ERROR_COLUMNS), tuple(rows), num_words=2)


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, (role, name) in zip(panels, _names(evidence).items(), strict=True):
            draw_curves(axes, evidence, {name: role})
            axes.set_title(role, fontsize=10)
        top = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(0, top)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="plateau",
    title="Drops at plateaus reach what fixed milestones reach",
    claim="On ImageNet the rate is divided by 10 when the error plateaus; on CIFAR-10 at iterations found once on a "
    "validation part. (The paper does not compare the two ways; this does.)",
    source="Sec. 3.4, 4.2",
    paper=(
        ("drops on ImageNet (Fig. 4)", "near 150,000 and 300,000 iterations, read off the figure"),
        ("on CIFAR-10", "32,000, 48,000"),
    ),
    rule=f"Reproduced if the test error with plateaus is at most {MARGIN:g} point above that with milestones (upper "
    "end of the 95 % interval). Not reproduced if it is more than that above (lower end). Not "
    f"testable where the rate did not drop {_DROPS} times in every seed: a training that ends before it could drop "
    "tests no plateaus. The interval is Student's t of the differences seed by seed, because both trainings of a seed "
    "begin with the same weights. Plateaus are those of the validation error; the test set is not used to find them.",
    seeds=lambda size: {"digits": 3, "small": 5, "paper": 1}[size],
    is_beyond=True,
    caption="ResNet-20 under both schedules. Thin: training error of the batches as trained on; bold: validation "
    "error; "
    "means over the seeds, bands from the lowest to the highest. Dashed: where the rate drops, by plateaus that of the "
    "first seed.",
    arms=lambda size: tuple(_roles(size).values()),
    judge=_judge,
    table=_table,
    draw=_draw,
)
