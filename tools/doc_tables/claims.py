"""Tables of the paper's claims: the verdicts on them, and where recipes differ from the paper."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from reslab.experiments.arms import SIZES
from reslab.experiments.book import Chapter
from reslab.recipes import DEVIATIONS, Recipe


def verdicts_table(chapters: list[Chapter]) -> str:
    """Return one row for each claim that was run, its verdict at every size that was; for the README."""
    sizes = [size for size in SIZES if any(one.evidence.size == size for one in chapters)]
    lines = [
        "| claim | paper | " + " | ".join(f"size `{size}`" for size in sizes) + " |",
        "|---" * (2 + len(sizes)) + "|",
    ]
    for _, group in groupby(chapters, key=lambda one: one.experiment.name):
        found = {one.evidence.size: one for one in group}
        experiment = next(iter(found.values())).experiment
        outcomes = [found[size].verdict.outcome if size in found else "-" for size in sizes]
        if not any(experiment.arms(size) for size in SIZES):  # it trains nothing, so size has no say
            outcomes = [f"{next(iter(found.values())).verdict.outcome} (any size)"] * len(sizes)
        cells = [f"[{experiment.title}](docs/results/{experiment.name}.md)", experiment.source, *outcomes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def differences_table(recipes: Mapping[str, Recipe]) -> str:
    """Return where recipes differ from the paper, and which do."""
    lines = ["| what | the paper | here | why | recipes |", "|---|---|---|---|---|"]
    for one in DEVIATIONS:
        names = [name for name, entry in recipes.items() if one.applies(entry.make())]
        where = ", ".join(f"`{name}`" for name in _patterns(names, recipes)) if len(names) < len(recipes) else "all"
        lines.append(f"| {one.what} | {one.paper} | {one.here} | {one.why} | {where} |")
    return "\n".join(lines) + "\n"


def _patterns(names: Sequence[str], of: Iterable[str]) -> list[str]:
    """Return the names of recipes, in the widest patterns that have no other name among `of`."""
    found, left = [], list(names)
    for expression in (r"(?<=-)(plain|resnet)\d+", r"\d+", r"$^"):
        groups: dict[str, set[str]] = {}
        for name in of:
            groups.setdefault(re.sub(expression, "*", name), set()).add(name)
        for pattern, group in groups.items():
            if group <= set(left):
                found.append(pattern)
                left = [name for name in left if name not in group]
    return found
