"""Evidence made up for tests: records with chosen errors, without any training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.artifacts.record import RecordedRun
from reslab.config import to_dict
from reslab.experiments.arms import Arm, Size
from reslab.experiments.evidence import Evidence, Measured

TOTAL = 10_000


def made_up(
    experiment: str,
    errors: dict[Arm, Sequence[tuple[float, float]]],
    measured: Any = None,
    of_runs: Any = None,
    size: Size = "digits",
) -> Evidence:
    """Return evidence in which each arm's seeds have the given (training, test) errors in %."""
    records = {
        arm.name: [_record(arm, seed, *pair) for seed, pair in enumerate(pairs)] for arm, pairs in errors.items()
    }
    made = {"date": "2015-12-10", "environment": {"cpu": {"name": "x"}, "threads": 1, "packages": {"torch": "0"}}}
    found = {arm: [Measured(value, made) for value in values] for arm, values in (of_runs or {}).items()}
    return Evidence(experiment, size, records, measured or {}, found, made, {})


def _record(arm: Arm, seed: int, train: float, test: float) -> RecordedRun:
    counts = {"train": train, "test": test}
    final = {split: {"correct": round(TOTAL * (1 - error / 100)), "total": TOTAL} for split, error in counts.items()}
    curve = [[step, max(train, 100 - step)] for step in range(10, 101, 10)]
    values = {
        "seed": seed,
        "config": to_dict(arm.config),
        "final": final,
        "reported_split": "test",
        "curve": {"train": curve, "validation": curve},
        "rate_drops": [50, 75],
        "train_size": 1078,
        "iterations": 100,
    }
    return RecordedRun(Path(f"{arm.name}/{seed}.json"), values)
