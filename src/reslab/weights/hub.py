"""Weights on the Hugging Face hub, named like timm's: `hf-hub:OWNER/NAME[@REVISION]`.

Two files are read, `config.json` and the weights; nothing in either is executed. `huggingface_hub` is optional
(`pip install 'reslab[hub]'`) and imported only when a name is used.
"""

import hashlib
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.artifacts.model_file import FORMAT_VERSION
from reslab.errors import RunError, UsageError, did_you_mean
from reslab.system.files import read_json
from reslab.system.paths import cache_folder
from reslab.weights.convert import IMAGENET_MEAN, IMAGENET_STD, Conversion, convert_weights

log = logging.getLogger(__name__)

PREFIX = "hf-hub:"
_NAME = re.compile(r"hf-hub:([\w.-]+)/([\w.-]+)(?:@([\w./-]+))?")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# timm's name -> ours; all of timm's bottlenecks have their stride on the 3x3
_ARCHS = {f"resnet{depth}": f"resnet{depth}" + ("_v1_5" if depth >= 50 else "") for depth in (18, 34, 50, 101, 152)}
# settings of timm's ResNet that change the network, with the value of our networks; other values are refused
_AS_OURS = {
    "global_pool": "avg", "output_stride": 32, "cardinality": 1, "base_width": 64, "stem_width": 64, "stem_type": "",
    "act_layer": "relu", "norm_layer": "batchnorm2d",
}  # fmt: skip
# settings that the weights show, or that change nothing in a trained network
_WITHOUT_EFFECT = ("num_classes", "in_chans", "drop_rate", "drop_path_rate", "drop_block_rate", "zero_init_last")
_OUR_INPUTS = {
    "first_conv": "conv1",
    "classifier": "fc",
    "crop_mode": "center",
    "label_offset": 0,
    "custom_load": False,
}


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository on the hub.

    Attributes:
        owner: The owner's name.
        name: The repository's name.
        revision: A branch, tag or commit; None: the newest.
    """

    owner: str
    name: str
    revision: str | None

    @property
    def repository(self) -> str:
        """Owner and name, as the hub writes them."""
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class HubModel:
    """What timm's config.json says about a network and its inputs.

    Attributes:
        arch: Our name of the network.
        size: Side of the input in pixels.
        short_side: Length in pixels to which the shorter side is resized before the centre crop.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        class_names: The name of each output; None if it does not name them.
        notes: Differences from timm, in sentences.
    """

    arch: str
    size: int
    short_side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]


def is_hub_name(text: str) -> bool:
    """Recognise a name on the hub by its prefix.

    Args:
        text: A name or a path.

    Returns:
        Whether it begins with `hf-hub:`.
    """
    return text.startswith(PREFIX)


def parse_name(text: str) -> HubName:
    """Split a name on the hub into its parts.

    Args:
        text: `hf-hub:OWNER/NAME` or `hf-hub:OWNER/NAME@REVISION`.

    Returns:
        The parts.

    Raises:
        UsageError: The text has another form.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a name on the hub; expected {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION."
        )
    return HubName(match[1], match[2], match[3])


def convert_from_hub(
    text: str,
    output: Path,
    *,
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    short_side: int | None = None,
    use_ema: bool | None = None,
) -> Conversion:
    """Download weights from the hub and convert them into a model file.

    Arguments that are not None override what config.json says.

    Args:
        text: `hf-hub:OWNER/NAME` or `hf-hub:OWNER/NAME@REVISION`.
        output: The model file to write.
        class_names: The name of each output.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        size: Side of the input in pixels.
        short_side: Length in pixels to which the shorter side is resized before the centre crop.
        use_ema: Of a file with both, convert the average of the weights (True) or the weights (False).

    Returns:
        What was written and assumed.

    Raises:
        UsageError: The name has another form, or an argument does not suit the network.
        RunError: The weights cannot be downloaded, or config.json describes a network that reslab does not have.
    """
    name = parse_name(text)
    config, weights = _download(name)
    return _convert(
        name, config, weights, output, class_names=class_names, mean=mean, std=std, size=size, short_side=short_side,
        use_ema=use_ema,
    )  # fmt: skip


def convert_into_cache(text: str) -> Path:
    """Download weights from the hub and convert them into the cache folder, unless that was done before.

    Args:
        text: `hf-hub:OWNER/NAME` or `hf-hub:OWNER/NAME@REVISION`.

    Returns:
        The model file.

    Raises:
        UsageError: The name has another form.
        RunError: The weights cannot be downloaded, or config.json describes a network that reslab does not have.
    """
    name = parse_name(text)
    config, weights = _download(name)
    digest = hashlib.sha256(f"{FORMAT_VERSION} {name}".encode() + config.read_bytes() + weights.read_bytes())
    path = cache_folder() / "weights" / f"{name.owner}--{name.name}-{digest.hexdigest()[:12]}.safetensors"
    if path.exists():
        log.info("%s: already converted into %s.", name, path)
        return path
    conversion = _convert(name, config, weights, path)
    for note in conversion.notes:
        log.info("%s: %s", name, note)
    spec = conversion.spec
    log.info("%s: %s with %d classes, converted into %s", name, spec.label, spec.num_classes, path)
    return path


