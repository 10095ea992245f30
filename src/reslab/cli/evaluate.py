"""`reslab evaluate`."""

import json as jsonlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from reslab.errors import Failure, UsageError

if TYPE_CHECKING:
    from reslab.config import DataConfig
    from reslab.data import Dataset, Splits
    from reslab.modelfile import ModelFile


log = logging.getLogger(__name__)


def evaluate(
    run_or_model: Path,
    *,
    data: Path | None = None,
    data_kind: str | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    fit: Literal["crop", "letterbox", "squash"] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Count what a model file gets right, in fp32, on one split of a data set.

    Classes are matched by their names: the data may have fewer than the model, in any order.

    Parameters
    ----------
    run_or_model
        A run folder, or a model file.
    data
        A data set's folder or archive; by default the one that the model was trained on.
    data_kind
        What the data is (digits, cifar10, cifar100, idx, folder), instead of recognising it.
    split
        The part to evaluate on, or all parts together.
    fit
        Show photos in another way than the model file says: crop the centre, letterbox or squash.
    json
        Print JSON.
    """
    from reslab.build import build_splits, choose_device
    from reslab.config import TrainConfig
    from reslab.data.dataset import number_as
    from reslab.data.pictures import with_fit
    from reslab.distributed import World
    from reslab.modelfile import load_model
    from reslab.run import evaluate_on
    from reslab.rundata import data_of_run
    from reslab.runfolder import RunFolder

    path = model_path(run_or_model)
    loaded = load_model(path)
    config = _data_config(run_or_model, loaded, data, data_kind)
    if run_or_model.is_dir() and data is None and data_kind is None:
        splits = data_of_run(RunFolder.open(run_or_model), config).splits
    else:
        splits = build_splits(config)
    dataset = _part(splits, split)
    missing = len(loaded.card.class_names) - len(dataset.class_names)
    dataset = number_as(dataset, loaded.card.class_names)
    if missing:
        log.info("the data has %d of the model's %d classes; an answer out of the others counts as wrong.",
                 len(loaded.card.class_names) - missing, len(loaded.card.class_names))  # fmt: skip
    device = choose_device(TrainConfig(iterations=1), World())
    model = loaded.model.to(device)
    found, protocol = evaluate_on(model, dataset, with_fit(loaded.card.preprocess, fit), device)
    values = {
        "model": str(path),
        "network": loaded.spec.label,
        "data": dataset.name,
        "split": split,
        "protocol": protocol,
    }
    if json:
        print(jsonlib.dumps({**values, **found.to_dict(), "error": found.error}, indent=2))
        return 0
    wrong = found.total - found.correct
    print(f"{loaded.spec.label} on {dataset.name}")
    print(f"{split} error: {found.error:.2f} % ({wrong} of {found.total} wrong; {protocol})")
    return 0


def _part(splits: "Splits", split: str) -> "Dataset":
    if split == "all":
        return splits.together()
    try:
        return splits.part(split)
    except Failure as error:
        raise Failure(f"{error} --split all takes all parts together.") from None


def model_path(given: Path) -> Path:
    """Return the model file that is meant: itself, or that of a finished run."""
    if not given.exists():
        raise Failure(f"{given} does not exist; give a run folder or a model file.")
    if given.is_file():
        return given
    from reslab.runfolder import RunFolder

    path = RunFolder.open(given).model_path
    if not path.exists():
        raise Failure(
            f"{given} is not finished and has no model file yet; go on with: reslab train --resume --run-dir {given}"
        )
    return path


def _data_config(given: Path, loaded: "ModelFile", data: Path | None, kind: str | None) -> "DataConfig":
    """Return the run's data, the recipe's, or what was asked for."""
    from dataclasses import replace

    from reslab.config import DataConfig, from_dict
    from reslab.recipes import RECIPES
    from reslab.runfolder import RunFolder

    if given.is_dir():
        config = from_dict(RunFolder.open(given).config()).data
    elif loaded.card.recipe in RECIPES:
        config = RECIPES[loaded.card.recipe].make().data
    else:
        config = DataConfig()
        if data is None and kind is None:
            raise UsageError(f"{given} does not say which data it was trained on; give --data PATH.")
    if data is not None or kind is not None:
        config = replace(config, path=None if data is None else str(data), kind=kind or "auto")  # type: ignore[arg-type]
    return config
