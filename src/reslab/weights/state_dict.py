"""State dicts from elsewhere: reading them without executing anything, and recognising their network."""

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from reslab.errors import RunError, UsageError, check_choice
from reslab.spec import BOTTLENECK_EXPANSION, Block, Family, ModelSpec, Norm, Shortcut, Stem, StrideOn, ZeroPad
from reslab.spec.families import model_spec

Source = Literal["torchvision", "timm", "cifar"]
SOURCES: tuple[Source, ...] = ("torchvision", "timm", "cifar")

_STRIDE_ON_3X3 = ("torchvision", "timm")
_EMA_KEYS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_WRAPPER_KEYS = ("state_dict", "model_state_dict", "model", "net", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "ema_model.", "net.")
_COUNTERS = ("n_averaged",)  # kept next to the weights by torch.optim.swa_utils.AveragedModel
_BLOCK = re.compile(r"(layer\d+)\.(\d+)\.(.+)")
_CIFAR_NAMES = ((re.compile(r"^linear\."), "fc."), (re.compile(r"\.shortcut\.(?=[01]\.)"), ".downsample."))


def read_state_dict(path: Path, *, use_ema: bool | None = None) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file or a torch checkpoint, without executing anything in it.

    Wrappers are removed: `state_dict`, `model`, averages (EMA), `module.`, `_orig_mod.`.

    Args:
        path: The file.
        use_ema: Of a file with both, read the average of the weights (True) or the weights (False).

    Returns:
        The tensors, by the names that the network gave them.

    Raises:
        RunError: The file cannot be read, or only by executing code in it.
        UsageError: The file has both kinds of weights and `use_ema` is None, or it is True and there is no average.
    """
    content = _unwrap(_load(path), path, use_ema)
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and name not in _COUNTERS}
    if not tensors:
        raise RunError(f"{path}: contains no named tensors; expected a state dict (a mapping of names to tensors).")
    while prefix := next((text for text in _PREFIXES if all(name.startswith(text) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        # timm's checkpoints contain the command line's arguments, which are plain values
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # asks the user to file an issue with torch
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}.") from None
    except safetensors.SafetensorError as error:
        raise RunError(f"{path}: is damaged or not a safetensors file: {error}.") from None
    except Exception as error:  # a damaged zip, a pickle that names code, or any other error of unpickling
        raise RunError(
            f"{path}: cannot be read as plain tensors ({_reason(error)}). Nothing in it was executed. Save only the "
            "weights where it was made: torch.save(model.state_dict(), ...)."
        ) from None
    if not isinstance(content, Mapping):
        raise RunError(f"{path}: contains a {type(content).__name__}, not a mapping of names to tensors.")
    return content


def _reason(error: Exception) -> str:
    """Explain why a file cannot be read; torch's own message advises to execute its content."""
    message = str(error).strip()
    if isinstance(error, pickle.UnpicklingError):
        if match := re.search(r"GLOBAL (\S+)", message):
            return f"it names code that would have to be executed: {match[1]}"
        return "it is not a file of torch.save, or contains more than plain values"
    return message.splitlines()[0].split(". ")[0].rstrip(".") if message else "it is empty or cut off"


def _unwrap(content: Mapping[str, Any], path: Path, use_ema: bool | None) -> Mapping[str, Any]:
    averages = next((content[key] for key in _EMA_KEYS if isinstance(content.get(key), Mapping)), None)
    own = next((content[key] for key in _WRAPPER_KEYS if isinstance(content.get(key), Mapping)), None)
    if averages is not None and own is not None and use_ema is None:
        raise UsageError(
            f"{path}: contains the model's weights and their average (EMA); set use_ema to True for the average or to "
            "False for the weights."
        )
    if use_ema and averages is None and own is None:
        raise UsageError(f"{path}: contains no average of the weights; leave use_ema out.")
    inner = averages if averages is not None and use_ema is not False else own
    if inner is None:
        return content
    is_average = use_ema and averages is not None
    return _unwrap(inner, path, None if is_average else use_ema)


