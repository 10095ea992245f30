"""The check before a run: every image file is read once, and images shared by two splits are removed from one."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from reslab.data.dataset import FileDataset, Splits
from reslab.data.images.decode import MAX_PIXELS, short_side_size
from reslab.errors import RunError, first_few

from .file_facts import FileFacts, inspect_all

_PRECEDENCE = ("test", "validation", "train")  # an image in two splits stays in the first of these


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The result of reading one image file.

    Attributes:
        problem: Why the file cannot be used; None for a usable file.
        digest: SHA-256 of its bytes.
        is_transparent: Whether it has transparent parts that the network does not receive.
    """

    problem: str | None
    digest: str
    is_transparent: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that is left out of a run.

    Attributes:
        path: The file.
        split: The split that it is left out of.
        reason: Why.
    """

    path: Path
    split: str
    reason: str


def file_splits(splits: Splits) -> dict[str, FileDataset]:
    """Select the splits that consist of image files.

    Args:
        splits: A data set.

    Returns:
        The parts under "train", "validation" and "test", in this order; empty for images in memory.
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: part for name, part in parts.items() if isinstance(part, FileDataset)}


def image_paths(splits: Splits) -> list[Path]:
    """List the image files of all splits.

    Args:
        splits: A data set.

    Returns:
        The paths of training, then of validation, then of test.
    """
    return [path for part in file_splits(splits).values() for path in part.paths]


def check_files(
    paths: Iterable[Path],
    num_channels: int,
    *,
    short_side: int | None = None,
    on_file: Callable[[], None] | None = None,
) -> list[FileCheck]:
    """Read and decode every file, by threads.

    Args:
        paths: The files.
        num_channels: Channels that every file must give.
        short_side: Longest length, in pixels, to which a view resizes the shorter side. A picture that would then be
            too large cannot be used. None: pictures are not resized this way.
        on_file: Called after each file, for progress.

    Returns:
        One result for each path, in order.
    """
    return [
        FileCheck(_problem(facts, short_side), facts.digest, facts.is_transparent)
        for facts in inspect_all(paths, num_channels, on_file=on_file)
    ]


def _problem(facts: FileFacts, short_side: int | None) -> str | None:
    if facts.problem is not None or short_side is None:
        return facts.problem[1] if facts.problem else None
    width, height = facts.size
    if math.prod(short_side_size(height, width, short_side)) <= MAX_PIXELS:
        return None
    return f"has {width}x{height} pixels: with its shorter side resized to {short_side}, it would be too large"


def remove_unusable(
    splits: Splits, checks: Sequence[FileCheck], *, skip_unreadable: bool
) -> tuple[Splits, tuple[Skipped, ...]]:
    """Leave out images that would make results wrong: those shared by two splits, and optionally unreadable ones.

    A shared image stays in test, or else in validation.

    Args:
        splits: The data set.
        checks: The results for `image_paths(splits)`.
        skip_unreadable: Leave out images that cannot be read, instead of raising.

    Returns:
        The remaining splits, and the images that were left out.

    Raises:
        RunError: Files are unreadable and `skip_unreadable` is False, or a class has no image left.
    """
    parts = file_splits(splits)
    remaining = iter(checks)
    of_split = {name: [next(remaining) for _ in part.paths] for name, part in parts.items()}
    unreadable = [
        Skipped(path, name, check.problem)
        for name, part in parts.items()
        for path, check in zip(part.paths, of_split[name], strict=True)
        if check.problem is not None
    ]
    if unreadable and not skip_unreadable:
        raise RunError(_refusal(unreadable, len(checks)))
    skipped = unreadable + _shared(parts, of_split)
    reasons = {(image.split, image.path): image.reason for image in skipped}
    kept = {name: _without(part, name, reasons) for name, part in parts.items()}
    return Splits(kept["train"], kept.get("validation"), kept.get("test")), tuple(skipped)


def contradictory_images(splits: Splits, checks: Sequence[FileCheck]) -> list[tuple[Path, ...]]:
    """Find training images with the same bytes and different classes.

    Args:
        splits: The data set.
        checks: The results for `image_paths(splits)`.

    Returns:
        The groups of files with the same bytes.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    train = file_splits(splits)["train"]
    for index, check in enumerate(checks[: len(train)]):
        if check.problem is None:
            groups[check.digest].append(index)
    labels = train.labels.tolist()
    return [
        tuple(train.paths[index] for index in same)
        for same in groups.values()
        if len({labels[index] for index in same}) > 1
    ]


def _refusal(unreadable: Sequence[Skipped], total: int) -> str:
    examples = first_few((f"{image.path}: {image.reason}" for image in unreadable), separator="; ")
    return (
        f"{len(unreadable)} of {total} images cannot be read: {examples}. 'reslab data check' lists them all. Repair "
        "or remove them, or set data.photos.skip_unreadable to train without them; the run then lists them."
    )


def _shared(parts: dict[str, FileDataset], checks: dict[str, list[FileCheck]]) -> list[Skipped]:
    """List the images that a split of higher precedence has too."""
    shared: list[Skipped] = []
    places: dict[str, tuple[str, Path]] = {}
    for name in _PRECEDENCE:
        if name not in parts:
            continue
        usable = [(path, check) for path, check in zip(parts[name].paths, checks[name], strict=True)
                  if check.problem is None]  # fmt: skip
        for path, check in usable:
            if check.digest in places:
                split, twin = places[check.digest]
                shared.append(Skipped(path, name, f"the same image is in {split}: {twin}"))
        for path, check in usable:
            places.setdefault(check.digest, (name, path))
    return shared


def _without(part: FileDataset, split: str, reasons: dict[tuple[str, Path], str]) -> FileDataset:
    """Remove the images that have a reason, by (split, path)."""
    indices = [index for index, path in enumerate(part.paths) if (split, path) not in reasons]
    kept = torch.tensor(indices, dtype=torch.int64)
    lost = set(part.labels.tolist()) - set(part.labels[kept].tolist())
    if lost:
        names = first_few(repr(part.class_names[label]) for label in sorted(lost))
        labels = part.labels.tolist()
        removed = [path for path, label in zip(part.paths, labels, strict=True) if label in lost]
        raise RunError(
            f"{split} has no image of class {names} left: {len(removed)} were left out, such as {removed[0]}: "
            f"{reasons[split, removed[0]]}. Remove the copies, repair the files, or add images."
        )
    return part.subset(kept) if len(kept) < len(part) else part
