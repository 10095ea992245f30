"""The table of one network trained at several learning rates."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any


def read_rates(results: Path) -> list[dict[str, Any]]:
    """Return the records below results/rates, by rate and seed."""
    paths = (results / "rates").glob("*/*/*.json")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(found, key=lambda record: (record["config"]["optim"]["lr"], record["seed"]))


def rates_table(records: list[dict[str, Any]]) -> str:
    """Return clean training error in percent, a row for each rate and a column for each seed."""
    errors: dict[float, dict[int, float]] = defaultdict(dict)
    for record in records:
        train = record["final"]["train"]
        errors[record["config"]["optim"]["lr"]][record["seed"]] = 100 * (1 - train["correct"] / train["total"])
    seeds = sorted({record["seed"] for record in records})
    lines = [f"| rate | {' | '.join(f'seed {seed}' for seed in seeds)} | mean |", f"|{'---:|' * (len(seeds) + 2)}"]
    for rate, by_seed in errors.items():
        cells = " | ".join(f"{by_seed[seed]:.2f}" for seed in seeds)
        lines.append(f"| {rate:g} | {cells} | {statistics.mean(by_seed.values()):.1f} |")
    return "\n".join(lines) + "\n"
