"""The table of nets that are deeper than their recipe's."""

import json
from pathlib import Path
from typing import Any


def read_deeper(results: Path) -> list[dict[str, Any]]:
    """Return the records below results/deeper, by network and seed."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (results / "deeper").glob("*/*.json")]
    return sorted(found, key=lambda record: (record["network"].lower(), record["seed"]))


def deeper_table(records: list[dict[str, Any]]) -> str:
    """Return errors in percent, a row for each run; the lowest of a window tells a net that leapt from a slow one."""
    lines = [
        "| network | seed | training error after 51 iterations | lowest on the way | clean, at the end | test error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for record in records:
        curve = record["curve"]["train"]
        early = next(error for step, error in curve if step == 51)
        ends = [100 * (1 - part["correct"] / part["total"]) for part in (record["final"]["train"], record["test"])]
        numbers = " | ".join(f"{error:.1f}" for error in (early, min(error for _, error in curve), *ends))
        lines.append(f"| {record['network']} | {record['seed']} | {numbers} |")
    return "\n".join(lines) + "\n"
