"""`reslab evaluate`."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from reslab.errors import Failure, UsageError

if TYPE_CHECKING:
    from reslab.config import DataConfig
    from reslab.modelfile import ModelFile


def evaluate(
    run_or_model: Path,
    *,
    data: Path | None = None,
    data_kind: str | None = None,
    split: Literal["train", "validation", "test"] = "test",
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Count what a model file gets right, in fp32, on one split of a data set.

    Parameters
    ----------
    run_or_model
        A run folder, or a model file.
    data
        A data set's folder or archive; by default the one that the model was trained on.
    data_kind
        What the data is (digits, cifar10, cifar100, idx, folder), instead of recognising it.
    split
        The part to evaluate on.
    json
        Print JSON.
    """
    from reslab.build import build_splits, choose_device
    from reslab.config import TrainConfig
    from reslab.distributed import World
    from reslab.modelfile import load_model
    from reslab.run import evaluate_on
    from reslab.rundata import data_of_run
    from reslab.runfolder import RunFolder

    path = model_path(run_or_model)
    loaded = load_model(path)
    config = _data_config(run_or_model, loaded, data, data_kind)
    if run_or_model.is_dir() and data is None and data_kind is None:
        dataset = data_of_run(RunFolder.open(run_or_model), config).splits.part(split)
    else:
        dataset = build_splits(config).part(split)
    _check_classes(path, loaded.card.class_names, dataset.class_names)
    device = choose_device(TrainConfig(iterations=1), World())
    model = loaded.model.to(device)
    found, protocol = evaluate_on(model, dataset, loaded.card.preprocess, device)
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


def _check_classes(path: Path, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    if ours != theirs:
        missing, extra = sorted(set(ours) - set(theirs))[:5], sorted(set(theirs) - set(ours))[:5]
        raise Failure(
            f"{path} knows {len(ours)} classes and the data has {len(theirs)}, in another list or order "
            f"(only in the model: {missing or 'none'}; only in the data: {extra or 'none'})."
        )
