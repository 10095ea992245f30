"""What evaluating commands work on: a run folder or a model file, and its data."""

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


def model_path(run_or_model: Path) -> Path:
    """Return the path of a model file: `run_or_model` itself, or the model file of a finished run.

    Raises:
        RunError: There is no such file, or the run is not finished.
    """
    if not run_or_model.exists():
        raise RunError(f"{run_or_model} does not exist; name a run folder or a model file.")
    if run_or_model.is_file():
        return run_or_model
    from reslab.artifacts.run_folder import RunFolder

    folder = RunFolder.open(run_or_model)
    check_finished(folder)
    return folder.finished_model()


def check_finished(folder: "RunFolder") -> None:
    """Check that a run is finished.

    Raises:
        RunError: It is not; the message names the command that resumes it.
    """
    if folder.result() is None and not folder.model_path.exists():
        raise RunError(f"{folder.path} is not finished. Resume it with: reslab train --resume --run-dir {folder.path}")


def open_data(run_or_model: Path, loaded: "ModelFile", data: Path | None, kind: str | None) -> "Splits":
    """Open the data to evaluate on.

    Args:
        run_or_model: The run folder or the model file.
        loaded: What is in the model file.
        data: Other data; None for the run's own data as it was split, or the recipe's data for a model file alone.
        kind: The format of other data; None to recognise it.

    Returns:
        The parts of the data.

    Raises:
        UsageError: Neither the model file nor the command says which data.
        RunError: The data is missing or damaged.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.builders import build_splits
    from reslab.runs.data import data_of_run

    run_or_model = _run_if_its_own(run_or_model)
    config = _data_config(run_or_model, loaded, data, kind)
    if run_or_model.is_dir() and data is None and kind is None:
        return data_of_run(RunFolder.open(run_or_model), config).splits
    return build_splits(config)


def _data_config(run_or_model: Path, loaded: "ModelFile", data: Path | None, kind: str | None) -> "DataConfig":
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import DataConfig, from_dict
    from reslab.recipes import RECIPES

    if run_or_model.is_dir():
        config = from_dict(RunFolder.open(run_or_model).config()).data
    elif loaded.card.recipe in RECIPES:
        config = RECIPES[loaded.card.recipe].make().data
    else:
        config = DataConfig()
        if data is None and kind is None:
            raise UsageError(f"{run_or_model} does not say which data it was trained on; name it with --data PATH.")
    if data is None and kind is None:
        return config
    # nothing is held out of other data, and its parts keep their names
    return replace(
        config,
        path=None if data is None else str(data),
        kind=kind or "auto",  # type: ignore[arg-type]
        validation_size=0,
        test_size=0,
        validation_is="validation",
    )


def part_of(splits: "Splits", split: str) -> "Dataset":
    """Return one part of the data.

    Args:
        splits: The data.
        split: The part's name; "all" for all parts together.

    Raises:
        RunError: The data has no such part; the message lists its parts.
    """
    if split == "all":
        return splits.together()
    try:
        return splits.part(split)
    except RunError as error:
        raise RunError(f"{error} For all parts together: --split all.") from None


def warn_of_known_images(run_or_model: Path, data: Path | None, dataset: "Dataset", split: str) -> None:
    """Warn of images that the run has used in another split: on training images, a score is too good.

    Args:
        run_or_model: The run folder or the model file.
        data: Other data than the run's; without it, do nothing.
        dataset: The images to evaluate on.
        split: The split that they belong to.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.runs.data import count_known_images

    run_or_model = _run_if_its_own(run_or_model)
    if data is None or not run_or_model.is_dir():
        return
    known = count_known_images(RunFolder.open(run_or_model), dataset)
    known.pop(split, None)
    if known:
        parts = ", ".join(f"{count:,} for {name}" for name, count in sorted(known.items()))
        log.warning(
            "%s, split %s: of its %s images the run has used %s (judged by class and file name).",
            data, split, f"{len(dataset):,}", parts,
        )  # fmt: skip


def used_by_run(model: Path, dataset: "Dataset") -> "Counter[str]":
    """Count the images that the model file's own run has used.

    Args:
        model: The model file.
        dataset: The images.

    Returns:
        How many, by the run's split; nothing for a model file outside a run.
    """
    from reslab.runs.data import count_own_files

    folder = _run_of(model)
    return Counter() if folder is None else count_own_files(folder, dataset)


def is_test_use(model: Path, dataset: "Dataset", split: str, data: Path | None) -> bool:
    """Return whether an evaluation uses the test set of the model's run.

    It does if the split is called "test" or holds test images of the run. Of other data, a split called "test" counts
    only if some of its images have class and file name of a test image of the run.

    Args:
        model: The model file.
        dataset: The images to evaluate on.
        split: The split that they belong to.
        data: Other data than the run's; None for the run's own.
    """
    from reslab.data import FileDataset
    from reslab.runs.data import count_known_images

    folder, is_named = _run_of(model), split in ("test", "all")
    if folder is None or data is None:
        return is_named
    if not is_named:
        return used_by_run(model, dataset)["test"] > 0
    has_list = isinstance(dataset, FileDataset) and folder.split_path.exists()
    return not has_list or count_known_images(folder, dataset)["test"] > 0


def _run_if_its_own(run_or_model: Path) -> Path:
    """Return the run folder of a run's own model file, so that the data is the run's; else the path as it is."""
    folder = _run_of(run_or_model) if run_or_model.is_file() else None
    return run_or_model if folder is None else folder.path


def _run_of(model: Path) -> "RunFolder | None":
    """Return the run whose model file this is."""
    from reslab.artifacts.run_folder import RunFolder

    folder = RunFolder(model.resolve().parent)
    return folder if model.resolve() == folder.model_path and folder.is_run(folder.path) else None


def numbered_as(dataset: "Dataset", loaded: "ModelFile") -> "Dataset":
    """Number the data's classes as the model does, matched by name.

    Args:
        dataset: The data, which may lack some of the model's classes.
        loaded: The model file.

    Raises:
        RunError: The data has a class that the model does not have.
    """
    from reslab.data.dataset import number_as

    known, present = len(loaded.card.class_names), len(dataset.class_names)
    numbered = number_as(dataset, loaded.card.class_names)
    if present < known:
        log.info(
            "the data has %d of the model's %d classes; predicting one of the others counts as wrong.", present, known
        )
    return numbered
