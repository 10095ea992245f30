"""Starting from a model file's weights: the body as it is, the head row by row where classes have the same name."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from reslab.artifacts.model_file import ModelFile, is_model_file, load_model
from reslab.errors import RunError, UsageError
from reslab.models import Network
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.weights.state_dict import canonical_names, read_state_dict

_FITTED = ("num_classes", "in_channels")  # what the data decides, and the weights are fitted to
_NUMBERED = re.compile(r"class \d+")
_SHOWN = 5


def read_start(path: Path) -> ModelFile:
    """Read a model file to start from; RunError, with the command that converts it, for weights from elsewhere."""
    if str(path).startswith("hf-hub:"):  # the command line has put a file in its place
        raise UsageError(f"weights: {path} is no file; convert it first: reslab convert {path} -o model.safetensors")
    if path.is_dir():
        raise RunError(
            f"{path}: is a folder; give the model file itself, in a run that is {path / 'model.safetensors'}."
        )
    if path.is_file() and not is_model_file(path):
        output = path.with_name(f"{path.stem}-reslab.safetensors")
        command = f"reslab convert {shlex.quote(str(path))} -o {shlex.quote(str(output))} --source {_source(path)}"
        if _holds_average(path):
            command += " --ema"
        raise RunError(f"{path}: is no model file of reslab; convert it first, and start from that:\n{command}")
    return load_model(path)


def _source(path: Path) -> str:
    """Where a state dict comes from, as `reslab convert --source` wants it; timm's look like torchvision's."""
    first = canonical_names(read_state_dict(path, use_ema=False)).get("conv1.weight")
    return "cifar" if first is not None and first.shape[-1] == 3 else "torchvision"


def _holds_average(path: Path) -> bool:
    """Whether a file has weights and their average, so that one of them must be named."""
    try:
        read_state_dict(path)
    except UsageError:
        return True
    return False


def check_same_body(path: Path, there: ModelSpec, here: ModelSpec) -> None:
    """Raise UsageError, with the fields that differ, unless two networks are the same but for classes and channels."""
    ours, theirs = here.to_dict(), there.to_dict()
    different = [name for name in ours if name not in _FITTED and ours[name] != theirs[name]]
    if not different:
        return
    listed = "; ".join(f"{name}: {theirs[name]!r} there, {ours[name]!r} here" for name in different)
    flags = " ".join(f"--model.{name} {_as_flag(theirs[name])}" for name in different)
    raise UsageError(
        f"weights: {path} holds {there.label}, but the run trains {here.label} ({listed}). "
        f"Give weights of that network, or train the file's: {flags}"
    )


def _as_flag(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return shlex.quote(str(list(value))) if isinstance(value, tuple) else str(value)


def transfer(file: ModelFile, model: Network, class_names: Sequence[str], path: Path) -> str:
    """Give `model` the weights of `file`; return in words what became of the head.

    class_names: what the outputs of `model` mean, in order. Rows of the head whose class the file has too are taken by
    name; the others keep what the initialisation gave them. Names like "class 7", which `reslab convert` gives to
    classes without any, are no names.
    A stem for three channels is summed over them for a model with one, so that it answers to a grey image as before.

    Raises UsageError for another network, or other numbers of channels.
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
    there = weight.shape[1]
    if there == in_channels:
        return weight
    if (there, in_channels) != (3, 1):
        raise UsageError(
            f"weights: {path} takes images of {there} channel(s), but the data has {in_channels}; "
            "weights for 3 can start a network for 1, and no other change is made."
        )
    return weight.sum(1, keepdim=True)


def _rows_by_name(there: Sequence[str], here: Sequence[str]) -> dict[int, int]:
    """Return {row here: row there} for each name that both have, once."""
    times = Counter(there)
    place = {name: row for row, name in enumerate(there) if times[name] == 1}
    return {row: place[name] for row, name in enumerate(here) if name in place and not _NUMBERED.fullmatch(name)}


def _fit_head(there: Tensor, here: Tensor, rows: dict[int, int]) -> Tensor:
    fitted = here.detach().clone()
    if rows:
        fitted[torch.tensor(list(rows))] = there[torch.tensor(list(rows.values()))].to(here)
    return fitted


def _in_words(there: Sequence[str], here: Sequence[str], rows: dict[int, int]) -> str:
    if list(there) == list(here) and len(rows) == len(here):
        return "the head is the file's"
    if not rows:
        are_numbered = all(_NUMBERED.fullmatch(name) for name in there)
        reason = "the file's classes have numbers, no names" if are_numbered else "no class has the same name"
        return f"the head is new: {reason}"
    if len(rows) == len(here):
        return f"the head's {len(rows)} rows are the file's, by the names of the classes"
    new = [name for row, name in enumerate(here) if row not in rows]
    more = f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
    return f"{len(rows)} rows of the head are the file's, by name; new: {', '.join(new[:_SHOWN])}{more}"


def preprocess_like(given: PreprocessSpec, own: PreprocessSpec) -> PreprocessSpec:
    """Return `own` sizes with the mean and deviation of `given`.

    The mean image is taken where the sizes agree, else the mean of each channel. For one channel in place of three, the
    mean and the deviation are averaged over the three.
    """
    same_channels = given.channels == own.channels
    same_size = (given.channels, given.height, given.width) == (own.channels, own.height, own.width)
    if not same_channels and own.channels != 1:
        raise UsageError(
            f"data.mean is 'weights', but the weights know {given.channels} channel(s) and the data has {own.channels}."
        )
    return PreprocessSpec(
        channels=own.channels,
        height=own.height,
        width=own.width,
        short_side=own.short_side,
        mean=given.mean if same_channels else (sum(given.mean) / given.channels,),
        std=given.std if same_channels else (sum(given.std) / given.channels,),
        mean_image=given.mean_image if same_size else None,
        resize_mode=own.resize_mode,
    )
