"""Weights on the Hugging Face hub, named as timm names them: `hf-hub:OWNER/NAME[@REVISION]`.

Two files are read, `config.json` and the weights; nothing in either is executed. `huggingface_hub` is optional
(`pip install 'reslab[hub]'`) and imported only here, when a name is used.
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
from reslab.weights.convert import IMAGENET_MEAN, IMAGENET_STD, Conversion, convert

log = logging.getLogger(__name__)

PREFIX = "hf-hub:"
_NAME = re.compile(r"hf-hub:([\w.-]+)/([\w.-]+)(?:@([\w./-]+))?")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# timm's name -> ours: all of timm's have their stride on the 3x3
_ARCHS = {f"resnet{depth}": f"resnet{depth}" + ("_v1_5" if depth >= 50 else "") for depth in (18, 34, 50, 101, 152)}
# settings of timm's ResNet that change the network, with the value that ours have; the rest is refused
_AS_OURS = {
    "global_pool": "avg", "output_stride": 32, "cardinality": 1, "base_width": 64, "stem_width": 64, "stem_type": "",
    "act_layer": "relu", "norm_layer": "batchnorm2d",
}  # fmt: skip
# settings that are read off the weights, or that change nothing once a network is trained
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
    """A repository on the hub. revision: a branch, tag or commit; None: the newest."""

    owner: str
    name: str
    revision: str | None

    @property
    def repository(self) -> str:
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class HubModel:
    """What timm's config.json says, as `convert` takes it. size, short_side: pixels; mean, std: of pixels in [0, 1]."""

    arch: str
    size: int
    short_side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]


def is_hub_name(text: str) -> bool:
    """Return whether `text` is meant to name weights on the hub."""
    return text.startswith(PREFIX)


def parse_name(text: str) -> HubName:
    """Return the parts of `hf-hub:OWNER/NAME[@REVISION]`; UsageError for another form."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no name on the hub; expected {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION.")
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
    """Download weights by their name on the hub and write them as a model file; options go before its config.json.

    Raises UsageError for a name of another form; RunError for weights that cannot be had, or a config.json that says
    anything that our networks cannot be.
    """
    name = parse_name(text)
    config, weights = _download(name)
    return _convert(
        name, config, weights, output, class_names=class_names, mean=mean, std=std, size=size, short_side=short_side,
        use_ema=use_ema,
    )  # fmt: skip


def convert_into_cache(text: str) -> Path:
    """Return a model file with the weights of that name on the hub; made in the cache folder unless it is there."""
    name = parse_name(text)
    config, weights = _download(name)
    digest = hashlib.sha256(f"{FORMAT_VERSION} {name}".encode() + config.read_bytes() + weights.read_bytes())
    path = cache_folder() / "weights" / f"{name.owner}--{name.name}-{digest.hexdigest()[:12]}.safetensors"
    if path.exists():
        log.info("%s: was converted into %s before.", name, path)
        return path
    done = _convert(name, config, weights, path)
    for note in done.notes:
        log.info("%s: %s", name, note)
    log.info("%s: %s with %d classes, converted into %s", name, done.spec.label, done.spec.num_classes, path)
    return path


def _convert(name: HubName, config: Path, weights: Path, output: Path, **given: Any) -> Conversion:
    try:
        found = read_config(read_json(config))
    except RunError as error:
        raise RunError(f"{name}: {error}") from None
    except (TypeError, AttributeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise RunError(f"{name}: config.json is not understood: {error}.") from None
    said = {"mean": found.mean, "std": found.std, "class_names": found.class_names}
    scale = (given.get("size") or found.size) / found.size
    said |= {"size": found.size, "short_side": round(found.short_side * scale)}
    options = {**said, **{key: value for key, value in given.items() if value is not None}}
    return convert(weights, output, arch=found.arch, source="timm", origin=str(name), assumed=found.notes, **options)


# --- what config.json says --------------------------------------------------------------------------------------------


def read_config(config: Mapping[str, Any]) -> HubModel:
    """Return what timm's config.json says; RunError names what our networks cannot be."""
    if not isinstance(config, Mapping):
        raise RunError("config.json holds no mapping; expected that of a timm model.")
    architecture = config.get("architecture")
    if architecture not in _ARCHS:
        hint = did_you_mean(architecture, _ARCHS) if architecture else ""
        raise RunError(f"config.json has architecture {architecture!r}; understood: {', '.join(_ARCHS)} of timm.{hint}")
    # configs of before timm 0.9 have no part of their own for the weights; null there means the usual
    inputs = {key: value for key, value in (config.get("pretrained_cfg") or config).items() if value is not None}
    arguments = {**(config.get("model_args") or {}), "global_pool": config.get("global_pool")}
    for key, value in arguments.items():
        if key not in _WITHOUT_EFFECT and value is not None and value != _AS_OURS.get(key):
            raise RunError(f"config.json sets {key} to {value!r}; {_allowed(key)}.")
    for key, ours in _OUR_INPUTS.items():
        if inputs.get(key, ours) != ours:
            raise RunError(f"config.json sets {key} to {inputs[key]!r}; understood: {ours!r}.")
    size = _side(inputs.get("input_size", (3, 224, 224)))
    notes = []
    if (way := inputs.get("interpolation", "bicubic")) != "bilinear":
        notes.append(f"images are resized {way} there, bilinear here.")
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
        raise RunError(f"config.json has input_size {tuple(input_size)}; understood: channels and two equal sides.")
    return input_size[1]


