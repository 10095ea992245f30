"""The table of nets that are deeper than their recipe's."""

from collections.abc import Sequence
from pathlib import Path

from reslab.artifacts.record import RecordDocument, RecordedRun


def read_deeper(results: Path) -> list[RecordDocument]:
    """Return the records below results/deeper, by network and seed."""
    found = [RecordedRun.open(path).document for path in (results / "deeper").glob("*/*.json")]
    return sorted(found, key=lambda record: (record.network.lower(), record.seed))


def deeper_table(records: Sequence[RecordDocument]) -> str:
    """Return errors in percent, a row for each run; the lowest of a window tells a net that leapt from a slow one."""
    lines = [
        "| network | seed | training error after 51 iterations | lowest on the way | clean, at the end | test error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for record in records:
        curve = record.curve["train"]
        early = next(error for step, error in curve if step == 51)
        ends = [record.final[split].error for split in ("train", "test")]
        numbers = " | ".join(f"{error:.1f}" for error in (early, min(error for _, error in curve), *ends))
        lines.append(f"| {record.network} | {record.seed} | {numbers} |")
    return "\n".join(lines) + "\n"
