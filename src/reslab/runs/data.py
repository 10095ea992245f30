"""The data of one run: settled when the run begins, recorded in its folder, and the same ever after.

split.csv      every image of the run: path (below the data's folder), label, split
skipped.csv    every image that was left out: path, split, reason
"""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reslab import builders
from reslab.artifacts.documents import DataFacts
from reslab.artifacts.run_folder import RunFolder
from reslab.config import DataConfig, from_dict
from reslab.data import Dataset, FileDataset, Splits
from reslab.data.checks.preflight import (
    FileCheck,
    Skipped,
    check_files,
    contradictory_images,
    file_splits,
    image_paths,
    remove_unusable,
)
from reslab.data.checks.structure import check_strays
from reslab.data.sources import read_split
from reslab.data.sources.image_list import read_list, take_inventory, write_list
from reslab.data.sources.inventory import unused_folders
from reslab.distributed import World, gather_lists
from reslab.system.progress import Count

log = logging.getLogger(__name__)

_SKIPPED_COLUMNS = ("path", "split", "reason")


@dataclass(frozen=True, slots=True)
class RunData:
    """The splits that a run trains and is judged on, and what was left out of them."""

    splits: Splits
    skipped: tuple[Skipped, ...] = ()


def begin_data(config: DataConfig, world: World) -> RunData:
    """Return the data for a new run. Image files are all read once, each process reading its part of them.

    RunError names files that cannot be read (unless `skip_unreadable`) and classes of which no image is left;
    UsageError a setting that would have no effect on this data.
    """
    splits = builders.build_splits(config, for_new_run=True)
    builders.check_views(config, splits.train)
    paths = image_paths(splits)
    if not paths:
        return RunData(splits)
    mine = paths[world.rank :: world.size]
    # lines, no bar: a bar of the training may be on the terminal already
    notes = Count("reading all images once", len(mine), is_live=False) if world.is_main else None
    on_file = notes.advance if notes else None
    short_side = builders.largest_short_side(config)
    lists = gather_lists(check_files(mine, splits.train.num_channels, short_side=short_side, on_file=on_file))
    verdicts = [lists[number % world.size][number // world.size] for number in range(len(paths))]
    kept, skipped = remove_unusable(splits, verdicts, skip_unreadable=config.photos.skip_unreadable)
    if world.is_main:
        _say(splits, verdicts, skipped)
        _say_unused(config.path)
    return RunData(kept, skipped)


def _say(splits: Splits, verdicts: list[FileCheck], skipped: tuple[Skipped, ...]) -> None:
    unreadable = sum(verdict.problem is not None for verdict in verdicts)
    if skipped:
        log.warning(
            "%d image(s) left out: %d cannot be read, %d also in another split; skipped.csv in the run names each.",
            len(skipped), unreadable, len(skipped) - unreadable,
        )  # fmt: skip
    if transparent := sum(verdict.is_transparent for verdict in verdicts):
        log.warning(
            "%d image(s) have transparent parts, where the network sees the colour stored below, often black; "
            "data.channels 4 shows it the transparency.",
            transparent,
        )
    if found := contradictory_images(splits, verdicts):
        log.warning(
            "%d image(s) in training under several classes, such as %s; 'reslab data check' names them all.",
            len(found), " and ".join(map(str, found[0])),
        )  # fmt: skip


def _say_unused(place: str | None) -> None:
    path = None if place is None else Path(place).expanduser()
    if path is None or not path.is_dir():
        return
    for finding in unused_folders(path):
        log.warning("%s", finding.text)
    unnamed = [one.paths[0] for one in check_strays(take_inventory(path)) if one.kind == "picture-without-suffix"]
    if unnamed:
        log.warning(
            "%d file(s) are images, but not by their names, and are not used, such as %s; 'reslab data check' names "
            "them all.",
            len(unnamed), unnamed[0],
        )  # fmt: skip


def data_of_run(folder: RunFolder, config: DataConfig) -> RunData:
    """Return the data of a run that has begun, exactly as it began: the same images in the same splits and order."""
    if not folder.split_path.exists():  # images in memory
        return RunData(builders.build_splits(config))
    name = folder.environment().data.name
    splits = read_split(folder.split_path, _root(config), name, config.channels or 3)
    return RunData(splits)


def count_known_images(folder: RunFolder, dataset: Dataset) -> Counter[str]:
    """Count the images of other data that a run knows, by its splits: those of the same class and file name.

    Nothing is known of images in memory.
    """
    if not isinstance(dataset, FileDataset) or not folder.split_path.exists():
        return Counter()
    used = {(label, Path(path).name): split for path, label, split in read_list(folder.split_path)[1:]}
    names = (dataset.class_names[label] for label in dataset.labels.tolist())
    found = (used.get((name, path.name)) for name, path in zip(names, dataset.paths, strict=True))
    return Counter(split for split in found if split is not None)


def count_own_files(folder: RunFolder, dataset: Dataset) -> Counter[str]:
    """Count the files of a data set that are a run's own, by the split that they are in there."""
    place = from_dict(folder.config()).data.path
    if not isinstance(dataset, FileDataset) or not folder.split_path.exists() or place is None:
        return Counter()
    root, resolve = _below_which(place), cache(Path.resolve)  # of folders, which are few: files may be millions

    def real(path: Path) -> Path:
        return resolve(path.parent) / path.name

    used = {real(root / path): split for path, _, split in read_list(folder.split_path)[1:]}
    found = (used.get(real(path)) for path in dataset.paths)
    return Counter(split for split in found if split is not None)


def data_facts(data: RunData) -> DataFacts:
    """Return which data a run sees: name, fingerprint of training, classes, sizes, how many were left out."""
    splits = data.splits
    sizes = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return DataFacts(
        name=splits.train.name,
        fingerprint=splits.train.fingerprint(),
        num_classes=len(splits.train.class_names),
        sizes={name: len(part) for name, part in sizes.items() if part is not None},
        skipped=len(data.skipped),
    )


def record_data(data: RunData, config: DataConfig) -> dict[str, bytes]:
    """Return the files that record the splits of image files and what was left out; none for images in memory."""
    parts = file_splits(data.splits)
    if not parts:
        return {}
    root = _root(config)
    rows = [
        (_below(path, root), part.class_names[label], name)
        for name, part in parts.items()
        for path, label in zip(part.paths, part.labels.tolist(), strict=True)
    ]
    skipped = [(_below(one.path, root), one.split, one.reason) for one in data.skipped]
    return {"split.csv": write_list(rows), "skipped.csv": write_list(skipped, _SKIPPED_COLUMNS)}


def _root(config: DataConfig) -> Path:
    """The folder that the paths of image files are below."""
    assert config.path is not None  # image files are never found without one
    return _below_which(config.path)


def _below_which(place: str) -> Path:
    path = Path(place).expanduser()
    return path if path.is_dir() else path.parent


def _below(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
