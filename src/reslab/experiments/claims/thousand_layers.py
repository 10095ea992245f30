"""1202 layers still optimise, and cost what their number says (paper Sec. 4.2)."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.config import Setting
from reslab.experiments.arms import Arm, Size, make_arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, ResultTable, SingleMeasurement
from reslab.experiments.figures import GREY, make_figure
from reslab.experiments.statistics import MeanDifference, difference_of_shares, spread
from reslab.experiments.step_cost import OutOfMemoryError, StepCost, step_cost
from reslab.experiments.verdict import Verdict, VerdictOutcome
from reslab.report.figures.curves import THIN, Curve, draw, points
from reslab.report.figures.style import COLORS, in_iterations

log = logging.getLogger(__name__)

_DEPTH = 1202
_DEPTHS = (20, 56, 110, _DEPTH)
_CLAIMED = 0.1  # % training error
_GUESSING = 90.0  # % error, of ten classes
_FITTING = 1700  # iterations on the digits: 100 epochs
_STARTING = 200  # iterations on CIFAR-10, where more would take days
_LR = 0.01  # what the paper starts 110 layers with, for about 400 iterations; a short training never leaves it


@dataclass(frozen=True, slots=True)
class StepCosts:
    """What training steps cost by depth, without and with activation checkpoints."""

    steps: tuple[StepCost, ...]


CostEvidence = Evidence[None, StepCosts]


def _arms(size: Size) -> tuple[Arm, ...]:
    match size:
        case "paper":
            return (make_arm(size, "resnet", 110), make_arm(size, "resnet", _DEPTH))
        case "digits":
            schedule = {"kind": "step", "milestones": [round(share * _FITTING) for share in (0.6, 0.85)]}
            evaluation = {"monitor": "none", "final_training_error": True}
            return (_deep_arm(size, _FITTING, schedule, evaluation, "-fit"),)
        case "small":  # whose final training error would take as long as the training
            evaluation = {"monitor": "none", "final_training_error": False}
            return (_deep_arm(size, _STARTING, {"kind": "constant"}, evaluation, "-start"),)


def _deep_arm(
    size: Size, iterations: int, schedule: dict[str, Setting], evaluation: dict[str, Setting], suffix: str
) -> Arm:
    changes: dict[str, Setting] = {
        "train": {
            "iterations": iterations,
            "log_every": iterations // (20 if size == "small" else 100),
            "checkpoint_every": iterations // (6 if size == "small" else 50),
        },
        "compute": {"checkpoint_activations": True},
        "evaluation": evaluation,
        "optim": {"lr": _LR},
        "schedule": schedule,
        "warmup": {"kind": "none"},
    }
    return make_arm(size, "resnet", _DEPTH, changes, suffix=suffix)


def _measure(bench: Bench) -> StepCosts:
    return StepCosts(tuple(_step(bench, depth, checkpoints) for depth in _DEPTHS for checkpoints in (False, True)))


def _step(bench: Bench, depth: int, checkpoints: bool) -> StepCost:
    """What training steps cost; without numbers for a depth that does not fit into memory."""
    changes = {
        "train": {"iterations": 1000},
        "compute": {"checkpoint_activations": checkpoints},
        "evaluation": {"monitor": "none"},
        "schedule": {"kind": "constant"},
    }
    arm = make_arm(bench.size, "resnet", depth, changes).at(bench.data)
    try:
        return step_cost(arm.config, steps=max(2, 400 // depth))
    except OutOfMemoryError as error:
        if depth == _DEPTHS[0]:
            raise  # nothing is left to compare with
        log.warning("%s", error)
        return StepCost(depth=depth, checkpoint_activations=checkpoints)


def _deep(evidence: CostEvidence) -> str:
    return next(name for name in evidence.records if evidence.spec(name).depth == _DEPTH)


def _judge(evidence: CostEvidence) -> tuple[Verdict, ...]:
    return (_judge_start(evidence) if evidence.size == "small" else _judge_end(evidence),)


def _judge_end(evidence: CostEvidence) -> Verdict:
    ends = evidence.errors(_deep(evidence), "train")
    iterations = evidence.config(_deep(evidence)).train.iterations
    tests = "; ".join(f"{evidence.spec(name).label} {spread(evidence.reported(name))} %" for name in evidence.records)
    sentence = (
        f"After {iterations:,} iterations the clean training error of ResNet-{_DEPTH} is {spread(ends)} %, the highest "
        f"of {len(ends)} seeds {max(ends):.2f} %. Test error: {tests}."
    )
    outcome: VerdictOutcome = "reproduced" if max(ends) < _CLAIMED else "not reproduced"
    if min(ends) < _CLAIMED <= max(ends):  # no number of seeds makes them alike
        outcome = "undecided"
    return Verdict(outcome=outcome, sentence=sentence)


def _judge_start(evidence: CostEvidence) -> Verdict:
    """Of a training too short for the claim: whether its error falls at all."""
    falls = _falls(evidence)
    if all(fall.is_below_zero for fall in falls):
        change = "In this training the error falls"
    elif any(fall.is_above_zero for fall in falls):
        change = "In this training the error does not fall, at this rate"
    else:
        change = "The interval includes no change, so that whether the error falls stays open"
    train = evidence.config(_deep(evidence)).train
    epochs = train.iterations * train.batch_size / evidence.records[_deep(evidence)][0].document.train_size
    sentence = (
        f"From the first to the second half of {train.iterations:,} iterations the training error "
        f"of ResNet-{_DEPTH} changes by {'; '.join(fall.in_words() for fall in falls)}. {change}; the test error at "
        f"its end is {spread(evidence.reported(_deep(evidence)))} %, that of guessing 90 %. In {epochs:.2g} epochs no "
        f"network sees each image often enough to get below {_CLAIMED:g} %: the claim is tested on the digits."
    )
    return Verdict(outcome="not testable", sentence=sentence)


def _falls(evidence: CostEvidence) -> list[MeanDifference]:
    """For each seed the training error of the second half of its windows less that of the first, by their images."""
    train, falls = evidence.config(_deep(evidence)).train, []
    for record in evidence.records[_deep(evidence)]:
        errors = [row.error for row in record.rows("train")]
        half = len(errors) // 2
        images = half * train.log_every * train.batch_size
        falls.append(difference_of_shares(mean(errors[-half:]), mean(errors[:half]), images))
    return falls


def _training_gb(cost: StepCost) -> float:
    """The peak less what the process held before its first step: activations, gradients and momentum; NaN for none."""
    if cost.peak_gb is None or cost.peak_gb_before_training is None:
        return math.nan
    return cost.peak_gb - cost.peak_gb_before_training


def _seconds(cost: StepCost) -> float:
    return math.nan if cost.seconds_per_step is None else cost.seconds_per_step


def _number(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.2f}"


def _table(evidence: CostEvidence) -> ResultTable:
    kept, again = (
        {cost.depth: cost for cost in evidence.next_to_runs.steps if cost.checkpoint_activations is checkpoints}
        for checkpoints in (False, True)
    )
    base = _seconds(kept[_DEPTHS[0]]) / _DEPTHS[0]
    rows = tuple(
        (
            f"ResNet-{depth}",
            _number(_seconds(kept[depth]) / depth / base),
            _number(_training_gb(kept[depth])),
            _number(_training_gb(again[depth])),
            _number(_seconds(again[depth]) / _seconds(kept[depth])),
        )
        for depth in _DEPTHS
    )
    columns = (
        "network",
        "time per step and layer, to 20 layers'",
        "memory of training (GB)",
        "with activation checkpoints (GB)",
        "their time, to without",
    )
    return ResultTable(columns, rows)


def _draw(evidence: CostEvidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        left, right = panels
        records = evidence.records[_deep(evidence)]
        runs = tuple(points(record.rows("train")) for record in records)
        draw(left, Curve(f"ResNet-{_DEPTH}, training", COLORS[0], 2 * THIN, runs))
        left.axhline(_GUESSING, color=GREY, lw=1, ls=":", label="guessing")
        left.set_ylabel("error (%)")
        lowest = min(error for run in runs for _, error in run)
        left.set_ylim(0 if lowest < _GUESSING / 2 else lowest - 5, 100)
        left.legend()
        in_iterations(left)
        for checkpoints, label, color in ((False, "activations kept", COLORS[1]), (True, "recomputed", COLORS[0])):
            costs = [cost for cost in evidence.next_to_runs.steps if cost.checkpoint_activations is checkpoints]
            depths, memory = [cost.depth for cost in costs], [_training_gb(cost) for cost in costs]
            right.plot(depths, memory, "o-", ms=4, color=color, label=label)
        right.set_xlabel("layers")
        right.set_ylabel("memory of training (GB)")
        right.set_ylim(bottom=0)
        right.legend()

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="thousand-layers",
    title="1202 layers still optimise",
    claim="A net of 1202 layers has no difficulty in being optimised: its training error goes below 0.1 %. Its test "
    "error is above that of 110 layers, which the paper blames on overfitting.",
    source="Sec. 4.2, Table 6, Fig. 6 (right)",
    paper=(
        ("training error of ResNet-1202", "below 0.1 %"),
        ("test error of ResNet-110 (Table 6)", "6.43 % (the best of five runs; their mean 6.61 ± 0.16)"),
        (f"test error of ResNet-{_DEPTH} (Table 6)", "7.93 %"),
    ),
    rule="The rule judges the training error. Reproduced if every seed's clean training error ends below "
    f"{_CLAIMED:g} %; not reproduced if no seed's does. On the digits the network is trained for {_FITTING // 17} "
    f"epochs at {_LR:g}, with two drops. Size small is not testable: its {_STARTING} iterations are less than an "
    "epoch. "
    "There the page says whether the error falls: whether, in every seed, the training error of the second half of the "
    "logged windows is below that of the first half, by the 95 % interval for two counts of images. (The interval "
    "takes "
    "the images as independent and says nothing about other seeds.)",
    seeds=lambda size: 3 if size == "digits" else 1,
    caption="Left: training error of the batches as trained on; the short trainings keep a learning rate of "
    f"{_LR:g}, with which the paper starts 110 layers. Right: peak memory of training by depth, beyond what the "
    "process held with the network and its data; activations kept, or recomputed block by block.",
    arms=_arms,
    once=SingleMeasurement(StepCosts, _measure),
    judge=_judge,
    table=_table,
    draw=_draw,
)
