"""The table of one network trained at several learning rates."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reslab.artifacts.record import RecordedRun
from reslab.config import from_dict


class RatedRun(NamedTuple):
    """A run of one learning rate: its seed and its clean training error in percent."""

    rate: float
    seed: int
    error: float


def read_rates(results: Path) -> list[RatedRun]:
    """Return the runs below results/rates, by rate and seed."""
    return sorted(_read(path) for path in (results / "rates").glob("*/*/*.json"))


def _read(path: Path) -> RatedRun:
    record = RecordedRun.open(path).document
    return RatedRun(from_dict(record.config).optim.lr, record.seed, record.final["train"].error)


def rates_table(runs: Sequence[RatedRun]) -> str:
    """Return clean training error in percent, a row for each rate and a column for each seed."""
    errors: dict[float, dict[int, float]] = defaultdict(dict)
    for run in runs:
        errors[run.rate][run.seed] = run.error
    seeds = sorted({run.seed for run in runs})
    lines = [f"| rate | {' | '.join(f'seed {seed}' for seed in seeds)} | mean |", f"|{'---:|' * (len(seeds) + 2)}"]
    for rate, by_seed in errors.items():
        cells = " | ".join(f"{by_seed[seed]:.2f}" for seed in seeds)
        lines.append(f"| {rate:g} | {cells} | {statistics.mean(by_seed.values()):.1f} |")
    return "\n".join(lines) + "\n"
