"""`reslab.load`: a network as it was trained, or a predictor on the fastest engine for this machine."""

import logging
from dataclasses import dataclass, field
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
from reslab.errors import RunError, UsageError, did_you_mean
from reslab.spec import ModelSpec

from .classifier import Classifier
from .loaded import LoadedResNet, LoadedVGG, with_card

log = logging.getLogger(__name__)

_NUM_CHECKED = 64
_LEAST_AGREEMENT = 0.98  # an engine below this is not picked by "auto"


@dataclass(frozen=True, kw_only=True)
class Predictor(Classifier):
    """A network on one engine: call it with normalised images, get logits; or `predict` pictures of any kind.

    engine: its name; agreement: the part of the check images on which its top-1 answer is fp32's; checked_on: what
    those were; rates: images per second of the engines measured here, for batches of `batch_size`; spec: which network
    it is; device: where the images have to be.
    """

    engine: str
    card: ModelCard
    spec: ModelSpec
    device: torch.device
    agreement: float
    checked_on: str
    batch_size: int
    rates: dict[str, float] = field(default_factory=dict)
    _run: Forward = field(repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        """float32 [n, channels, height, width], normalised as `card.preprocess` says -> float32 logits [n, classes]."""
        return self._run(images)

    def place(self) -> torch.device:
        """Return the device that the inputs have to be on."""
        return self.device

    def logits_of(self, images: Tensor) -> Tensor:
        """Return float32 logits [n, num_classes] on the CPU of what `prepare` returns."""
        return self._run(images).cpu()

    def __str__(self) -> str:
        rate = f", {self.rates[self.engine]:.0f} images/s in batches of {self.batch_size}" if self.rates else ""
        return f"{self.engine}{rate}; top-1 agreement with fp32 {100 * self.agreement:.1f} % on {self.checked_on}"


@overload
def load(path: str | Path, *, device: torch.device | str | None = None) -> LoadedResNet | LoadedVGG: ...
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
) -> LoadedResNet | LoadedVGG | Predictor:
    """Load a model file, or a run's: as a float32 module in eval mode, or, with an `engine`, as a Predictor.

    Both take normalised images and give logits when called, and have `card`, `spec`, `class_names`, `prepare`,
    `predict` and `predict_files` (see `Classifier`), which take files, bytes, PIL images, arrays and tensors.

    engine: "auto" for the fastest on this machine (measured once and kept), or one of torch-fp32, torch-bf16,
        torch-compiled, onnxruntime, openvino.
    images: normalised images, float32 [n, channels, height, width], to check the engine's answers against fp32's and
        to place it on their device; smooth noise by default.
    batch_size: how many images come at a time; the fastest engine depends on it.
    device: where to compute, as `reslab.engines.hardware.pick_device` takes it: "auto", "cpu", "cuda", "cuda:1"; None:
        where `images` are, or the CPU.

    Raises RunError for a file that is not a model file, for a run without one, for an engine that cannot be used, and
    for a device that this machine does not have; an engine asked for by name that answers otherwise is warned of
    (`Predictor.agreement` says how often it agrees). UsageError for a name that is not an engine's or a device's, for a
    batch of none, and for images of another shape.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; allowed: 1 or more.")
    if device is not None:
        device = pick_device(device)
    path = Path(path)
    loaded = load_model(RunFolder.open(path).finished_model() if path.is_dir() else path)
    if engine is None:
        return with_card(loaded).to(device)
    if engine != "auto" and engine not in MAKERS:
        raise UsageError(
            f"engine is {engine!r}; allowed: auto, {', '.join(MAKERS)}.{did_you_mean(engine, ['auto', *MAKERS])}"
        )
    checked_on = "the images given" if images is not None else "smooth noise"
    if images is not None:
        _check_images(images, loaded)
    checks = (smooth_noise(loaded) if images is None else images).to(device)
    return make_predictor(loaded, engine, checks, f"{len(checks)} images ({checked_on})", batch_size)


def _check_images(images: torch.Tensor, loaded: ModelFile) -> None:
    channels = loaded.card.preprocess.channels
    if images.dim() != 4 or len(images) == 0 or images.shape[1] != channels:
        raise UsageError(
            f"images has shape {list(images.shape)}; allowed: normalised images [n, {channels}, h, w], one or more."
        )


def smooth_noise(loaded: ModelFile, count: int = _NUM_CHECKED) -> Tensor:
    """Return normalised images without fine detail, float32 [count, channels, height, width], always the same."""
    spec = loaded.card.preprocess
    coarse = torch.randn(count, spec.channels, 4, 4, generator=torch.Generator().manual_seed(0))
    images = F.interpolate(coarse, size=(spec.height, spec.width), mode="bicubic")
    return images * 0.25 / torch.tensor(spec.std).view(1, -1, 1, 1)  # pixels in [0, 1] deviate by about 0.25


def make_predictor(loaded: ModelFile, engine: str, images: Tensor, checked_on: str, batch_size: int) -> Predictor:
    """Return a predictor whose answers on `images` were compared with fp32's."""
    model = loaded.model.to(images.device)
    example = images[torch.arange(batch_size) % len(images)]
    expected = _answers(backends.make("torch-fp32", model, example), images, batch_size)
    rates = backends.inference_rates(model, example) if engine == "auto" else {}
    order = sorted(rates, key=lambda name: -rates[name]) if engine == "auto" else [engine]
    for name in order:
        try:
            run = backends.make(name, model, example)
        except RunError as failure:
            if engine != "auto":
                raise
            log.warning("engine %r was measured here before, and is left out: %s", name, failure)
            continue
        agreement = (_answers(run, images, batch_size) == expected).double().mean().item()
        if agreement < _LEAST_AGREEMENT and engine != "auto":
            log.warning("engine %r answers otherwise than fp32 on %.1f %% of %s.",
                        name, 100 * (1 - agreement), checked_on)  # fmt: skip
        if agreement >= _LEAST_AGREEMENT or engine != "auto":
            return Predictor(
                engine=name,
                card=loaded.card,
                spec=loaded.spec,
                device=images.device,
                agreement=agreement,
                checked_on=checked_on,
                batch_size=batch_size,
                rates=rates,
                _run=run,
            )
        log.warning("engine %r answers otherwise than fp32 on %.1f %% of %s and is left out.",
                    name, 100 * (1 - agreement), checked_on)  # fmt: skip
    raise RunError("no engine answers as fp32 does; load the model without engine=.")


def _answers(run: Forward, images: Tensor, batch_size: int) -> Tensor:
    return torch.cat([run(chunk).argmax(1) for chunk in images.split(batch_size)])
