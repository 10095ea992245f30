"""What a command was given: a run folder or a model file, and the data to use it on."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import RunError, UsageError

if TYPE_CHECKING:
    from reslab.artifacts.model_file import ModelFile
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import DataConfig
    from reslab.data import Dataset, Splits

log = logging.getLogger(__name__)


def model_path(given: Path) -> Path:
    """Return the model file that is meant: itself, or that of a finished run."""
    if not given.exists():
        raise RunError(f"{given} does not exist; give a run folder or a model file.")
    if given.is_file():
        return given
    from reslab.artifacts.run_folder import RunFolder

    return RunFolder.open(given).finished_model()


def open_data(given: Path, loaded: "ModelFile", data: Path | None, kind: str | None) -> "Splits":
    """Return the run's own data, exactly as it was split; or the recipe's, or what was asked for, as it lies there."""
    from reslab.artifacts.run_folder import RunFolder
    from reslab.builders import build_splits
    from reslab.runs.data import data_of_run

    given = _run_or_file(given)
    config = _data_config(given, loaded, data, kind)
    if given.is_dir() and data is None and kind is None:
        return data_of_run(RunFolder.open(given), config).splits
    return build_splits(config)


def _data_config(given: Path, loaded: "ModelFile", data: Path | None, kind: str | None) -> "DataConfig":
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import DataConfig, from_dict
    from reslab.recipes import RECIPES

    if given.is_dir():
        config = from_dict(RunFolder.open(given).config()).data
    elif loaded.card.recipe in RECIPES:
        config = RECIPES[loaded.card.recipe].make().data
    else:
        config = DataConfig()
        if data is None and kind is None:
            raise UsageError(f"{given} does not say which data it was trained on; give --data PATH.")
    if data is None and kind is None:
        return config
    # nothing is held out of other data, and its parts are what they are called
    return replace(
        config,
        path=None if data is None else str(data),
        kind=kind or "auto",  # type: ignore[arg-type]
        validation_size=0,
        test_size=0,
        validation_is="validation",
    )


def part_of(splits: "Splits", split: str) -> "Dataset":
    """Return one part of the data, or all of them together; RunError says which there are."""
    if split == "all":
        return splits.together()
    try:
        return splits.part(split)
    except RunError as error:
        raise RunError(f"{error} --split all takes all parts together.") from None


def say_known_images(given: Path, data: Path | None, dataset: "Dataset", split: str) -> None:
    """Warn of images that the run has in another split: of those that it trained on, a score says too much."""
    from reslab.artifacts.run_folder import RunFolder
    from reslab.runs.data import known_images

    given = _run_or_file(given)
    if data is None or not given.is_dir():
        return
    known = known_images(RunFolder.open(given), dataset)
    known.pop(split, None)
    if known:
        parts = ", ".join(f"{count:,} for {name}" for name, count in sorted(known.items()))
        log.warning(
            "%s, split %s: of its %s images the run used %s (by class and file name).",
            data, split, f"{len(dataset):,}", parts,
        )  # fmt: skip


def used_by_run(model: Path, dataset: "Dataset") -> "Counter[str]":
    """Count the images that are those of the model file's own run, by its splits; none where it lies in no run."""
    from reslab.runs.data import same_files

    folder = _run_of(model)
    return Counter() if folder is None else same_files(folder, dataset)


def is_test_use(model: Path, dataset: "Dataset", split: str, data: Path | None) -> bool:
    """Whether this judges the model file's run by its test set: by its name, or by its images under another name.

    Of other data that is called a test set, it does if images have the class and file name of some of the run's.
    """
    from reslab.data import FileDataset
    from reslab.runs.data import known_images

    folder, is_named = _run_of(model), split in ("test", "all")
    if folder is None or data is None:
        return is_named
    if not is_named:
        return used_by_run(model, dataset)["test"] > 0
    has_list = isinstance(dataset, FileDataset) and folder.split_path.exists()
    return not has_list or known_images(folder, dataset)["test"] > 0


def _run_or_file(given: Path) -> Path:
    """The run folder where a model file lies in its own: the data is that of the run, not of a recipe's defaults."""
    folder = _run_of(given) if given.is_file() else None
    return given if folder is None else folder.path


def _run_of(model: Path) -> "RunFolder | None":
    """The run whose model file this is."""
    from reslab.artifacts.run_folder import RunFolder

    folder = RunFolder(model.resolve().parent)
    return folder if model.resolve() == folder.model_path and folder.is_run(folder.path) else None


def numbered_as(dataset: "Dataset", loaded: "ModelFile") -> "Dataset":
    """Return the data with the model's numbers of its classes, which are matched by name; it may have fewer."""
    from reslab.data.dataset import number_as

    known, found = len(loaded.card.class_names), len(dataset.class_names)
    numbered = number_as(dataset, loaded.card.class_names)
    if found < known:
        log.info(
            "the data has %d of the model's %d classes; an answer out of the others counts as wrong.", found, known
        )
    return numbered