def _class_names(labels: Any) -> tuple[str, ...] | None:
    """Names in the order of the outputs: of a list, or of a mapping from the output's number."""
    if isinstance(labels, Mapping):
        try:
            labels = [labels[key] for key in sorted(labels, key=int)]
        except ValueError:
            raise RunError("config.json has label_names whose keys are no numbers.") from None
    return tuple(str(label) for label in labels) if labels else None


# --- the hub ----------------------------------------------------------------------------------------------------------


def _download(name: HubName) -> tuple[Path, Path]:
    """Return where config.json and the weights lie on this machine; downloaded unless they are there."""
    fetch = _fetcher()
    config = fetch(name, "config.json")
    if config is None:
        raise RunError(f"{name}: has no config.json, so that nothing says what its weights are.")
    weights = next((path for path in (fetch(name, file) for file in _WEIGHTS) if path is not None), None)
    if weights is None:
        raise RunError(f"{name}: has neither of {' and '.join(_WEIGHTS)}.")
    return config, weights


def _fetcher() -> Callable[[HubName, str], Path | None]:
    """Return what downloads one file of a repository; None for a file that is not there."""
    try:
        import huggingface_hub  # type: ignore[import-not-found]
        from huggingface_hub import errors  # type: ignore[import-not-found]
    except ImportError:
        raise RunError(
            "names on the hub need huggingface_hub, which is not installed: pip install 'reslab[hub]'. "
            "Or download the weights by hand, and give 'reslab convert' the file."
        ) from None

    def fetch(name: HubName, file: str) -> Path | None:
        try:
            return Path(huggingface_hub.hf_hub_download(name.repository, file, revision=name.revision))
        except errors.LocalEntryNotFoundError:
            raise RunError(
                f"{name}: cannot be downloaded and is not in the cache; is there a network? Or download "
                "the weights elsewhere, and give 'reslab convert' the file."
            ) from None
        except errors.EntryNotFoundError:
            return None
        except errors.RevisionNotFoundError:
            raise RunError(f"{name}: has no revision {name.revision!r}.") from None
        except errors.RepositoryNotFoundError:
            raise RunError(f"{name}: there is no such repository, or it is not open to you.") from None
        except Exception as error:  # whatever its HTTP library raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RunError(f"{name}: {file} cannot be downloaded: {reason}") from None

    return fetch
