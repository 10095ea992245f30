"""1202 layers still optimise, and cost what their number says (paper Sec. 4.2)."""

import logging
import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.config import from_dict
from reslab.experiments.arms import Arm, Size, arm
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, Table, Verdict
from reslab.experiments.figures import make_figure
from reslab.experiments.statistics import Difference, difference_of_shares, spread
from reslab.experiments.step_cost import OutOfMemoryError, step_cost
from reslab.report.figures.curves import THIN, Curve, draw, points
from reslab.report.figures.style import COLORS, in_iterations

log = logging.getLogger(__name__)

DEPTH = 1202
_DEPTHS = (20, 56, 110, DEPTH)
_CLAIMED = 0.1  # % training error
_ITERATIONS = {"digits": 120, "small": 200}
_LR = 0.01  # what the paper starts 110 layers with, for about 400 iterations; a short training never leaves it


def _arms(size: Size) -> tuple[Arm, ...]:
    if size == "paper":
        return (arm(size, "resnet", 110), arm(size, "resnet", DEPTH))
    iterations = _ITERATIONS[size]
    changes = {
        "train": {
            "iterations": iterations,
            "log_every": iterations // 20,
            "checkpoint_every": iterations // 6,
        },
        "compute": {"checkpoint_activations": True},
        "evaluation": {
            "monitor": "none",
            "final_training_error": size == "digits",  # on CIFAR-10 it would take as long as the training
        },
        "optim": {"lr": _LR},
        "schedule": {"kind": "constant"},
        "warmup": {"kind": "none"},
    }
    return (arm(size, "resnet", DEPTH, changes, suffix="-start"),)


def _measure(bench: Bench) -> dict[str, Any]:
    return {"steps": [_step(bench, depth, checkpoints) for depth in _DEPTHS for checkpoints in (False, True)]}


def _step(bench: Bench, depth: int, checkpoints: bool) -> dict[str, Any]:
    """What training steps cost; without numbers for a depth that could not be trained, for want of memory say."""
    changes = {
        "train": {"iterations": 1000},
        "compute": {"checkpoint_activations": checkpoints},
        "evaluation": {"monitor": "none"},
        "schedule": {"kind": "constant"},
    }
    config = arm(bench.size, "resnet", depth, changes).at(bench.data).config
    try:
        return step_cost(config, steps=max(2, 400 // depth))
    except OutOfMemoryError as error:
        if depth == _DEPTHS[0]:
            raise  # nothing is left to compare with
        log.warning("%s", error)
        return {"depth": depth, "checkpoint_activations": checkpoints, "seconds_per_step": None, "peak_gb": None}


def _deep(evidence: Evidence) -> str:
    return next(name for name in evidence.records if evidence.spec(name).depth == DEPTH)


def _judge(evidence: Evidence) -> Verdict:
    return _judge_at_full_length(evidence) if evidence.size == "paper" else _judge_start(evidence)


def _judge_at_full_length(evidence: Evidence) -> Verdict:
    ends = evidence.errors(_deep(evidence), "train")
    shallower = next(name for name in evidence.records if name != _deep(evidence))
    tests = {name: spread(evidence.reported(name)) for name in (_deep(evidence), shallower)}
    sentence = (
        f"After {evidence.iterations(_deep(evidence)):,} iterations the clean training error of ResNet-{DEPTH} is "
        f"{spread(ends)} %. Its test error is {tests[_deep(evidence)]} %, that of 110 layers {tests[shallower]} %."
    )
    if max(ends) < _CLAIMED:
        return Verdict("reproduced", sentence)
    return Verdict("not reproduced" if min(ends) >= _CLAIMED else "inconclusive", sentence)


def _judge_start(evidence: Evidence) -> Verdict:
    """Of a training too short for the claim: always inconclusive, and whether its error falls at all."""
    falls = _falls(evidence)
    if all(fall.is_below_zero for fall in falls):
        found = "In this training the error falls"
    elif any(fall.is_above_zero for fall in falls):
        found = "In this training the error does not fall, at this rate"
    else:
        found = "The interval includes no change, so that whether the error falls stays open"
    sentence = (
        f"From the first to the second half of {evidence.iterations(_deep(evidence)):,} iterations the training error "
        f"of ResNet-{DEPTH} changes by {'; '.join(fall.in_words() for fall in falls)}. {found}; the test error at "
        f"its end is {spread(evidence.reported(_deep(evidence)))} %, that of guessing 90 %. Whether its training error "
        f"goes below {_CLAIMED:g} %, a training this short cannot say."
    )
    return Verdict("inconclusive", sentence)


def _falls(evidence: Evidence) -> list[Difference]:
    """For each seed the training error of the second half of its windows less that of the first, by their images."""
    found = []
    for record in evidence.records[_deep(evidence)]:
        errors, train = [row["error"] for row in record.rows("train")], from_dict(record.config()).train
        half = len(errors) // 2
        images = half * train.log_every * train.batch_size
        found.append(difference_of_shares(mean(errors[-half:]), mean(errors[:half]), images))
    return found


def _training_gb(row: dict[str, Any]) -> float:
    """The peak less what the process held before its first step: activations, gradients and momentum; NaN for none."""
    return math.nan if row["peak_gb"] is None else row["peak_gb"] - row["peak_gb_before_training"]


def _seconds(row: dict[str, Any]) -> float:
    return math.nan if row["seconds_per_step"] is None else row["seconds_per_step"]


def _number(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.2f}"


def _table(evidence: Evidence) -> Table:
    steps = evidence.measured["steps"]
    kept = {row["depth"]: row for row in steps if not row["checkpoint_activations"]}
    again = {row["depth"]: row for row in steps if row["checkpoint_activations"]}
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
    return Table(columns, rows)


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        left, right = panels
        records = evidence.records[_deep(evidence)]
        runs = tuple(points(record.rows("train")) for record in records)
        draw(left, Curve(f"ResNet-{DEPTH}, training", COLORS[0], 2 * THIN, runs))
        left.set_ylabel("error (%)")
        left.set_ylim(0, 100)
        left.legend()
        in_iterations(left)
        for checkpoints, label, color in ((False, "activations kept", COLORS[1]), (True, "recomputed", COLORS[0])):
            rows = [row for row in evidence.measured["steps"] if row["checkpoint_activations"] is checkpoints]
            right.plot(
                [r["depth"] for r in rows], [_training_gb(r) for r in rows], "o-", ms=4, color=color, label=label
            )
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
        (f"test error of ResNet-{DEPTH} (Table 6)", "7.93 %"),
    ),
    rule="Judged is the training error. At the paper's full length: reproduced if every seed's clean training error "
    f"ends below {_CLAIMED:g} %; not reproduced if none does; otherwise inconclusive. A shorter training is always "
    "inconclusive, for it cannot get there. Of it the page says whether the error falls: whether, in every seed, the "
    "training error of the second half of the logged windows is below that of the first half, by the 95 % interval for "
    "two counts of images. (It takes them for independent, though images return every epoch: it is too narrow, and "
    "says nothing of another seed.)",
    caption="Left: training error of the batches as trained on; the short trainings keep a learning rate of "
    f"{_LR:g}, with which the paper starts 110 layers. Right: memory that training takes by depth, beyond "
    "what the process held with the network and its data, at its peak; activations kept, or recomputed block by block.",
    arms=_arms,
    measure=_measure,
    judge=_judge,
    table=_table,
    draw=_draw,
    seeds=1,
)
