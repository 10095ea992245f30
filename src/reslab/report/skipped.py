"""The images of a run: which were left out and why, and how many each class has."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reslab.artifacts.run_folder import RunFolder
from reslab.data.checks.findings import readable
from reslab.data.sources.image_list import read_list
from reslab.errors import counted
from reslab.evaluation import Scores

_NAMED = 3  # images of a reason that are named with its count
_LISTED = 500
_NUMBER = re.compile(r"\d+")  # reasons that differ in a number of bytes are the same
_COPY = re.compile(r"the same image is in (\w+): (.*)", re.S)  # as `reslab.data.checks.preflight` says it


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why images of a split were left out: in words, how many, and the names of the first three."""

    split: str
    reason: str
    count: int
    named: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """The images that a run left out.

    Attributes:
        total: How many.
        reasons: Why, the most frequent reason first.
        rows: (path, split, reason) of the first 500.
    """

    total: int
    reasons: tuple[Reason, ...]
    rows: tuple[tuple[str, str, str], ...]


def left_out(folder: RunFolder, root: str | None) -> LeftOut | None:
    """Read which images a run left out from its `skipped.csv`.

    Args:
        folder: The run.
        root: The folder of the images. Paths are shown below it, so that a page does not say where the data lay.

    Returns:
        None for a run on images in memory, whose folder has no such file.
    """
    if not folder.skipped_path.exists():
        return None
    rows = [row for row in read_list(folder.skipped_path)[1:] if len(row) == 3]
    found = [(_below(path, root), split, *_reason(reason, root)) for path, split, reason in rows]
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for path, split, reason, _ in found:
        groups[split, _NUMBER.sub("…", reason)].append((path, reason))
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return LeftOut(
        total=len(found),
        reasons=tuple(
            Reason(
                split=split,
                reason=same[0][1] if len({reason for _, reason in same}) == 1 else pattern,
                count=len(same),
                named=tuple(path for path, _ in same[:_NAMED]),
            )
            for (split, pattern), same in ordered
        ),
        rows=tuple(
            (path, split, f"{reason}{': ' if twin else ''}{twin}") for path, split, reason, twin in found[:_LISTED]
        ),
    )


def class_sizes(folder: RunFolder, scores: Scores | None) -> list[str]:
    """Return a sentence on the smallest and the largest class of each split.

    Args:
        folder: The run. Its `split.csv`, if it has one, names the images of all splits.
        scores: Those of the judged split, which is all that is known of images in memory without reading them again;
            None where nothing was judged.
    """
    if folder.split_path.exists():
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for row in read_list(folder.split_path)[1:]:
            if len(row) == 3:
                counts[row[2]][row[1]] += 1
        return [_sizes(split, found.items()) for split, found in counts.items()]
    if scores is None:
        return []
    return [_sizes(scores.split, ((row.name, row.support) for row in scores.classes))]


def _sizes(split: str, counts: Iterable[tuple[str, int]]) -> str:
    ordered = sorted(counts, key=lambda one: one[1])
    (smallest, least), (largest, most) = ordered[0], ordered[-1]
    if least == most:
        return f"{split}: {counted(least, 'image')} of each class."
    return f"{split}: from {least:,} ({readable(smallest)}) to {most:,} ({readable(largest)}) images of a class."


def _reason(reason: str, root: str | None) -> tuple[str, str]:
    """Return a reason that images share, and the copy that one of them has in another split, or nothing."""
    if copy := _COPY.fullmatch(reason):
        return f"the same image is in {copy[1]}", _below(copy[2], root)
    return readable(reason), ""


def _below(name: str, root: str | None) -> str:
    path, base = Path(name), Path(root).expanduser() if root else None
    if base is not None and base.suffix.lower() == ".csv":  # a list; its paths are below the folder that it lies in
        base = base.parent
    if base is not None and path.is_relative_to(base):
        path = path.relative_to(base)
    elif path.is_absolute():
        path = Path(*path.parts[-2:])
    return readable(path.as_posix())