def _convert(name: HubName, config: Path, weights: Path, output: Path, **overrides: Any) -> Conversion:
    try:
        model = read_config(read_json(config))
    except RunError as error:
        raise RunError(f"{name}: {error}") from None
    except (TypeError, AttributeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise RunError(f"{name}: config.json has an unexpected value: {error}.") from None
    scale = (overrides.get("size") or model.size) / model.size
    defaults = {
        "mean": model.mean,
        "std": model.std,
        "class_names": model.class_names,
        "size": model.size,
        "short_side": round(model.short_side * scale),
    }
    options = {**defaults, **{key: value for key, value in overrides.items() if value is not None}}
    return convert_weights(
        weights, output, arch=model.arch, source="timm", origin=str(name), assumed=model.notes, **options
    )


# --- what config.json says --------------------------------------------------------------------------------------------


def read_config(config: Mapping[str, Any]) -> HubModel:
    """Read timm's config.json.

    Args:
        config: The file's content.

    Returns:
        The network and its inputs.

    Raises:
        RunError: It describes a network that reslab does not have.
    """
    if not isinstance(config, Mapping):
        raise RunError("config.json does not contain a mapping; expected the file of a timm model.")
    architecture = config.get("architecture")
    if architecture not in _ARCHS:
        hint = did_you_mean(architecture, _ARCHS) if architecture else ""
        raise RunError(f"config.json has architecture {architecture!r}; allowed: timm's {', '.join(_ARCHS)}.{hint}")
    # configs from before timm 0.9 have no `pretrained_cfg`; null means the usual value
    inputs = {key: value for key, value in (config.get("pretrained_cfg") or config).items() if value is not None}
    arguments = {**(config.get("model_args") or {}), "global_pool": config.get("global_pool")}
    for key, value in arguments.items():
        if key not in _WITHOUT_EFFECT and value is not None and value != _AS_OURS.get(key):
            raise RunError(f"config.json sets {key} to {value!r}; {_allowed(key)}.")
    for key, ours in _OUR_INPUTS.items():
        if inputs.get(key, ours) != ours:
            raise RunError(f"config.json sets {key} to {inputs[key]!r}; allowed: {ours!r}.")
    size = _side(inputs.get("input_size", (3, 224, 224)))
    notes = []
    if (interpolation := inputs.get("interpolation", "bicubic")) != "bilinear":
        notes.append(f"images: timm resizes with {interpolation} interpolation, reslab with bilinear.")
    return HubModel(
        arch=_ARCHS[architecture],
        size=size,
        short_side=math.floor(size / inputs.get("crop_pct", 0.875)),  # as timm rounds
        mean=tuple(inputs.get("mean", IMAGENET_MEAN)),
        std=tuple(inputs.get("std", IMAGENET_STD)),
        class_names=_class_names(config.get("label_names") or inputs.get("label_names")),
        notes=tuple(notes),
    )


def _allowed(key: str) -> str:
    return f"our networks have {_AS_OURS[key]!r}" if key in _AS_OURS else "our networks have no such setting"


def _side(input_size: Sequence[int]) -> int:
    if len(input_size) != 3 or input_size[1] != input_size[2]:
        raise RunError(f"config.json has input_size {tuple(input_size)}; allowed: channels and two equal sides.")
    return input_size[1]


def _class_names(labels: Any) -> tuple[str, ...] | None:
    """Return names in the order of the outputs, from a list or from a mapping of output numbers to names."""
    if isinstance(labels, Mapping):
        try:
            labels = [labels[key] for key in sorted(labels, key=int)]
        except ValueError:
            raise RunError("config.json has label_names whose keys are not numbers.") from None
    return tuple(str(label) for label in labels) if labels else None


# --- the hub ----------------------------------------------------------------------------------------------------------


def _download(name: HubName) -> tuple[Path, Path]:
    """Return the paths of config.json and the weights, downloaded unless they are in the hub's cache."""
    fetch = _fetcher()
    config = fetch(name, "config.json")
    if config is None:
        raise RunError(f"{name}: has no config.json, which would describe the network.")
    weights = next((path for path in (fetch(name, file) for file in _WEIGHTS) if path is not None), None)
    if weights is None:
        raise RunError(f"{name}: has neither of {' and '.join(_WEIGHTS)}.")
    return config, weights


def _fetcher() -> Callable[[HubName, str], Path | None]:
    """Return a function that downloads one file of a repository, and returns None for a file that does not exist."""
    try:
        import huggingface_hub  # type: ignore[import-not-found]
        from huggingface_hub import errors  # type: ignore[import-not-found]
    except ImportError:
        raise RunError(
            "names on the hub need huggingface_hub, which is not installed: pip install 'reslab[hub]'. "
            "Or download the weights by hand and convert the file."
        ) from None

    def fetch(name: HubName, file: str) -> Path | None:
        try:
            return Path(huggingface_hub.hf_hub_download(name.repository, file, revision=name.revision))
        except errors.LocalEntryNotFoundError:
            raise RunError(
                f"{name}: cannot be downloaded and is not in the cache. Check the network, or download the weights "
                "elsewhere and convert the file."
            ) from None
        except errors.EntryNotFoundError:
            return None
        except errors.RevisionNotFoundError:
            raise RunError(f"{name}: has no revision {name.revision!r}.") from None
        except errors.RepositoryNotFoundError:
            raise RunError(f"{name}: the repository does not exist, or you have no access to it.") from None
        except Exception as error:  # whatever its HTTP library raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(f"{name}: {file} cannot be downloaded: {reason}") from None

    return fetch
