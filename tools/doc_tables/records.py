"""The table of recipes' results, from the records under results/."""

import statistics
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from reslab.artifacts.documents import Counts
from reslab.artifacts.record import RecordDocument, RecordedRun
from reslab.recipes import RECIPES

_DATA = {"digits": "handwritten digits", "cifar10": "CIFAR-10", "imagenette-128": "Imagenette, 128 px"}


def read_records(results: Path) -> list[RecordDocument]:
    """Return all records of recipes, in the order of the recipes and seeds; not those of experiments."""
    others = ("bench", "experiments")
    paths = [path for path in sorted(results.glob("*/*.json")) if path.parent.name not in others]
    order = list(RECIPES)
    return sorted(
        (RecordedRun.open(path).document for path in paths),
        key=lambda record: (
            order.index(record.recipe) if record.recipe in order else len(order),
            record.dataset.name,
            record.seed,
        ),
    )


def results_table(records: Sequence[RecordDocument]) -> str:
    """Return one row for each recipe, with its error over the seeds and the paper's."""
    if not records:
        return "No records yet.\n"
    columns = (
        "recipe",
        "data",
        "network",
        "seeds",
        "training error, clean",
        "test error",
        "expected",
        "protocol",
        "selection",
    )
    columns += ("iterations", "precision")
    lines = [
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
        *(_row(list(group)) for _, group in groupby(records, key=_what)),
    ]
    return "\n".join(lines) + "\n"


def headline_table(records: Sequence[RecordDocument]) -> str:
    """Return one row for each recipe: network, data, its test error here and in the paper; for the README."""
    lines = ["| network | data | error here | error in the paper |", "|---|---|---|---|"]
    for (name, data), group in groupby(records, key=_what):
        first, *others = list(group)
        recipe = RECIPES.get(name)
        paper = recipe.notes.paper_error if recipe else None
        error = _errors([record.final.get("test") for record in (first, *others)])
        cells = (f"{first.network} (`{name}`)", _DATA.get(data, data), error, paper or "-")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _what(record: RecordDocument) -> tuple[str, str]:
    return record.recipe, record.dataset.name


def _row(records: Sequence[RecordDocument]) -> str:
    first = records[0]
    recipe = RECIPES.get(first.recipe)
    cells = (
        f"`{first.recipe}`",
        first.dataset.name,
        first.network,
        len(records),
        _errors([record.final.get("train") for record in records]),
        _errors([record.final.get("test") for record in records]),
        recipe.notes.expected if recipe else "-",
        first.protocol if "test" in first.final else "-",
        first.selection,
        f"{first.iterations:,}",
        first.environment[0].precision,
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _errors(counts: Sequence[Counts | None]) -> str:
    """Return the error with its count, or its mean and standard deviation over the seeds."""
    known = [count for count in counts if count is not None]
    if not known:
        return "-"
    errors = [100 * (count.total - count.correct) / count.total for count in known]
    if len(errors) > 1:
        return f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
    return f"{errors[0]:.2f} % ({known[0].total - known[0].correct} of {known[0].total} wrong)"
