"""Write the generated blocks in README and docs from the records under results/.

    python tools/make_tables.py            write them anew
    python tools/make_tables.py --check    exit 1 when one is not what the records say

A block stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; NAME is a key of BLOCKS.
"""

import json
import re
import sys
from collections.abc import Callable
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
    """Return one row for each record, its error beside the paper's."""
    if not records:
        return "No records yet.\n"
    lines = [
        "| recipe | network | seed | test error | paper | protocol | selection | iterations | precision |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(record) for record in records),
    ]
    return "\n".join(lines) + "\n"


def _row(record: dict[str, Any]) -> str:
    test = record["test"]
    error = "no test split"
    if test is not None:
        wrong = test["total"] - test["correct"]
        error = f"**{100 * wrong / test['total']:.2f} %** ({wrong} of {test['total']} wrong)"
    recipe = RECIPES.get(record["recipe"])
    cells = (
        f"`{record['recipe']}`",
        record["network"],
        record["seed"],
        error,
        recipe.page.expected if recipe else "-",
        test["protocol"] if test else "-",
        record["selection"],
        f"{record['iterations']:,}",
        record["environment"][0]["precision"],
    )
    return "| " + " | ".join(map(str, cells)) + " |"


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
