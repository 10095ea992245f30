"""Write the generated blocks in README and docs from the records under results/ and the recipes.

    python tools/make_tables.py            write them
    python tools/make_tables.py --check    exit 1 when one is not what the records say

A block stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; NAME is a key of BLOCKS.
"""

import re
import sys
from pathlib import Path
from typing import Any

from doc_tables import BLOCKS, read_benchmarks, read_deeper, read_rates, read_records

from reslab.recipes import RECIPES

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"(<!-- begin: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.S)


def fill(text: str, sources: dict[str, Any]) -> str:
    """Return a text with every block replaced.

    Args:
        text: A page.
        sources: What blocks are made from, by the first word of their names: {"results": ..., "bench": ..., ...}.

    Raises:
        ValueError: There is no generator for a block.
    """

    def make(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in BLOCKS:
            raise ValueError(f"no generator for the block {name!r}; there are: {', '.join(BLOCKS)}")
        return match[1] + BLOCKS[name](sources[name.partition("-")[0]]) + match[3]

    return _BLOCK.sub(make, text)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Rewrite or check every file; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    results = root / "results"
    sources = {
        "results": read_records(results),
        "bench": read_benchmarks(results),
        "differences": RECIPES,
        "rates": read_rates(results),
        "deeper": read_deeper(results),
    }
    stale = []
    for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        filled = fill(text, sources)
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
