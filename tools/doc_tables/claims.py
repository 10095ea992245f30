"""The table of where recipes differ from the paper."""

import re
from collections.abc import Iterable, Mapping, Sequence

from reslab.recipes import DEVIATIONS, Recipe


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
