"""Before a run: every image file is read once, so that no training ends at a bad one, and no split knows another's."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from reslab.data.dataset import FileDataset, Splits
from reslab.data.images.decode import MAX_PIXELS, short_side_size
from reslab.errors import RunError

from .file_facts import FileFacts, inspect_all
from .findings import listed

_SHOWN = 5
_BY_WORTH = ("test", "validation", "train")  # an image in two splits stays in the first of these


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading a file showed. problem: why it cannot be used, or None; digest: SHA-256 of its bytes."""

    problem: str | None
    digest: str
    is_transparent: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that is left out of a run."""

    path: Path
    split: str
    reason: str


def file_splits(splits: Splits) -> dict[str, FileDataset]:
    """Return the splits that are image files, in a fixed order; none for images in memory."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: part for name, part in parts.items() if isinstance(part, FileDataset)}


def image_paths(splits: Splits) -> list[Path]:
    """Return the files of all splits, in a fixed order."""
    return [path for part in file_splits(splits).values() for path in part.paths]


def read_all(
    paths: Iterable[Path],
    num_channels: int,
    *,
    short_side: int | None = None,
    on_file: Callable[[], None] | None = None,
) -> list[Verdict]:
    """Read and decode every file, by threads; on_file is called after each.

    short_side: the longest that a view makes the shorter side; a picture that would then be too large cannot be used.
    """
    facts = inspect_all(paths, num_channels, on_file=on_file)
    return [Verdict(_problem(one, short_side), one.digest, one.is_transparent) for one in facts]


def _problem(facts: FileFacts, short_side: int | None) -> str | None:
    if facts.problem is not None or short_side is None:
        return facts.problem[1] if facts.problem else None
    width, height = facts.size
    if math.prod(short_side_size(height, width, short_side)) <= MAX_PIXELS:
        return None
    return f"is {width}x{height} pixels, so long that its shorter side cannot be resized to {short_side}"


def settle(splits: Splits, verdicts: Sequence[Verdict], *, skip_unreadable: bool) -> tuple[Splits, tuple[Skipped, ...]]:
    """Return the splits without the images that would make results wrong, and what was left out.

    verdicts: those of `image_paths(splits)`. Left out are images whose bytes are also in validation or test (of
    training) or in test (of validation), and with `skip_unreadable` those that cannot be read.

    RunError names unreadable files without `skip_unreadable`, and classes of which nothing is left.
    """
    parts = file_splits(splits)
    rest = iter(verdicts)
    of_split = {name: [next(rest) for _ in part.paths] for name, part in parts.items()}
    bad = [
        Skipped(path, name, verdict.problem)
        for name, part in parts.items()
        for path, verdict in zip(part.paths, of_split[name], strict=True)
        if verdict.problem is not None
    ]
    if bad and not skip_unreadable:
        raise RunError(_refusal(bad, len(verdicts)))
    skipped = bad + _shared(parts, of_split)
    out = {(one.split, one.path): one.reason for one in skipped}
    kept = {name: _without(part, name, out) for name, part in parts.items()}
    return Splits(kept["train"], kept.get("validation"), kept.get("test")), tuple(skipped)


def conflicts(splits: Splits, verdicts: Sequence[Verdict]) -> list[tuple[Path, ...]]:
    """Return the groups of training images with the same bytes and different classes."""
    groups: dict[str, list[int]] = defaultdict(list)
    train = file_splits(splits)["train"]
    for index, verdict in enumerate(verdicts[: len(train)]):
        if verdict.problem is None:
            groups[verdict.digest].append(index)
    labels = train.labels.tolist()
    return [
        tuple(train.paths[index] for index in same)
        for same in groups.values()
        if len({labels[index] for index in same}) > 1
    ]


def _refusal(bad: Sequence[Skipped], total: int) -> str:
    named = "; ".join(f"{one.path}: {one.reason}" for one in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{len(bad)} of {total} images cannot be read: {named}{more}. 'reslab data check' on the data names them all; "
        "mend them or take them away, or train without them by --skip-unreadable, which records each."
    )


def _shared(parts: dict[str, FileDataset], verdicts: dict[str, list[Verdict]]) -> list[Skipped]:
    """The images that another split has too, and is worth more."""
    found: list[Skipped] = []
    places: dict[str, tuple[str, Path]] = {}
    for name in _BY_WORTH:
        if name not in parts:
            continue
        own = [(path, verdict) for path, verdict in zip(parts[name].paths, verdicts[name], strict=True)
               if verdict.problem is None]  # fmt: skip
        for path, verdict in own:
            if verdict.digest in places:
                split, twin = places[verdict.digest]
                found.append(Skipped(path, name, f"the same image is in {split}: {twin}"))
        for path, verdict in own:
            places.setdefault(verdict.digest, (name, path))
    return found


def _without(part: FileDataset, split: str, out: dict[tuple[str, Path], str]) -> FileDataset:
    """out: the reasons why images are left out."""
    kept = torch.tensor([index for index, path in enumerate(part.paths) if (split, path) not in out], dtype=torch.int64)
    lost = set(part.labels.tolist()) - set(part.labels[kept].tolist())
    if lost:
        names = listed([part.class_names[label] for label in sorted(lost)])
        labels = part.labels.tolist()
        gone = [path for path, label in zip(part.paths, labels, strict=True) if label in lost]
        raise RunError(
            f"{split} has no image of class {names} left: {len(gone)} were left out, such as {gone[0]}: "
            f"{out[split, gone[0]]}. Remove the copies, mend the files, or give more images."
        )
    return part.subset(kept) if len(kept) < len(part) else part
