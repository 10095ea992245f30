"""From somebody else's weights to a model file that says everything needed to use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reslab.artifacts.model_file import ModelCard, is_model_file, save_model
from reslab.errors import RunError, UsageError
from reslab.models import build
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.weights.state_dict import Source, canonical_names, infer_spec, read_state_dict

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# side of the input, and of the shorter side before the centre crop; None: pictures have the size already
_SIZES: dict[Source, tuple[int, int | None]] = {"torchvision": (224, 256), "timm": (224, 256), "cifar": (32, None)}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written. notes: what was assumed and not read off the file, in sentences."""

    path: Path
    spec: ModelSpec
    num_tensors: int
    num_parameters: int
    notes: tuple[str, ...]


def convert(
    path: Path,
    output: Path,
    *,
    arch: str | None = None,
    source: Source | None = None,
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    short_side: int | None = None,
    use_ema: bool | None = None,
    origin: str | None = None,
    assumed: Sequence[str] = (),
) -> Conversion:
    """Turn a state dict of torchvision, timm or widely copied CIFAR code into a model file at `output`.

    arch, source: name what shapes cannot tell (see `infer_spec`); source also says the usual preprocessing.
    mean, std: per channel, for pixels in [0, 1]; size: side of the input in pixels; short_side: before the crop.
    origin: what the model file says it was converted from; by default the file's name. assumed: notes of the caller.

    All of the file must fit: nothing is loaded by half. Raises what `read_state_dict` and `infer_spec` raise, RunError
    for tensors that are missing or too many, UsageError for a wrong number of classes, an unknown preprocessing, or a
    file that is a model file already.
    """
    if output.resolve() == path.resolve():
        raise UsageError(f"{output}: is the file to convert; give another place for the model file.")
    if is_model_file(path):
        raise UsageError(f"{path}: is a model file already, which every command takes as it is; nothing to convert.")
    tensors = canonical_names(read_state_dict(path, use_ema=use_ema))
    try:
        spec = infer_spec(tensors, arch=arch, source=source)
    except (UsageError, RunError) as error:
        raise type(error)(f"{path}: {error}") from None
    with torch.device("meta"):
        model = build(spec)
    model.load_state_dict(_fitting(tensors, model.state_dict(), path, spec), strict=True, assign=True)
    stem = ["stem: one 3x3 convolution of stride 1, no pooling (3x3 weights; stride and pooling leave no trace)."]
    stem = stem if spec.stem == "cifar" and arch is None and source != "cifar" else []
    preprocess, usual = _preprocess(spec, source, mean, std, size, short_side)
    names, numbered = _class_names(class_names, spec.num_classes)
    card = ModelCard(preprocess=preprocess, class_names=names, recipe=f"converted from {origin or path.name}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(output, model, card)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Conversion(output, spec, len(tensors), parameters, (*assumed, *stem, *usual, *numbered))


def _fitting(tensors: dict[str, Tensor], expected: dict[str, Tensor], path: Path, spec: ModelSpec) -> dict[str, Tensor]:
    """Return the tensors, each where and as large as the network has it; RunError names those that are not."""
    counters = {name: torch.tensor(0) for name in expected if name.endswith("num_batches_tracked")}
    given = {**counters, **tensors}  # files from before torch 0.4.1 do not count batches
    problems = [f"missing: {name}" for name in expected if name not in given]
    problems += [f"unknown: {name}" for name in given if name not in expected]
    problems += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems += [
        f"{name} is {str(given[name].dtype).removeprefix('torch.')}, whose numbers are codes without their scale"
        for name, tensor in expected.items()
        if tensor.is_floating_point() and name in given and not given[name].is_floating_point()
    ]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise RunError(
            f"{path}: does not fit {spec.label}, and nothing is loaded by half: {'; '.join(problems[:_SHOWN])}{more}."
        )
    return {name: _as_expected(given[name], tensor) for name, tensor in expected.items()}


def _as_expected(tensor: Tensor, expected: Tensor) -> Tensor:
    return tensor.to(expected.dtype).contiguous().clone()


def _preprocess(
    spec: ModelSpec,
    source: Source | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    size: int | None,
    short_side: int | None,
) -> tuple[PreprocessSpec, list[str]]:
    notes = []
    if source is None and (mean is None or std is None or size is None):
        raise UsageError(
            "the file does not say how images were prepared: give --mean, --std and --size, or --source for the usual."
        )
    usual_size, usual_short = _SIZES[source] if source else (size or 0, short_side)
    if size is None:
        size = usual_size
        short_side = short_side or usual_short
        notes.append(
            f"images: {size} px"
            + (f", centre of a short side of {short_side}" if short_side else "")
            + f" ({source}'s usual)."
        )
    elif short_side is None and usual_short is not None:
        short_side = round(size * usual_short / usual_size)
        notes.append(f"images: centre of a short side of {short_side} px (as {source}'s usual, in proportion).")
    if mean is None or std is None:
        if spec.in_channels != 3:
            raise UsageError(f"the network takes {spec.in_channels} channels: give --mean and --std for each.")
        mean, std = mean or IMAGENET_MEAN, std or IMAGENET_STD
        notes.append(f"mean {tuple(mean)}, std {tuple(std)} ({source}'s usual).")
    assert size is not None
    preprocess = PreprocessSpec(
        channels=spec.in_channels,
        height=size,
        width=size,
        short_side=short_side,
        mean=tuple(mean),
        std=tuple(std),
    )
    return preprocess, notes


def _class_names(given: Sequence[str] | None, num_classes: int) -> tuple[tuple[str, ...], list[str]]:
    if given is None:
        return tuple(f"class {number}" for number in range(num_classes)), ["classes: numbered; --classes names them."]
    if len(given) != num_classes or len(set(given)) != len(given):
        raise UsageError(
            f"{len(given)} class names ({len(set(given))} different) for {num_classes} classes; give one for each."
        )
    return tuple(given), []
