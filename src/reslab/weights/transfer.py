"""Fine-tuning from a model file: its body, and the rows of its head whose classes have the same name."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from reslab.artifacts.model_file import ModelFile, is_model_file, load_model
from reslab.errors import NotConverted, RunError, UsageError, counted, first_few
from reslab.models import Network
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.weights.state_dict import canonical_names, read_state_dict

_FITTED = ("num_classes", "in_channels")  # determined by the data; the weights are adapted to them
_NUMBERED = re.compile(r"class \d+")


def read_start(path: Path) -> ModelFile:
    """Read a model file to start from.

    Args:
        path: The model file.

    Returns:
        The model file's content.

    Raises:
        UsageError: The path is a name on the hub.
        NotConverted: The file contains weights that are not a model file yet.
        RunError: The path is a folder, or the file cannot be read.
    """
    if str(path).startswith("hf-hub:"):  # commands replace it by a file
        raise UsageError(f"weights: {path} is not a file; convert it first with reslab.weights.hub.convert_into_cache.")
    if path.is_dir():
        raise RunError(f"{path}: is a folder; use the model file in it (in a run, {path / 'model.safetensors'}).")
    if path.is_file() and not is_model_file(path):
        raise NotConverted(path, _source(path), True if _has_average(path) else None)
    return load_model(path)


def _source(path: Path) -> str:
    """Return the source of a state dict for its conversion; timm's look like torchvision's."""
    first = canonical_names(read_state_dict(path, use_ema=False)).get("conv1.weight")
    return "cifar" if first is not None and first.shape[-1] == 3 else "torchvision"


def _has_average(path: Path) -> bool:
    """Check whether a file has weights and their average, so that `use_ema` must choose."""
    try:
        read_state_dict(path)
    except UsageError:
        return True
    return False


def check_same_body(path: Path, stored: ModelSpec, configured: ModelSpec) -> None:
    """Check that two networks are equal except for classes and channels.

    Args:
        path: The model file, for the error.
        stored: The network in the model file.
        configured: The network that the run trains.

    Raises:
        UsageError: Another field differs.
    """
    file_values, run_values = asdict(stored), asdict(configured)
    different = [name for name in run_values if name not in _FITTED and run_values[name] != file_values[name]]
    if not different:
        return
    values = "; ".join(f"{name} {file_values[name]!r} against {run_values[name]!r}" for name in different)
    settings = ", ".join(f"model.{name} to {file_values[name]!r}" for name in different)
    raise UsageError(
        f"weights: {path} contains {stored.label}, but the run trains {configured.label} ({values}). "
        f"Use weights of that network, or set {settings}."
    )


def transfer_weights(file: ModelFile, model: Network, class_names: Sequence[str], path: Path) -> str:
    """Copy a model file's weights into a network.

    Rows of the head are copied for classes that both have by name; the other rows keep their initial values. Names like
    "class 7", which a conversion gives to unnamed classes, do not count. For a network with one channel, a stem for
    three is summed over them, so it answers a grey image as before.

    Args:
        file: The model file's content.
        model: The network; changed in place.
        class_names: The classes of the network's outputs, in order.
        path: The model file, for errors.

    Returns:
        What happened to the head, in words.

    Raises:
        UsageError: The networks differ in more than classes, or their channels do not fit.
    """
    check_same_body(path, file.spec, model.spec)
    tensors = dict(file.model.state_dict())
    stem = next(f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
    head = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
    tensors[stem] = _fit_stem(tensors[stem], model.spec.in_channels, path)
    rows = _rows_by_name(file.card.class_names, class_names)
    own = model.state_dict()
    for name in (f"{head}.weight", f"{head}.bias"):
        tensors[name] = _fit_head(tensors[name], own[name], rows)
    model.load_state_dict(tensors)
    return _in_words(file.card.class_names, class_names, rows)


def _fit_stem(weight: Tensor, in_channels: int, path: Path) -> Tensor:
    channels = weight.shape[1]
    if channels == in_channels:
        return weight
    if (channels, in_channels) != (3, 1):
        raise UsageError(
            f"weights: {path} takes images of {counted(channels, 'channel')}, but the data has {in_channels}. "
            "Weights for 3 channels can start a network for 1; nothing else can be adapted."
        )
    return weight.sum(1, keepdim=True)


def _rows_by_name(stored: Sequence[str], classes: Sequence[str]) -> dict[int, int]:
    """Map rows of the new head to rows of the file's, for each class name that the file has exactly once."""
    times = Counter(stored)
    row_of = {name: row for row, name in enumerate(stored) if times[name] == 1}
    return {row: row_of[name] for row, name in enumerate(classes) if name in row_of and not _NUMBERED.fullmatch(name)}


def _fit_head(stored: Tensor, initial: Tensor, rows: dict[int, int]) -> Tensor:
    fitted = initial.detach().clone()
    if rows:
        fitted[torch.tensor(list(rows))] = stored[torch.tensor(list(rows.values()))].to(initial)
    return fitted


def _in_words(stored: Sequence[str], classes: Sequence[str], rows: dict[int, int]) -> str:
    if list(stored) == list(classes) and len(rows) == len(classes):
        return "the head is the file's"
    if not rows:
        are_numbered = all(_NUMBERED.fullmatch(name) for name in stored)
        reason = "the file's classes are numbered, not named" if are_numbered else "no class has the same name"
        return f"the head is new: {reason}"
    if len(rows) == len(classes):
        return f"the head's {len(rows)} rows are the file's, by class name"
    new = [name for row, name in enumerate(classes) if row not in rows]
    return f"{len(rows)} rows of the head are the file's, by class name; new: {first_few(new)}"


def preprocess_like(reference: PreprocessSpec, own: PreprocessSpec) -> PreprocessSpec:
    """Combine the mean and deviation of one spec with the sizes of another.

    The mean image is used if the sizes agree, else the mean of each channel. For one channel instead of three, the mean
    and the deviation are averaged over the three.

    Args:
        reference: Spec with the mean and the deviation.
        own: Spec with the sizes.

    Returns:
        The combined spec.

    Raises:
        UsageError: The channels differ, and `own` does not have one.
    """
    same_channels = reference.channels == own.channels
    same_size = (reference.channels, reference.height, reference.width) == (own.channels, own.height, own.width)
    if not same_channels and own.channels != 1:
        raise UsageError(
            f"data.mean is 'weights', but the weights have {counted(reference.channels, 'channel')} and the data has "
            f"{own.channels}. Set data.mean to 'pixel' or 'channel'."
        )
    return PreprocessSpec(
        channels=own.channels,
        height=own.height,
        width=own.width,
        short_side=own.short_side,
        mean=reference.mean if same_channels else (sum(reference.mean) / reference.channels,),
        std=reference.std if same_channels else (sum(reference.std) / reference.channels,),
        mean_image=reference.mean_image if same_size else None,
        resize_mode=own.resize_mode,
    )
