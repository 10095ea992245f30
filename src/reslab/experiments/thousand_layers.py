"""1202 layers still optimise, and cost what their number says (paper Sec. 4.2)."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.report.curves import THIN, Curve, draw, points
from reslab.report.figures import COLORS, in_iterations

from .arms import Arm, Size, arm
from .draw import make_figure
from .evidence import Evidence
from .experiment import Bench, Experiment, Table, Verdict
from .statistics import spread
from .step_cost import step_cost

DEPTH = 1202
_DEPTHS = (20, 56, 110, DEPTH)
_CLAIMED = 0.1  # % training error
_LEARNED = 0.8  # of its first value: a training error below this part of it has been learned from
_ITERATIONS = {"digits": 120, "small": 200}
_PAPER_TEST = {110: 6.43, 1202: 7.93}


def _arms(size: Size) -> tuple[Arm, ...]:
    if size == "paper":
        return (arm(size, "resnet", 110), arm(size, "resnet", DEPTH))
    iterations = _ITERATIONS[size]
    changes = {
        "train": {
            "iterations": iterations,
            "log_every": iterations // 20,
            "checkpoint_every": iterations // 6,
            "checkpoint_activations": True,
            "monitor": "none",
            "final_training_error": size == "digits",  # on CIFAR-10 it would take as long as the training
        },
        "schedule": {"kind": "step", "milestones": [iterations * 3 // 4], "factor": 0.1},
        "warmup": {"kind": "linear", "iterations": iterations // 4},
    }
    return (arm(size, "resnet", DEPTH, changes, suffix="-start"),)


def _measure(bench: Bench) -> dict[str, Any]:
    rows = []
    for depth in _DEPTHS:
        for checkpoints in (False, True):
            train = {"iterations": 1000, "monitor": "none", "checkpoint_activations": checkpoints}
            config = arm(bench.size, "resnet", depth, {"train": train, "schedule": {"kind": "constant"}}).at(bench.data)
            rows.append(step_cost(config.config, steps=max(2, 400 // depth)))
    return {"steps": rows}


def _deep(evidence: Evidence) -> str:
    return next(name for name in evidence.records if evidence.spec(name).depth == DEPTH)


def _last_error(evidence: Evidence) -> tuple[float, float, str]:
    """Training error at the start and the end (worst seed), and how the latter was measured."""
    records = evidence.records[_deep(evidence)]
    first = max(record.rows("train")[0]["error"] for record in records)
    if all("train" in record.values["final"] for record in records):
        return first, max(evidence.errors(_deep(evidence), "train")), "clean training images"
    return first, max(record.rows("train")[-1]["error"] for record in records), "the last batches as trained on"


def _judge(evidence: Evidence) -> Verdict:
    first, last, how = _last_error(evidence)
    iterations = evidence.iterations(_deep(evidence))
    sentence = (
        f"In {iterations:,} iterations the training error of ResNet-{DEPTH} goes from {first:.1f} % to {last:.2f} % "
        f"({how})."
    )
    if evidence.size == "paper":
        shallower = next(name for name in evidence.records if name != _deep(evidence))
        tests = {name: spread(evidence.reported(name)) for name in (_deep(evidence), shallower)}
        sentence += f" Its test error is {tests[_deep(evidence)]} %, that of 110 layers {tests[shallower]} %."
    if last < _CLAIMED:
        return Verdict("reproduced", sentence)
    if evidence.size == "paper" or last > _LEARNED * first:
        return Verdict("not reproduced", sentence)
    return Verdict("inconclusive", sentence + " It optimises; the paper's 64,000 iterations go further.")


def _table(evidence: Evidence) -> Table:
    steps = evidence.measured["steps"]
    kept = {row["depth"]: row for row in steps if not row["checkpoint_activations"]}
    again = {row["depth"]: row for row in steps if row["checkpoint_activations"]}
    base = kept[_DEPTHS[0]]["seconds_per_step"] / _DEPTHS[0]
    rows = tuple(
        (
            f"ResNet-{depth}",
            f"{kept[depth]['seconds_per_step'] / depth / base:.2f}",
            f"{kept[depth]['peak_gb']:.2f}",
            f"{again[depth]['peak_gb']:.2f}",
            f"{again[depth]['seconds_per_step'] / kept[depth]['seconds_per_step']:.2f}",
        )
        for depth in _DEPTHS
    )
    columns = (
        "network",
        "time per step and layer, to 20 layers'",
        "peak memory (GB)",
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
            right.plot([r["depth"] for r in rows], [r["peak_gb"] for r in rows], "o-", ms=4, color=color, label=label)
        right.set_xlabel("layers")
        right.set_ylabel("peak resident memory (GB)")
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
        *((f"test error of ResNet-{depth} (Table 6)", f"{error} %") for depth, error in _PAPER_TEST.items()),
    ),
    rule=f"Reproduced if every seed's training error ends below {_CLAIMED:g} %. Not reproduced if at the paper's full "
    f"length it does not, or if in a shorter training it does not even fall to {100 * _LEARNED:g} % of its first "
    "value. Otherwise inconclusive: the training is too short to say.",
    caption="Left: training error of the batches as trained on. Right: peak memory of a training process by depth, "
    "with activations kept and with activations recomputed block by block.",
    arms=_arms,
    measure=_measure,
    judge=_judge,
    table=_table,
    draw=_draw,
    seeds=1,
)