def canonical_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors to torchvision's names; widely copied CIFAR code says `linear` and `shortcut`.

    Args:
        tensors: A state dict.

    Returns:
        The same tensors by torchvision's names.

    Raises:
        RunError: Two tensors get the same name.
    """
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in _CIFAR_NAMES:
            name = pattern.sub(replacement, name)
        if name in renamed:
            raise RunError(f"two tensors map to {name!r}; cannot tell which one to use.")
        renamed[name] = tensor
    return renamed


def infer_spec(tensors: Mapping[str, Tensor], *, arch: str | None = None, source: Source | None = None) -> ModelSpec:
    """Recognise the network of a state dict with torchvision's names.

    Shapes show depth, family, widths, channels and classes. They do not show where a bottleneck has its stride, nor
    what a shortcut without weights does (option A and its padding, or none): `arch` or `source` must say that.

    Args:
        tensors: The state dict.
        arch: A name that `reslab.spec.model_spec` knows, such as "resnet50", "resnet50_v1_5" or "cifar_resnet20".
        source: Where the file comes from.

    Returns:
        The network.

    Raises:
        UsageError: `arch` and `source` are needed and missing, or contradict the shapes or each other.
        RunError: It is not a network of reslab.
    """
    if source is not None:
        check_choice("source", source, SOURCES)
    shapes = _read_shapes(tensors)
    if arch is not None:
        return _check_arch(arch, shapes, source)
    stride_on, shortcut, zero_pad = _what_shapes_cannot_tell(shapes, source)
    return ModelSpec(
        family=shapes.family,
        block=shapes.block,
        num_blocks=shapes.num_blocks,
        widths=shapes.widths,
        shortcut=shortcut,
        stride_on=stride_on,
        stem=shapes.stem,
        num_classes=shapes.num_classes,
        in_channels=shapes.in_channels,
        zero_pad=zero_pad,
        norm=shapes.norm,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shapes:
    """The architecture, as far as names and shapes of tensors show it; without weighted shortcuts no projections."""

    family: Family
    stem: Stem
    block: Block
    num_blocks: tuple[int, ...]
    widths: tuple[int, ...]
    in_channels: int
    num_classes: int
    norm: Norm
    projections: Shortcut | None


def _read_shapes(tensors: Mapping[str, Tensor]) -> _Shapes:
    for name in ("conv1.weight", "fc.weight"):
        if name not in tensors:
            raise RunError(f"no tensor {name!r}: not a plain or residual network.{_some_names(tensors)}")
    stages: dict[str, int] = {}
    for name in tensors:
        if match := _BLOCK.match(name):
            stages[match[1]] = max(stages.get(match[1], 0), int(match[2]) + 1)
    names = sorted(stages)
    if not names or names != [f"layer{number}" for number in range(1, len(names) + 1)]:
        raise RunError(f"no stages layer1, layer2, ...: not a plain or residual network.{_some_names(tensors)}")
    is_bottleneck = "layer1.0.conv3.weight" in tensors
    middle = "conv2" if is_bottleneck else "conv1"
    for name in (f"{stage}.0.{conv}.weight" for stage in names for conv in ("conv2", "conv3")[: 1 + is_bottleneck]):
        if name not in tensors:
            raise RunError(f"no tensor {name!r}: not a plain or residual network.{_some_names(tensors)}")
    num_blocks = tuple(stages[stage] for stage in names)
    widths = tuple(len(tensors[f"{stage}.0.{middle}.weight"]) for stage in names)
    kernel = tensors["conv1.weight"].shape[-1]
    _check_plain_convolutions(tensors, names, widths, is_bottleneck)
    return _Shapes(
        family="imagenet" if kernel == 7 else "cifar",
        stem="imagenet" if kernel == 7 else "cifar",
        block="bottleneck" if is_bottleneck else "basic",
        num_blocks=num_blocks,
        widths=widths,
        in_channels=tensors["conv1.weight"].shape[1],
        num_classes=len(tensors["fc.weight"]),
        norm="batch" if "bn1.weight" in tensors else "none",
        projections=_projections(tensors, num_blocks, widths, BOTTLENECK_EXPANSION if is_bottleneck else 1),
    )


def _check_plain_convolutions(
    tensors: Mapping[str, Tensor], stages: list[str], widths: tuple[int, ...], is_bottleneck: bool
) -> None:
    """Refuse grouped (ResNeXt) and widened (Wide ResNet) bottlenecks, whose tensors have the same names."""
    if not is_bottleneck:
        return
    for stage, width in zip(stages, widths, strict=True):
        middle, last = tensors[f"{stage}.0.conv2.weight"], tensors[f"{stage}.0.conv3.weight"]
        if middle.shape[1] != width:
            raise RunError(f"{stage}.0.conv2 has groups of {middle.shape[1]} channels (ResNeXt); reslab has none.")
        if len(last) != BOTTLENECK_EXPANSION * width:
            raise RunError(
                f"{stage}.0 goes from {width} to {len(last)} channels (Wide ResNet); reslab's bottlenecks go to "
                f"{BOTTLENECK_EXPANSION} times as many."
            )


def _projections(
    tensors: Mapping[str, Tensor], num_blocks: tuple[int, ...], widths: tuple[int, ...], expansion: int
) -> Shortcut | None:
    """Return option "C" (a projection in every block), "B" (where dimensions change), or None (nowhere)."""
    channels = widths[0]
    every, changing, projected = set(), set(), set()
    for number, (count, width) in enumerate(zip(num_blocks, widths, strict=True)):
        for index in range(count):
            block = f"layer{number + 1}.{index}"
            every.add(block)
            if index == 0 and (number > 0 or channels != width * expansion):
                changing.add(block)
            if f"{block}.downsample.0.weight" in tensors:
                projected.add(block)
        channels = width * expansion
    if not projected:
        return None
    if projected in (every, changing):
        return "B" if projected == changing else "C"
    raise RunError(
        f"projections in {', '.join(sorted(projected))}: neither where dimensions change (option B) nor everywhere (C)."
    )


def _check_arch(arch: str, shapes: _Shapes, source: Source | None) -> ModelSpec:
    """Return the network called `arch` if the shapes and the source agree with it."""
    spec = model_spec(arch, num_classes=shapes.num_classes, in_channels=shapes.in_channels, norm=shapes.norm)
    if not spec.is_plain and shapes.projections is not None:
        spec = replace(spec, shortcut=shapes.projections)
    for key in ("block", "num_blocks", "widths", "stem"):
        if getattr(spec, key) != getattr(shapes, key):
            raise UsageError(f"{arch!r} has {key} {getattr(spec, key)}, but the file has {getattr(shapes, key)}.")
    if (shapes.projections is None) != (spec.shortcut in ("A", "none")):
        actual = "no projections" if shapes.projections is None else f"projections (option {shapes.projections})"
        raise UsageError(f"{arch!r} is {spec.label}, but the file has {actual}.")
    if spec.stride_on == "1x1" and source in _STRIDE_ON_3X3:
        raise UsageError(
            f"{arch!r} has its stride on the 1x1, but {source}'s networks have it on the 3x3: use {arch}_v1_5."
        )
    return replace(spec, zero_pad="split") if source == "cifar" and spec.shortcut == "A" else spec


def _what_shapes_cannot_tell(shapes: _Shapes, source: Source | None) -> tuple[StrideOn, Shortcut, ZeroPad]:
    if shapes.block == "bottleneck" and source not in _STRIDE_ON_3X3:
        raise UsageError(
            "the file does not show where a bottleneck has its stride, and the two places give different answers. Set "
            "arch to resnet50 (the paper's, on the 1x1) or resnet50_v1_5 (on the 3x3), or source to torchvision or "
            "timm (on the 3x3)."
        )
    if shapes.projections is not None:
        return "3x3", shapes.projections, "after"
    if source != "cifar":
        raise UsageError(
            "the file has no projections, so it does not show whether the network is plain or has option A, nor how "
            "that pads. Set arch to cifar_plain20 or cifar_resnet20 (zeros after), or source to cifar (zeros before "
            "and after)."
        )
    return "3x3", "A", "split"


def _some_names(tensors: Mapping[str, Tensor]) -> str:
    return f" Its names begin with: {', '.join(list(tensors)[:4])}."
