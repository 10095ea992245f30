"""`reslab evaluate`."""

import json as jsonlib
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from reslab.cli.model_args import is_test_use, model_path, numbered_as, open_data, part_of, warn_of_known_images
from reslab.cli.test_set_log import note_test_use
from reslab.cli.types import DATA, OUTPUT, VIEWS, JsonSwitch, WholeNumber
from reslab.errors import RunError, UsageError

if TYPE_CHECKING:
    from reslab.artifacts.model_file import ModelFile
    from reslab.data import Dataset
    from reslab.evaluation import Predictions, Protocol, Scores
    from reslab.spec import ResizeMode

EVALUATION_BATCH = 500
DEFAULT_TOP_K = 5


def evaluate(
    run_or_model: Path,
    /,
    *more: Annotated[Path, Parameter(name="MORE")],
    data: Annotated[Path | None, Parameter(group=DATA)] = None,
    data_kind: Annotated[str | None, Parameter(group=DATA)] = None,
    split: Annotated[Literal["train", "validation", "test", "all"], Parameter(group=DATA)] = "test",
    protocol: Annotated[Literal["center", "flip", "ten-crop", "multi-scale"], Parameter(group=VIEWS)] = "center",
    sides: Annotated[str | None, Parameter(group=VIEWS)] = None,
    resize_mode: Annotated[Literal["crop", "letterbox", "squash"] | None, Parameter(group=VIEWS)] = None,
    top_k: Annotated[WholeNumber, Parameter(group=OUTPUT)] = DEFAULT_TOP_K,
    json: JsonSwitch = False,
) -> int:
    """Evaluate a model in fp32 on one split of a data set: errors, confidence intervals, calibration.

    Several models are evaluated as one ensemble. Classes are matched by name: the data may have fewer classes than the
    model, in any order.

    Args:
        run_or_model: A run folder, or a model file.
        more: Further run folders or model files with the same classes. The probabilities of all
            models are averaged; their temperatures are not applied.
        data: A data set's folder or archive; by default the one that the model was trained on.
        data_kind: The format of the data: digits, cifar10, cifar100, idx or folder; detected by default.
        split: The split to evaluate on; 'all' is every split together.
        protocol: Which views of each image the prediction averages over: the centre, the centre and its mirror image,
            the paper's 10 crops, or whole images at several sizes.
        sides: For --protocol multi-scale: sizes of the short side in pixels, like 224,256; the paper's five by default.
        resize_mode: How photos become squares: crop the centre, letterbox or squash; by default as the model file says.
        top_k: Also report the top-k error for this k; with 1, only the top-1 error.
        json: Print all scores as JSON, including those of each class.
    """
    from reslab.artifacts.model_file import load_model
    from reslab.evaluation import Protocol, ensemble, summarize

    views = Protocol(protocol, _sides(sides))
    subjects = (run_or_model, *more)
    paths = [model_path(subject) for subject in subjects]
    members = [load_model(path) for path in paths]
    _check_same_classes(paths, members)
    dataset = numbered_as(part_of(open_data(run_or_model, members[0], data, data_kind), split), members[0])
    warn_of_known_images(run_or_model, data, dataset, split)
    _check_resize_mode(resize_mode, dataset, protocol)
    ks = _ks(top_k, len(dataset.class_names))
    answers = [_answer(member, dataset, views, split, resize_mode) for member in members]
    predictions = answers[0] if len(answers) == 1 else ensemble(answers)
    temperature = members[0].card.temperature if len(members) == 1 else None
    scores = summarize(predictions, dataset.class_names, ks, temperature)
    for path in paths:
        if is_test_use(path, dataset, split, data):
            flags = {"data": data, "data-kind": data_kind, "split": split, "protocol": protocol}
            note_test_use(path, scores, _command(subjects, {**flags, "sides": sides, "resize-mode": resize_mode}))
    network = " + ".join(member.spec.label for member in members)
    if json:
        names = {"model": str(paths[0])} if len(paths) == 1 else {"models": [str(path) for path in paths]}
        print(jsonlib.dumps({**names, "network": network, "data": dataset.name, **asdict(scores)}, indent=2))
    else:
        _print_scores(scores, f"{network} on {dataset.name}")
    return 0


