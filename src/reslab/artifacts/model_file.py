"""The model file: weights and everything needed to use them, in one safetensors file without any pickle.

All that is not a tensor is one JSON document under the metadata key "reslab"; tensors have torchvision's names.
"""

import json
import math
import re
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol, cast

import safetensors
import safetensors.torch
import torch

from reslab.artifacts.documents import ReportedCounts
from reslab.artifacts.reader import checked, current
from reslab.artifacts.upgrade import FORMAT_VERSION
from reslab.errors import RunError, UsageError
from reslab.models import Network, build
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.system.files import write_atomically

_KEY = "reslab"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What a network needs besides its weights to be used, and where it came from.

    Attributes:
        preprocess: From a picture to the network's input.
        class_names: In the order of the network's outputs.
        recipe: The recipe that trained it, or the file that it was converted from.
        metrics: The run's result; None for a network that was not evaluated.
        temperature: What logits are divided by before the softmax, so that probabilities are calibrated (fitted on
            validation samples, `reslab.evaluation.fit_temperature`); None where none was fitted. It keeps their order.
    """

    preprocess: PreprocessSpec
    class_names: tuple[str, ...]
    recipe: str
    metrics: ReportedCounts | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"temperature is {self.temperature}; allowed: a positive number, which divides logits.")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A loaded model file.

    Attributes:
        model: The network, float32, in eval mode, on the CPU.
        card: What the file says besides the network and its weights.
    """

    model: Network
    card: ModelCard

    @property
    def spec(self) -> ModelSpec:
        """The network's specification."""
        return self.model.spec


@dataclass(frozen=True, kw_only=True, slots=True)
class _ModelDocument(ModelCard):
    """What a model file says besides its tensors: the card, and the network."""

    model: ModelSpec

    @property
    def card(self) -> ModelCard:
        return ModelCard(**{item.name: getattr(self, item.name) for item in fields(ModelCard)})


def model_bytes(model: Network, card: ModelCard) -> bytes:
    """Make the content of a model file; the same weights and card give the same bytes.

    Args:
        model: The network.
        card: What the file says besides the network and its weights.
    """
    document = {
        "format_version": FORMAT_VERSION,
        "model": asdict(model.spec),
        "preprocess": asdict(card.preprocess),
        "class_names": list(card.class_names),
        "recipe": card.recipe,
        "metrics": None if card.metrics is None else asdict(card.metrics),
        "temperature": card.temperature,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    # a recipe named by a file may hold bytes that are not text, which JSON cannot hold: spell them out
    text = re.sub("[\ud800-\udfff]", lambda byte: f"\\\\u{ord(byte[0]):04x}", text)
    # one key only: safetensors does not keep the order of several
    return safetensors.torch.save(tensors, {_KEY: text})


def save_model(path: Path, model: Network, card: ModelCard) -> None:
    """Write a complete model file, atomically.

    Args:
        path: The file.
        model: The network.
        card: What the file says besides the network and its weights.

    Raises:
        RunError: The file cannot be written.
    """
    write_atomically(path, model_bytes(model, card))


def load_model(path: Path) -> ModelFile:
    """Read a model file written by `save_model`.

    Raises:
        RunError: It is not a model file, or is damaged; the message names the file and the reason.
    """
    document, tensors = _read(path)
    return _rebuild(path, document, tensors)


def is_model_file(path: Path) -> bool:
    """Return whether a file was written by `save_model`, as far as its beginning tells."""
    try:
        with _open(path) as file:
            return _KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def load_card(path: Path) -> ModelCard:
    """Read a model file's card, without its weights.

    Raises:
        RunError: It is not a model file, or is damaged; the message names the file and the reason.
    """
    return _read(path, with_tensors=False)[0].card


class _TensorFile(Protocol):
    """An open safetensors file, whose library has no types."""

    def metadata(self) -> dict[str, str] | None: ...
    def keys(self) -> list[str]: ...
    def get_tensor(self, name: str, /) -> torch.Tensor: ...


def _open(path: Path) -> AbstractContextManager[_TensorFile]:
    return cast("AbstractContextManager[_TensorFile]", safetensors.safe_open(path, framework="pt"))


def _read(path: Path, *, with_tensors: bool = True) -> tuple[_ModelDocument, dict[str, torch.Tensor]]:
    try:
        with _open(path) as file:
            metadata = file.metadata() or {}
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path}: cannot be read as a model file; perhaps it is damaged ({error}).") from None
    if _KEY not in metadata:
        raise RunError(
            f"{path}: holds tensors, but does not describe the network that they belong to; "
            "reslab reads model files that reslab wrote."
        )
    where = f"{path}: damaged or not a model file of this reslab"
    try:
        values = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where}: its metadata cannot be read: {error}.") from None
    return checked(current(values, "model", where), _ModelDocument, where), tensors


def _rebuild(path: Path, document: _ModelDocument, tensors: dict[str, torch.Tensor]) -> ModelFile:
    card, spec = document.card, document.model
    where = f"{path}: damaged or not a model file of this reslab"
    for what, said, built in (
        ("class names", len(card.class_names), spec.num_classes),
        ("input channels", card.preprocess.channels, spec.in_channels),
    ):
        if said != built:
            raise RunError(f"{where}: it has {said} {what}, and a network of {built}.")
    try:
        with torch.device("meta"):  # no random numbers drawn, no memory filled twice
            model = build(spec)
        float32 = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        model.load_state_dict(float32, strict=True, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{where}: {str(error).removesuffix('.')}.") from None
    return ModelFile(model.eval(), card)
