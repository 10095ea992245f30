"""`reslab evaluate`."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from reslab.errors import Failure, UsageError

from .test_uses import note_test_use

EVALUATION_BATCH = 500
DEFAULT_TOP_K = 5

if TYPE_CHECKING:
    from reslab.config import DataConfig
    from reslab.modelfile import ModelFile


def evaluate(
    run_or_model: Path,
    *more: Annotated[Path, Parameter(name="MORE")],
    data: Path | None = None,
    data_kind: str | None = None,
    split: Literal["train", "validation", "test"] = "test",
    protocol: Literal["center", "flip", "ten-crop", "multi-scale"] = "center",
    sides: str | None = None,
    top_k: int = DEFAULT_TOP_K,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Count what model files get right, in fp32, on one split of a data set; several answer together.

    Parameters
    ----------
    run_or_model
        A run folder, or a model file.
    more
        More of them: the networks' probabilities are averaged (an ensemble).
    data
        A data set's folder or archive; by default the one that the model was trained on.
    data_kind
        What the data is (digits, cifar10, cifar100, idx, folder), instead of recognising it.
    split
        The part to evaluate on.
    protocol
        Which views of each image are averaged: one, that and its mirror image, the paper's 10 crops, or several sizes.
    sides
        The short sides of --protocol multi-scale in pixels, like 224,256; the paper's five by default.
    top_k
        How many answers count for the second error; 1 leaves it out.
    json
        Print JSON: everything, also of each class.
    """
    from reslab.build import build_splits, choose_device
    from reslab.config import TrainConfig
    from reslab.distributed import World
    from reslab.judge import Protocol, answer, ensemble, summarize
    from reslab.modelfile import load_model
    from reslab.progress import counting
    from reslab.rundata import data_of_run
    from reslab.runfolder import RunFolder

    chosen = Protocol(protocol, _sides(sides))
    paths = [_model_path(given) for given in (run_or_model, *more)]
    loaded = load_model(paths[0])
    config = _data_config(run_or_model, loaded, data, data_kind)
    if run_or_model.is_dir() and data is None and data_kind is None:
        dataset = data_of_run(RunFolder.open(run_or_model), config).splits.part(split)
    else:
        dataset = build_splits(config).part(split)
    members = [loaded, *(load_model(path) for path in paths[1:])]
    for path, member in zip(paths, members, strict=True):
        _check_classes(path, member.card.class_names, dataset.class_names)
    device = choose_device(TrainConfig(iterations=1), World())
    found = []
    for member in members:
        with counting(f"{split} images", len(dataset) * chosen.num_views) as on_progress:
            model = member.model.to(device)
            found.append(
                answer(model, member.card.preprocess, dataset, chosen,
                       split=split, batch_size=EVALUATION_BATCH, on_progress=on_progress)
            )  # fmt: skip
    answers = found[0] if len(found) == 1 else ensemble(found)
    temperature = loaded.card.temperature if len(members) == 1 else None
    scores = summarize(answers, dataset.class_names, _ks(top_k, len(dataset.class_names)), temperature)
    if split == "test":
        for path in paths:
            note_test_use(path, scores, _command((run_or_model, *more), data, chosen.name))
    network = " + ".join(member.spec.label for member in members)
    if json:
        names = {"model": str(paths[0])} if len(paths) == 1 else {"models": [str(path) for path in paths]}
        print(jsonlib.dumps({**names, "network": network, "data": dataset.name, **scores}, indent=2))
    else:
        _print_scores(scores, f"{network} on {dataset.name}")
    return 0


def _sides(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--sides {text}: give whole numbers of pixels with commas between, like 224,256.") from None


def _ks(top_k: int, num_classes: int) -> tuple[int, ...]:
    """Return 1 and the k asked for; the default of 5 says nothing of five classes or fewer."""
    if top_k == DEFAULT_TOP_K and num_classes <= DEFAULT_TOP_K:
        return (1,)
    return tuple(sorted({1, top_k}))


def _command(given: tuple[Path, ...], data: Path | None, protocol: str) -> str:
    words = ["reslab evaluate", *map(str, given), *(["--data", str(data)] if data else [])]
    return " ".join([*words, *(["--protocol", protocol] if protocol != "center" else [])])


def _print_scores(scores: dict[str, Any], title: str) -> None:
    split, total = scores["split"], scores["total"]
    interval, calibration = scores["intervals"]["error"], scores["calibration"]
    together = f"; ensemble of {scores['members']} networks" if scores["members"] > 1 else ""
    print(title)
    print(
        f"{split} error: {scores['error']:.2f} % ({total - scores['correct']} of {total} wrong; "
        f"{scores['protocol']}{together})"
    )
    print(f"95 % interval: {interval['low']:.2f} to {interval['high']:.2f} % ({interval['method']})")
    for found in scores["top_k"]:
        if found["k"] > 1:
            print(f"top-{found['k']} error: {found['error']:.2f} % ({total - found['correct']} of {total} wrong)")
    means = {name: scores["intervals"][name] for name in ("balanced_accuracy", "macro_f1")}
    for name, words in (("balanced_accuracy", "balanced accuracy"), ("macro_f1", "macro F1")):
        print(f"{words}: {scores[name]:.4f} ({means[name]['low']:.4f} to {means[name]['high']:.4f})")
    temperature = "" if scores["temperature"] is None else f", at temperature {scores['temperature']:.3f}"
    print(f"calibration error (ECE): {100 * calibration['ece']:.2f} % ({total} answers, 15 bins{temperature})")


def _model_path(given: Path) -> Path:
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
