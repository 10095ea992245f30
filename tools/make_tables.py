"""Write the generated blocks in README and docs from the records under results/.

    python tools/make_tables.py            write them anew
    python tools/make_tables.py --check    exit 1 when one is not what the records say

A block stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; NAME is a key of BLOCKS.
"""

import json
import re
import statistics
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from reslab.recipes import RECIPES

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"(<!-- begin: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.S)


def read_records(results: Path) -> list[dict[str, Any]]:
    """Return all records, in the order of the recipes and seeds."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*/*.json"))]
    order = list(RECIPES)
    return sorted(
        found, key=lambda record: (order.index(record["recipe"]) if record["recipe"] in order else 999, record["seed"])
    )


def results_table(records: list[dict[str, Any]]) -> str:
    """Return one row for each recipe, its error over the seeds beside the paper's."""
    if not records:
        return "No records yet.\n"
    columns = ("recipe", "network", "seeds", "training error, clean", "test error", "expected", "protocol", "selection")
    columns += ("iterations", "precision")
    lines = [
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
        *(_row(list(group)) for _, group in groupby(records, key=lambda record: record["recipe"])),
    ]
    return "\n".join(lines) + "\n"


def _row(records: list[dict[str, Any]]) -> str:
    first = records[0]
    recipe = RECIPES.get(first["recipe"])
    cells = (
        f"`{first['recipe']}`",
        first["network"],
        len(records),
        _errors([record["final"].get("train") for record in records]),
        _errors([record["test"] for record in records]),
        recipe.page.expected if recipe else "-",
        first["test"]["protocol"] if first["test"] else "-",
        first["selection"],
        f"{first['iterations']:,}",
        first["environment"][0]["precision"],
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _errors(counts: list[dict[str, Any] | None]) -> str:
    """Return the error with its count, or its mean and standard deviation over the seeds."""
    known = [count for count in counts if count is not None]
    if not known:
        return "-"
    errors = [100 * (count["total"] - count["correct"]) / count["total"] for count in known]
    if len(errors) > 1:
        return f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
    return f"{errors[0]:.2f} % ({known[0]['total'] - known[0]['correct']} of {known[0]['total']} wrong)"


BLOCKS: dict[str, Callable[[list[dict[str, Any]]], str]] = {"results": results_table}


def fill(text: str, records: list[dict[str, Any]]) -> str:
    """Return the text with every block made anew; ValueError for a block that nobody makes."""

    def make(match: re.Match[str]) -> str:
        if match["name"] not in BLOCKS:
            raise ValueError(f"no generator for the block {match['name']!r}; there are: {', '.join(BLOCKS)}")
        return match[1] + BLOCKS[match["name"]](records) + match[3]

    return _BLOCK.sub(make, text)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Rewrite or check every file; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    records = read_records(root / "results")
    stale = []
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        filled = fill(text, records)
        if filled == text:
            continue
        stale.append(path.relative_to(root))
        if not arguments:
            path.write_text(filled, encoding="utf-8")
    for path in stale:
        print(f"{path}: {'is not what the records say; run: make results' if arguments else 'written'}")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
