"""The model file: weights and everything needed to use them, in one safetensors file without any pickle.

All that is not a tensor is one JSON document under the metadata key "reslab"; tensors have torchvision's names.
"""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError

from reslab.artifacts.upgrade import upgrade_model_file
from reslab.errors import RunError, UsageError
from reslab.models import Network, build
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.system.files import write_atomically

FORMAT_VERSION = 2
_KEY = "reslab"
_CARD_KEYS = ("preprocess", "class_names", "recipe", "metrics", "temperature")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What a network needs beside its weights to be used: inputs, class names; and where it came from.

    temperature: what logits are divided by before the softmax, so that probabilities mean what they say (fitted on
        validation samples, `reslab.evaluation.fit_temperature`); None where none was fitted; it keeps their order.
    """

    preprocess: PreprocessSpec
    class_names: tuple[str, ...]
    recipe: str
    metrics: dict[str, Any] = field(default_factory=dict)
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"temperature is {self.temperature}; it divides logits: a positive number, or none.")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A loaded model file. model: in eval mode, on the CPU, float32."""

    model: Network
    card: ModelCard

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec


def model_bytes(model: Network, card: ModelCard) -> bytes:
    """Return the content of a model file; the same weights and card give the same bytes."""
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "model": model.spec.to_dict(),
        "preprocess": card.preprocess.to_dict(),
        "class_names": list(card.class_names),
        "recipe": card.recipe,
        "metrics": card.metrics,
    }
    if card.temperature is not None:  # a file without one has the bytes it had before there were any
        document["temperature"] = card.temperature
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    # a recipe named by a file may hold bytes that are no text, for which JSON has no word: they are spelt out
    text = re.sub("[\ud800-\udfff]", lambda byte: f"\\\\u{ord(byte[0]):04x}", text)
    # one key only: safetensors does not keep the order of several
    return safetensors.torch.save(tensors, {_KEY: text})


def save_model(path: Path, model: Network, card: ModelCard) -> None:
    """Write a complete model file, atomically."""
    write_atomically(path, model_bytes(model, card))


def load_model(path: Path) -> ModelFile:
    """Read a model file written by `save_model`; RunError names the file and what is wrong with it."""
    document, tensors = _read(path)
    return _rebuild(path, document, tensors)


def is_model_file(path: Path) -> bool:
    """Return whether a file was written by `save_model`, as far as its beginning tells."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def load_card(path: Path) -> ModelCard:
    """Read only what a model file says beside its weights."""
    return _card(path, _read(path, with_tensors=False)[0])


def _read(path: Path, *, with_tensors: bool = True) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path}: cannot be read as a model file: {error}.") from None
    if _KEY not in metadata:
        raise RunError(
            f"{path}: holds tensors but says nothing of the network they belong to; "
            "reslab reads model files that reslab wrote."
        )
    document = _document(path, metadata[_KEY])
    version = document.get("format_version")
    if version not in (1, FORMAT_VERSION):
        raise RunError(f"{path}: has format version {version}; this reslab reads versions 1 and {FORMAT_VERSION}.")
    return upgrade_model_file(document) if version == 1 else document, tensors


def _document(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"what it says of the network cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise _damaged(path, "what it says of the network is no mapping")
    return document


def _damaged(path: Path, reason: object) -> RunError:
    return RunError(f"{path}: damaged or not a model file of this reslab: {str(reason).removesuffix('.')}.")


def _checked(path: Path, adapter: TypeAdapter[T], values: Any, part: str) -> T:
    """Return the spec or card that JSON values are of, strictly; RunError names the first that is wrong."""
    try:
        # as JSON, because there a list is a tuple and a dict a dataclass even in strict mode
        return adapter.validate_json(json.dumps(values), strict=True, extra="forbid")
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(name) for name in (*([part] if part else []), *problem["loc"]))
        message = problem.get("ctx", {}).get("error", problem["msg"])
        raise _damaged(path, f"{key}: {message}" if key else message) from None


def _card(path: Path, document: dict[str, Any]) -> ModelCard:
    return _checked(path, _CARD, {key: document[key] for key in _CARD_KEYS if key in document}, "")


def _rebuild(path: Path, document: dict[str, Any], tensors: dict[str, torch.Tensor]) -> ModelFile:
    card = _card(path, document)
    spec = _checked(path, _SPEC, document.get("model"), "model")
    for what, said, built in (
        ("class names", len(card.class_names), spec.num_classes),
        ("input channels", card.preprocess.channels, spec.in_channels),
    ):
        if said != built:
            raise _damaged(path, f"it has {said} {what}, and a network of {built}")
    try:
        with torch.device("meta"):  # no random numbers drawn, no memory filled twice
            model = build(spec)
        float32 = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        model.load_state_dict(float32, strict=True, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _damaged(path, error) from None
    return ModelFile(model.eval(), card)


_CARD, _SPEC = TypeAdapter(ModelCard), TypeAdapter(ModelSpec)
