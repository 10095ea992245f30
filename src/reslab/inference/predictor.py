"""`reslab.load`: a network as it was trained, or a predictor on the fastest engine for this machine."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.artifacts.model_file import ModelCard, ModelFile, load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.engines import inference as backends
from reslab.engines.hardware import pick_device
from reslab.engines.inference import MAKERS, Forward
from reslab.errors import RunError, UsageError, check_choice
from reslab.spec import ModelSpec

from .classifier import Classifier
from .loaded import LoadedModel

log = logging.getLogger(__name__)

_NUM_CHECKED = 64
_LEAST_AGREEMENT = 0.98  # "auto" does not pick an engine below this


@dataclass(frozen=True, kw_only=True)
class Predictor(Classifier):
    """A network on one engine: call it with normalised images for logits, or let it `predict` pictures of any kind.

    Attributes:
        engine: The engine's name.
        card: Preprocessing, class names, recipe, metrics and temperature.
        spec: The network's specification.
        device: The device that inputs must be on.
        agreement: Share of the check images whose top-1 class is the same as in float32, from 0 to 1.
        checked_on: Which images those were, in words.
        batch_size: Images of the batches that the engine was made and measured for.
        rates: Images per second of each engine measured on this machine.
    """

    engine: str
    card: ModelCard
    spec: ModelSpec
    device: torch.device
    agreement: float
    checked_on: str
    batch_size: int
    rates: dict[str, float] = field(default_factory=dict)
    _forward: Forward = field(repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 logits [n, num_classes] for normalised float32 images [n, channels, height, width]."""
        return self._forward(images)

    def logits_of(self, images: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: Normalised images, float32 [n, channels, height, width], as `prepare` returns them.

        Returns:
            float32 [n, num_classes], on the CPU.
        """
        return self._forward(images).cpu()

    def __str__(self) -> str:
        rate = f", {self.rates[self.engine]:.0f} images/s in batches of {self.batch_size}" if self.rates else ""
        return f"{self.engine}{rate}; top-1 agreement with fp32 {100 * self.agreement:.1f} % on {self.checked_on}"


@overload
def load(path: str | Path, *, device: torch.device | str | None = None) -> LoadedModel: ...
@overload
def load(
    path: str | Path,
    *,
    engine: str,
    images: Tensor | None = None,
    batch_size: int = 16,
    device: torch.device | str | None = None,
) -> Predictor: ...
def load(
    path: str | Path,
    *,
    engine: str | None = None,
    images: Tensor | None = None,
    batch_size: int = 16,
    device: torch.device | str | None = None,
) -> LoadedModel | Predictor:
    """Load a model file: as a module in float32 and eval mode, or as a Predictor on an engine.

    Both predict pictures (see `Classifier`) and, called with normalised images, return logits.

    Args:
        path: A model file, or the folder of a finished run.
        engine: None for the module; "auto" for the fastest engine of this machine (measured once, then cached); or
            one of torch-fp32, torch-bf16, torch-compiled, onnxruntime and openvino. An engine that is named and
            disagrees with float32 causes a warning; see `Predictor.agreement`.
        images: Normalised images, float32 [n, channels, height, width], on which the engine's top-1 classes are
            compared with float32's; smooth noise by default.
        batch_size: How many images come at a time; the fastest engine depends on it.
        device: "cpu", "auto", "cuda" or one GPU such as "cuda:1"; None for the device of `images`, or the CPU.

    Returns:
        A LoadedModel without `engine`, else a Predictor.

    Raises:
        RunError: The file is not a model file, the run has none, this machine lacks the device, or the engine cannot be
            used.
        UsageError: The engine or device is unknown, `images` have the wrong shape, or `batch_size` is below 1.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; allowed: 1 or more.")
    if device is not None:
        device = pick_device(device)
    path = Path(path)
    file = load_model(RunFolder.open(path).finished_model() if path.is_dir() else path)
    if engine is None:
        return LoadedModel(file.model, file.card).eval().to(device)
    if engine != "auto":
        check_choice("engine", engine, ["auto", *MAKERS])
    if images is not None:
        _check_images(images, file)
    checks = (smooth_noise(file) if images is None else images).to(device)
    checked_on = f"{len(checks)} images ({'smooth noise' if images is None else 'the images given'})"
    if engine == "auto":
        return _fastest_predictor(file, checks, checked_on, batch_size)
    predictor = _make_predictor(file, engine, checks, checked_on, batch_size)
    if predictor.agreement < _LEAST_AGREEMENT:
        log.warning("engine %r disagrees with fp32 on %.1f %% of %s.", engine, _disagreement(predictor), checked_on)
    return predictor


def _check_images(images: Tensor, file: ModelFile) -> None:
    channels = file.card.preprocess.channels
    if images.dim() != 4 or len(images) == 0 or images.shape[1] != channels:
        raise UsageError(
            f"images has shape {list(images.shape)}; allowed: normalised images [n, {channels}, h, w], one or more."
        )


def smooth_noise(file: ModelFile, count: int = _NUM_CHECKED) -> Tensor:
    """Make images without fine detail, always the same ones, to compare engines on.

    Args:
        file: The model file, which says how large images are and how they are normalised.
        count: How many.

    Returns:
        Normalised float32 images [count, channels, height, width], on the CPU.
    """
    spec = file.card.preprocess
    coarse = torch.randn(count, spec.channels, 4, 4, generator=torch.Generator().manual_seed(0))
    images = F.interpolate(coarse, size=(spec.height, spec.width), mode="bicubic")
    return images * 0.25 / torch.tensor(spec.std).view(1, -1, 1, 1)  # pixels in [0, 1] deviate by about 0.25


def _fastest_predictor(file: ModelFile, images: Tensor, checked_on: str, batch_size: int) -> Predictor:
    rates = backends.inference_rates(file.model.to(images.device), _example(images, batch_size))
    for engine in sorted(rates, key=lambda name: -rates[name]):
        try:
            predictor = _make_predictor(file, engine, images, checked_on, batch_size)
        except RunError as error:
            log.warning("engine %r worked on this machine when it was measured, but now fails: %s", engine, error)
            continue
        if predictor.agreement >= _LEAST_AGREEMENT:
            return replace(predictor, rates=rates)
        log.warning("engine %r disagrees with fp32 on %.1f %% of %s and is left out.",
                    engine, _disagreement(predictor), checked_on)  # fmt: skip
    raise RunError("no engine agrees with fp32 on this model; load it without an engine.")


def _make_predictor(file: ModelFile, engine: str, images: Tensor, checked_on: str, batch_size: int) -> Predictor:
    """Make a predictor, and compare its top-1 classes on `images` with fp32's."""
    model, example = file.model.to(images.device), _example(images, batch_size)
    expected = _top_classes(backends.make("torch-fp32", model, example), images, batch_size)
    forward = backends.make(engine, model, example)
    return Predictor(
        engine=engine,
        card=file.card,
        spec=file.spec,
        device=images.device,
        agreement=(_top_classes(forward, images, batch_size) == expected).double().mean().item(),
        checked_on=checked_on,
        batch_size=batch_size,
        _forward=forward,
    )


def _example(images: Tensor, batch_size: int) -> Tensor:
    return images[torch.arange(batch_size) % len(images)]


def _top_classes(forward: Forward, images: Tensor, batch_size: int) -> Tensor:
    return torch.cat([forward(chunk).argmax(1) for chunk in images.split(batch_size)])


def _disagreement(predictor: Predictor) -> float:
    return 100 * (1 - predictor.agreement)
