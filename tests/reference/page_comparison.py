"""Two pages, or two drawings, compared: text, settings, documents, figures, pictures."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.reference.comparison import Comparison
from tests.reference.documents import compare_flat
from tests.reference.pages import Figure, read_figure, read_page
from tests.reference.renamed import Renames
from tests.reference.texts import compare_text, read_text
from tests.reference.translate import flatten

_CURVE_TOLERANCE = 2e-3  # of the axes: drawn with other words, an axis has another size, and its curves other vertices


def compare_page(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    ours, theirs = read_page(read_text(old)), read_page(read_text(new))
    parts = [
        compare_text(ours.text, theirs.text, name, renames),
        compare_flat(dict(ours.settings), dict(theirs.settings), name, _in_text(renames), is_config=True),
        compare_lists("documents", ours.documents, theirs.documents, name, _documents_of(renames)),
        compare_lists("figures", ours.figures, theirs.figures, name, _figures_of(renames)),
    ]
    differences = [difference for part in parts for difference in part.differences]
    if ours.pictures != theirs.pictures:
        count = sum(a != b for a, b in zip(ours.pictures, theirs.pictures, strict=False))
        differences.append(f"pictures: {len(ours.pictures)} and {len(theirs.pictures)}, {count} of them unlike")
    remark = "; ".join(dict.fromkeys(part.remark for part in parts if part.remark))
    return Comparison(name, sum(part.compared for part in parts) + len(ours.pictures), tuple(differences), remark)


def _in_text(renames: Renames) -> Renames:
    """The same renames for values that are written out, as in a page's table of settings."""

    def written(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {old: json.dumps(new) if isinstance(new, bool) else new for old, new in values.items()}

    keys = (key if key.values is None else replace(key, values=written(key.values)) for key in renames.config)
    return replace(renames, config=tuple(keys))


def compare_lists(
    what: str, old: Sequence[Any], new: Sequence[Any], file: str, compare: Callable[[Any, Any, str], Comparison]
) -> Comparison:
    """Compare the parts of a page of one kind, in order."""
    if len(old) != len(new):
        return Comparison(file, 0, (f"{what}: {len(old)} in the reference, {len(new)} in the current tree",))
    parts = [compare(a, b, file) for a, b in zip(old, new, strict=True)]
    differences = [f"{what} {number}: {text}" for number, part in enumerate(parts) for text in part.differences]
    remark = "; ".join(dict.fromkeys(part.remark for part in parts if part.remark))
    return Comparison(file, sum(part.compared for part in parts), tuple(differences), remark)


def _documents_of(renames: Renames) -> Callable[[Any, Any, str], Comparison]:
    return lambda old, new, file: compare_flat(flatten(old), flatten(new), file, renames, is_config=True)


def _figures_of(renames: Renames) -> Callable[[Any, Any, str], Comparison]:
    return lambda old, new, file: compare_figures(read_figure(old), read_figure(new), file, renames)


def compare_figures(old: Figure, new: Figure, file: str, renames: Renames) -> Comparison:
    """Compare two drawings: every coordinate, or, where words on them differ, numbers and curves within their axes."""
    if old.texts == new.texts:
        same = old.numbers == new.numbers
        count = sum(a != b for a, b in zip(old.numbers, new.numbers, strict=False))
        differences = () if same else (f"{count} of {len(old.numbers)} coordinates differ ({len(new.numbers)} now)",)
        return Comparison(file, len(old.numbers), differences)
    words = compare_text("\n".join(old.texts), "\n".join(new.texts), file, renames)
    if len(old.curves) != len(new.curves):
        differences = (f"{len(old.curves)} curves in the reference, {len(new.curves)} in the current tree",)
        return Comparison(file, words.compared, (*words.differences, *differences))
    moved = [
        f"curve {number} is elsewhere: {ours} in the reference, {theirs} in the current tree"
        for number, (ours, theirs) in enumerate(zip(old.curves, new.curves, strict=True))
        if max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) > _CURVE_TOLERANCE
    ]
    remark = "words on figures differ: curves compared by their ends and bounds"
    return Comparison(file, words.compared + len(old.curves), (*words.differences, *moved), remark)


def compare_svg(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    return compare_figures(read_figure(read_text(old)), read_figure(read_text(new)), name, renames)
