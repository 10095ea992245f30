"""Weights from elsewhere: reading a state dict without running anything in it, and saying what network it is."""

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from reslab.errors import RunError, UsageError, check_choice
from reslab.spec import BOTTLENECK_EXPANSION, Block, ModelSpec, Shortcut
from reslab.spec.families import model_spec

Source = Literal["torchvision", "timm", "cifar"]
SOURCES: tuple[Source, ...] = ("torchvision", "timm", "cifar")

_STRIDE_ON_3X3 = ("torchvision", "timm")
_EMA_KEYS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_WRAPPER_KEYS = ("state_dict", "model_state_dict", "model", "net", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "ema_model.", "net.")
_COUNTERS = ("n_averaged",)  # torch.optim.swa_utils.AveragedModel keeps it beside the weights
_BLOCK = re.compile(r"(layer\d+)\.(\d+)\.(.+)")
_CIFAR_NAMES = ((re.compile(r"^linear\."), "fc."), (re.compile(r"\.shortcut\.(?=[01]\.)"), ".downsample."))


def read_state_dict(path: Path, *, use_ema: bool | None = None) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file or of a torch checkpoint, under the names the network gave them.

    Wrappers are taken off: `state_dict`, `model`, averages (EMA), `module.`, `_orig_mod.`.
    use_ema: which weights to take of a file that holds both those of the model and their average.

    Raises RunError for a file that cannot be read, or that would have to be executed to be read (it is not);
    UsageError for a file with both kinds of weights when `use_ema` does not say which.
    """
    content = _load(path)
    found = _unwrap(content, path, use_ema)
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor) and name not in _COUNTERS}
    if not tensors:
        raise RunError(f"{path}: holds no tensors under names; expected a state dict (a mapping of names to tensors).")
    while prefix := next((one for one in _PREFIXES if all(name.startswith(one) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        # timm's checkpoints hold the command line's arguments, which are plain values
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # it asks to file an issue with torch
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}.") from None
    except safetensors.SafetensorError as error:
        raise RunError(f"{path}: is damaged or no safetensors file: {error}.") from None
    except Exception as error:  # a damaged zip, a pickle that names code, or anything that unpickling can meet
        raise RunError(
            f"{path}: cannot be read as plain tensors ({_reason(error)}). Nothing in it was executed. Where it was "
            "made, save the weights alone: torch.save(model.state_dict(), ...)."
        ) from None
    if not isinstance(content, Mapping):
        raise RunError(f"{path}: holds a {type(content).__name__}, not a mapping of names to tensors.")
    return content


def _reason(error: Exception) -> str:
    """Say why a file cannot be read; torch's own words advise to execute what is in it."""
    message = str(error).strip()
    if isinstance(error, pickle.UnpicklingError):
        if named := re.search(r"GLOBAL (\S+)", message):
            return f"it names code that would have to be executed: {named[1]}"
        return "it is no file of torch.save, or one that holds more than plain values"
    return message.splitlines()[0].split(". ")[0].rstrip(".") if message else "it is empty or cut off"


def _unwrap(content: Mapping[str, Any], path: Path, use_ema: bool | None) -> Mapping[str, Any]:
    averages = next((content[key] for key in _EMA_KEYS if isinstance(content.get(key), Mapping)), None)
    own = next((content[key] for key in _WRAPPER_KEYS if isinstance(content.get(key), Mapping)), None)
    if averages is not None and own is not None and use_ema is None:
        raise UsageError(f"{path}: holds the model's weights and their average (EMA); say which: --ema or --no-ema.")
    if use_ema and averages is None and own is None:
        raise UsageError(f"{path}: holds no average of the weights; leave --ema out.")
    chosen = averages if averages is not None and use_ema is not False else own
    if chosen is None:
        return content
    is_found = use_ema and averages is not None
    return _unwrap(chosen, path, None if is_found else use_ema)


def canonical_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under torchvision's names: widely copied CIFAR code says `linear` and `shortcut`."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in _CIFAR_NAMES:
            name = pattern.sub(replacement, name)
        if name in renamed:
            raise RunError(f"two tensors are both {name!r} by torchvision's names; which one is meant, nothing says.")
        renamed[name] = tensor
    return renamed


def infer_spec(tensors: Mapping[str, Tensor], *, arch: str | None = None, source: Source | None = None) -> ModelSpec:
    """Return what network a state dict with torchvision's names belongs to.

    arch: a name of ours (`resnet50`, `resnet50_v1_5`, `cifar_resnet20`, ...); source: where the file comes from.
    Depth, family, widths, channels and classes are read off the shapes. What shapes cannot tell must be named by one of
    the two: where a bottleneck has its stride, and what a shortcut without weights does (option A, its padding, none).

    Raises UsageError where something must be named, or is named otherwise than the shapes have it; RunError for a
    network that is none of ours.
    """
    if source is not None:
        check_choice("source", source, SOURCES)
    found = _read_off(tensors)
    projections = found.pop("projections")
    if arch is not None:
        return _check_arch(arch, found, projections, source)
    return ModelSpec(**found, **_what_shapes_cannot_tell(found["block"], projections, source))


