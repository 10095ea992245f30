"""The data of one run: fixed when the run starts, recorded in its folder, and the same for every resume.

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
from reslab.errors import counted
from reslab.system.progress import Count

log = logging.getLogger(__name__)

_SKIPPED_COLUMNS = ("path", "split", "reason")


@dataclass(frozen=True, slots=True)
class RunData:
    """The data of a run.

    Attributes:
        splits: The training part, and the parts that the run is evaluated on.
        skipped: The images that were left out.
    """

    splits: Splits
    skipped: tuple[Skipped, ...] = ()


def begin_data(config: DataConfig, world: World) -> RunData:
    """Open the data for a new run, and check every image file; each process reads its share of them.

    Args:
        config: Which data.
        world: This process's place among all that train together.

    Returns:
        The data, without the images that cannot be used.

    Raises:
        RunError: Files cannot be read (unless `data.photos.skip_unreadable`), or a class has no image left; the
            message names them.
        UsageError: A setting has no effect on this data.
    """
    splits = builders.build_splits(config, for_new_run=True)
    builders.check_views(config, splits.train)
    paths = image_paths(splits)
    if not paths:
        return RunData(splits)
    mine = paths[world.rank :: world.size]
    # lines instead of a bar: the terminal may show the training's bar already
    notes = Count("reading all images once", len(mine), is_live=False) if world.is_main else None
    on_file = notes.advance if notes else None
    short_side = builders.largest_short_side(config)
    lists = gather_lists(check_files(mine, splits.train.num_channels, short_side=short_side, on_file=on_file))
    verdicts = [lists[number % world.size][number // world.size] for number in range(len(paths))]
    kept, skipped = remove_unusable(splits, verdicts, skip_unreadable=config.photos.skip_unreadable)
    if world.is_main:
        _warn_of_images(splits, verdicts, skipped)
        _warn_of_unused_files(config.path)
    return RunData(kept, skipped)


def _warn_of_images(splits: Splits, verdicts: list[FileCheck], skipped: tuple[Skipped, ...]) -> None:
    unreadable = sum(verdict.problem is not None for verdict in verdicts)
    if skipped:
        log.warning(
            "%s left out: %d cannot be read, %d also in another split. The run's skipped.csv names each.",
            counted(len(skipped), "image"), unreadable, len(skipped) - unreadable,
        )  # fmt: skip
    if transparent := sum(verdict.is_transparent for verdict in verdicts):
        log.warning(
            "%s with transparent parts, where the network sees the colour that is stored there, often black. With "
            "data.channels 4 it sees the transparency too.",
            counted(transparent, "image"),
        )
    if found := contradictory_images(splits, verdicts):
        log.warning(
            "%s in several classes, such as %s; 'reslab data check' names all.",
            counted(len(found), "training image"), " and ".join(map(str, found[0])),
        )  # fmt: skip


def _warn_of_unused_files(place: str | None) -> None:
    path = None if place is None else Path(place).expanduser()
    if path is None or not path.is_dir():
        return
    for finding in unused_folders(path):
        log.warning("%s", finding.text)
    unnamed = [one.paths[0] for one in check_strays(take_inventory(path)) if one.kind == "picture-without-suffix"]
    if unnamed:
        log.warning(
            "%s not used: images without an image's suffix, such as %s; 'reslab data check' names all.",
            counted(len(unnamed), "file"), unnamed[0],
        )  # fmt: skip


def data_of_run(folder: RunFolder, config: DataConfig) -> RunData:
    """Open the data of a run that was started before: the same images in the same splits and order.

    Args:
        folder: The run.
        config: Where the data is now.

    Returns:
        The data; `skipped` is left empty.

    Raises:
        RunError: The data is missing or damaged.
    """
    if not folder.split_path.exists():  # images in memory
        return RunData(builders.build_splits(config))
    name = folder.environment().data.name
    splits = read_split(folder.split_path, _root(config), name, config.channels or 3)
    return RunData(splits)


def count_known_images(folder: RunFolder, dataset: Dataset) -> Counter[str]:
    """Count the images of other data whose class and file name are those of an image of a run.

    Args:
        folder: The run.
        dataset: The other data.

    Returns:
        How many, by the run's split; nothing for images in memory.
    """
    if not isinstance(dataset, FileDataset) or not folder.split_path.exists():
        return Counter()
    used = {(label, Path(path).name): split for path, label, split in read_list(folder.split_path)[1:]}
    names = (dataset.class_names[label] for label in dataset.labels.tolist())
    found = (used.get((name, path.name)) for name, path in zip(names, dataset.paths, strict=True))
    return Counter(split for split in found if split is not None)


def count_own_files(folder: RunFolder, dataset: Dataset) -> Counter[str]:
    """Count the files of a data set that a run itself uses.

    Args:
        folder: The run.
        dataset: The data set.

    Returns:
        How many, by the run's split; nothing for images in memory.
    """
    place = from_dict(folder.config()).data.path
    if not isinstance(dataset, FileDataset) or not folder.split_path.exists() or place is None:
        return Counter()
    root, resolve = _below_which(place), cache(Path.resolve)  # folders are few, files may be millions

    def real(path: Path) -> Path:
        return resolve(path.parent) / path.name

    used = {real(root / path): split for path, _, split in read_list(folder.split_path)[1:]}
    found = (used.get(real(path)) for path in dataset.paths)
    return Counter(split for split in found if split is not None)


def data_facts(data: RunData) -> DataFacts:
    """Return the facts by which a run's data is recognised: name, fingerprint, classes, sizes, images left out."""
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
    """Make the files that record a run's splits.

    Args:
        data: The data.
        config: Where it is: recorded paths are relative to that folder.

    Returns:
        The content of split.csv and skipped.csv by name; {} for images in memory.
    """
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
    """Return the folder that the paths of image files are relative to."""
    assert config.path is not None  # image files are never found without one
    return _below_which(config.path)


def _below_which(place: str) -> Path:
    path = Path(place).expanduser()
    return path if path.is_dir() else path.parent


def _below(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