def _answer(
    member: "ModelFile", dataset: "Dataset", protocol: "Protocol", split: str, resize_mode: "ResizeMode | None"
) -> "Predictions":
    from reslab.data.images.picture import with_resize_mode
    from reslab.engines.hardware import pick_device
    from reslab.evaluation import predict_split
    from reslab.system.progress import counting

    model = member.model.to(pick_device())
    preprocess = with_resize_mode(member.card.preprocess, resize_mode)
    with counting(f"{split} images", len(dataset) * protocol.num_views) as on_progress:
        return predict_split(
            model, dataset, preprocess, protocol, split=split, batch_size=EVALUATION_BATCH, on_progress=on_progress
        )


def _check_resize_mode(resize_mode: str | None, dataset: "Dataset", protocol: str) -> None:
    """Refuse a --resize-mode that would have no effect."""
    from reslab.data import ArrayDataset

    if resize_mode is None:
        return
    if isinstance(dataset, ArrayDataset):
        raise UsageError(
            f"--resize-mode is {resize_mode!r}, but {dataset.name} has images of one size in memory; leave it out."
        )
    if protocol == "multi-scale":
        raise UsageError(
            f"--resize-mode is {resize_mode!r}, but protocol 'multi-scale' shows whole pictures; leave it out."
        )


def _check_same_classes(paths: "list[Path]", members: "list[ModelFile]") -> None:
    first = members[0].card.class_names
    for path, member in zip(paths, members, strict=True):
        ours = member.card.class_names
        if ours != first:
            missing, extra = sorted(set(first) - set(ours))[:5], sorted(set(ours) - set(first))[:5]
            raise RunError(
                f"{path} does not have the classes of {paths[0]} in the same order (missing: {missing or 'none'}; "
                f"additional: {extra or 'none'}). An ensemble needs the same list in all model files."
            )


def _sides(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--sides is {text!r}; allowed: whole numbers of pixels with commas between them, like 224,256."
        ) from None


def _ks(top_k: int, num_classes: int) -> tuple[int, ...]:
    """Return 1 and the k asked for; the default of 5 has no meaning with five classes or fewer."""
    if top_k != DEFAULT_TOP_K and not 1 <= top_k <= num_classes:
        raise UsageError(f"--top-k is {top_k}; allowed: 1 to {num_classes}, the number of classes.")
    if top_k == DEFAULT_TOP_K and num_classes <= DEFAULT_TOP_K:
        return (1,)
    return tuple(sorted({1, top_k}))


def _command(subjects: tuple[Path, ...], flags: Mapping[str, Path | str | None]) -> str:
    """Return the command that counts the same again, without defaults."""
    defaults = {"split": "test", "protocol": "center"}
    options = {name: value for name, value in flags.items() if value is not None and value != defaults.get(name)}
    words = [*map(str, subjects), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    return f"reslab evaluate {shlex.join(words)}"


def _print_scores(scores: "Scores", title: str) -> None:
    interval, total = scores.intervals.error, scores.total
    together = f"; ensemble of {scores.members} networks" if scores.members > 1 else ""
    print(title)
    print(f"{scores.split} error: {scores.error:.2f} % ({scores.wrong} of {total} wrong; {scores.protocol}{together})")
    print(f"95 % interval: {interval.low:.2f} to {interval.high:.2f} % ({interval.method})")
    for counts in scores.top_k:
        if counts.k > 1:
            print(f"top-{counts.k} error: {counts.error:.2f} % ({total - counts.correct} of {total} wrong)")
    for words, score, bounds in (
        ("balanced accuracy", scores.balanced_accuracy, scores.intervals.balanced_accuracy),
        ("macro F1", scores.macro_f1, scores.intervals.macro_f1),
    ):
        print(f"{words}: {score:.4f} ({bounds.low:.4f} to {bounds.high:.4f})")
    temperature = "" if scores.temperature is None else f", at temperature {scores.temperature:.3f}"
    ece = "not finite" if scores.calibration is None else f"{100 * scores.calibration.ece:.2f} %"
    print(f"calibration error (ECE): {ece} ({total} answers, 15 bins{temperature})")
