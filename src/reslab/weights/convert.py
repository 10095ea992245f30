"""Conversion of state dicts into model files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reslab.artifacts.model_file import ModelCard, is_model_file, save_model
from reslab.errors import RunError, UsageError, counted, first_few
from reslab.models import build
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.weights.state_dict import Source, canonical_names, infer_spec, read_state_dict

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# side of the input, and length of the shorter side before the centre crop; None: pictures have the size already
_SIZES: dict[Source, tuple[int, int | None]] = {"torchvision": (224, 256), "timm": (224, 256), "cifar": (32, None)}


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion.

    Attributes:
        path: The model file.
        spec: The network.
        num_tensors: Tensors read from the state dict.
        num_parameters: Parameters of the network.
        notes: What was assumed because the file does not say it, in sentences.
    """

    path: Path
    spec: ModelSpec
    num_tensors: int
    num_parameters: int
    notes: tuple[str, ...]


def convert_weights(
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
    """Convert a state dict of torchvision, timm or widely copied CIFAR code into a model file.

    Every tensor must fit the network; otherwise nothing is written.

    Args:
        path: The state dict or checkpoint.
        output: The model file to write.
        arch: The network's name, where shapes cannot tell it (see `infer_spec`).
        source: Where the file comes from, which also determines the usual preprocessing.
        class_names: The name of each output; by default "class 0", "class 1" and so on.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        size: Side of the input in pixels.
        short_side: Length in pixels to which the shorter side is resized before the centre crop.
        use_ema: Of a file with both, convert the average of the weights (True) or the weights (False).
        origin: What the model file calls its source; by default the file's name.
        assumed: Notes to add to the result's.

    Returns:
        What was written and assumed.

    Raises:
        UsageError: The network or the preprocessing is not determined, the number of class names is wrong, or the
            file is a model file already.
        RunError: The file cannot be read, or its tensors do not fit the network.
    """
    if output.resolve() == path.resolve():
        raise UsageError(f"{output}: is the file to convert; choose another path for the model file.")
    if is_model_file(path):
        raise UsageError(f"{path}: is a model file already and can be used as it is.")
    tensors = canonical_names(read_state_dict(path, use_ema=use_ema))
    try:
        spec = infer_spec(tensors, arch=arch, source=source)
    except (UsageError, RunError) as error:
        raise type(error)(f"{path}: {error}") from None
    with torch.device("meta"):
        model = build(spec)
    model.load_state_dict(_matched(tensors, model.state_dict(), path, spec), strict=True, assign=True)
    stem = ["stem: one 3x3 convolution of stride 1, no pooling (the weights are 3x3, and do not show the rest)."]
    stem = stem if spec.stem == "cifar" and arch is None and source != "cifar" else []
    preprocess, usual = _preprocess(spec, source, mean, std, size, short_side)
    names, numbered = _class_names(class_names, spec.num_classes)
    card = ModelCard(preprocess=preprocess, class_names=names, recipe=f"converted from {origin or path.name}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(output, model, card)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Conversion(output, spec, len(tensors), parameters, (*assumed, *stem, *usual, *numbered))


def _matched(tensors: dict[str, Tensor], expected: dict[str, Tensor], path: Path, spec: ModelSpec) -> dict[str, Tensor]:
    """Return the tensors in the network's order and types; fail if some are missing, unknown or of another shape."""
    counters = {name: torch.tensor(0) for name in expected if name.endswith("num_batches_tracked")}
    actual = {**counters, **tensors}  # files from before torch 0.4.1 do not count batches
    problems = [f"missing: {name}" for name in expected if name not in actual]
    problems += [f"unknown: {name}" for name in actual if name not in expected]
    problems += [
        f"{name} is {tuple(actual[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in actual and actual[name].shape != tensor.shape
    ]
    problems += [
        f"{name} is {str(actual[name].dtype).removeprefix('torch.')}: quantised values without their scale"
        for name, tensor in expected.items()
        if tensor.is_floating_point() and name in actual and not actual[name].is_floating_point()
    ]
    if problems:
        listed = first_few(problems, separator="; ")
        raise RunError(f"{path}: does not match {spec.label}; nothing was loaded: {listed}.")
    return {name: _as_expected(actual[name], tensor) for name, tensor in expected.items()}


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
            "the file does not say how images were prepared; set mean, std and size, or set source to "
            "'torchvision', 'timm' or 'cifar' for the usual values."
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
            raise UsageError(f"the network takes {counted(spec.in_channels, 'channel')}; set mean and std for each.")
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


def _class_names(names: Sequence[str] | None, num_classes: int) -> tuple[tuple[str, ...], list[str]]:
    if names is None:
        numbered = tuple(f"class {number}" for number in range(num_classes))
        return numbered, ["classes: numbered, as no class names were passed."]
    if len(names) != num_classes or len(set(names)) != len(names):
        raise UsageError(
            f"{len(names)} class names ({len(set(names))} different) for {num_classes} classes; pass one for each."
        )
    return tuple(names), []