def _read_off(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Everything that names and shapes say; `projections`: "B", "C", or None for shortcuts without weights."""
    for name in ("conv1.weight", "fc.weight"):
        if name not in tensors:
            raise RunError(f"no tensor {name!r}: this is no plain or residual network of ours.{_some_names(tensors)}")
    stages: dict[str, int] = {}
    for name in tensors:
        if match := _BLOCK.match(name):
            stages[match[1]] = max(stages.get(match[1], 0), int(match[2]) + 1)
    names = sorted(stages)
    if not names or names != [f"layer{number}" for number in range(1, len(names) + 1)]:
        raise RunError(f"no stages layer1, layer2, ...: this is no network of ours.{_some_names(tensors)}")
    is_bottleneck = "layer1.0.conv3.weight" in tensors
    middle = "conv2" if is_bottleneck else "conv1"
    for name in (f"{stage}.0.{conv}.weight" for stage in names for conv in ("conv2", "conv3")[: 1 + is_bottleneck]):
        if name not in tensors:
            raise RunError(f"no tensor {name!r}: this is no plain or residual network of ours.{_some_names(tensors)}")
    widths = tuple(len(tensors[f"{stage}.0.{middle}.weight"]) for stage in names)
    kernel = tensors["conv1.weight"].shape[-1]
    found = {
        "family": "imagenet" if kernel == 7 else "cifar",
        "stem": "imagenet" if kernel == 7 else "cifar",
        "block": "bottleneck" if is_bottleneck else "basic",
        "num_blocks": tuple(stages[stage] for stage in names),
        "widths": widths,
        "in_channels": tensors["conv1.weight"].shape[1],
        "num_classes": len(tensors["fc.weight"]),
        "norm": "batch" if "bn1.weight" in tensors else "none",
    }
    _check_plain_convolutions(tensors, names, widths, is_bottleneck)
    return {**found, "projections": _projections(tensors, found)}


def _check_plain_convolutions(
    tensors: Mapping[str, Tensor], stages: list[str], widths: tuple[int, ...], is_bottleneck: bool
) -> None:
    """RunError for grouped (ResNeXt) and widened (Wide ResNet) bottlenecks, whose names are the same."""
    if not is_bottleneck:
        return
    for stage, width in zip(stages, widths, strict=True):
        middle, last = tensors[f"{stage}.0.conv2.weight"], tensors[f"{stage}.0.conv3.weight"]
        if middle.shape[1] != width:
            raise RunError(
                f"{stage}.0.conv2 has groups of {middle.shape[1]} channels (ResNeXt); not one of our networks."
            )
        if len(last) != BOTTLENECK_EXPANSION * width:
            raise RunError(
                f"{stage}.0 goes from {width} to {len(last)} channels (Wide ResNet); ours go to 4 times as many."
            )


def _projections(tensors: Mapping[str, Tensor], found: dict[str, Any]) -> Shortcut | None:
    """Option "C" (a projection in every block), "B" (where dimensions change), or None (nowhere)."""
    expansion = BOTTLENECK_EXPANSION if found["block"] == "bottleneck" else 1
    channels = found["widths"][0]
    every, changing, there = set(), set(), set()
    for number, (count, width) in enumerate(zip(found["num_blocks"], found["widths"], strict=True)):
        for place in range(count):
            block = f"layer{number + 1}.{place}"
            every.add(block)
            if place == 0 and (number > 0 or channels != width * expansion):
                changing.add(block)
            if f"{block}.downsample.0.weight" in tensors:
                there.add(block)
        channels = width * expansion
    if not there:
        return None
    if there in (every, changing):
        return "B" if there == changing else "C"
    raise RunError(
        f"projections in {', '.join(sorted(there))}: neither where dimensions change (option B) nor everywhere (C)."
    )


def _check_arch(arch: str, found: dict[str, Any], projections: Shortcut | None, source: Source | None) -> ModelSpec:
    """The network called `arch`, if the shapes and the source agree that it is that."""
    options = {key: found[key] for key in ("num_classes", "in_channels", "norm")}
    spec = model_spec(arch, **options)
    if not spec.is_plain and projections is not None:
        spec = replace(spec, shortcut=projections)
    for key in ("block", "num_blocks", "widths", "stem"):
        if getattr(spec, key) != found[key]:
            raise UsageError(f"{arch!r} has {key} {getattr(spec, key)}, but the file has {found[key]}.")
    if (projections is None) != (spec.shortcut in ("A", "none")):
        has = "no projections" if projections is None else f"projections (option {projections})"
        raise UsageError(f"{arch!r} is {spec.label}, but the file has {has}.")
    if spec.stride_on == "1x1" and source in _STRIDE_ON_3X3:
        raise UsageError(f"{arch!r} has its stride on the 1x1, but {source}'s have it on the 3x3: use {arch}_v1_5.")
    return replace(spec, zero_pad="split") if source == "cifar" and spec.shortcut == "A" else spec


def _what_shapes_cannot_tell(block: Block, projections: Shortcut | None, source: Source | None) -> dict[str, Any]:
    if block == "bottleneck" and source not in _STRIDE_ON_3X3:
        raise UsageError(
            "a file cannot tell where a bottleneck has its stride, and the two give different answers: name it by "
            "--arch resnet50 (the paper's, on the 1x1) or --arch resnet50_v1_5 (on the 3x3), or by --source "
            "torchvision or timm (on the 3x3)."
        )
    if projections is not None:
        return {"stride_on": "3x3", "shortcut": projections}
    if source != "cifar":
        raise UsageError(
            "the file has no projections, and cannot tell a plain net from option A, nor how that pads: name it by "
            "--arch cifar_plain20 or cifar_resnet20 (zeros after), or by --source cifar (zeros before and after)."
        )
    return {"stride_on": "3x3", "shortcut": "A", "zero_pad": "split"}


def _some_names(tensors: Mapping[str, Tensor]) -> str:
    return f" Its names begin with: {', '.join(list(tensors)[:4])}."
