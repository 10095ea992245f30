"""What goes through a network's layers: the spread of their responses (paper Fig. 7), signals forward and backward."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.models.build import Network
from reslab.models.hooks import recorded_outputs
from reslab.models.modes import restored_modes
from reslab.models.normalization import frozen_running_statistics, without_fused_norm
from reslab.models.vgg import VGG

_PIXELS_AT_ONCE = 2**20  # of images that go through a network together: 20 of 224x224, 1024 of 32x32


@dataclass(frozen=True, slots=True)
class Response:
    """One convolution's response: its name, and the standard deviation over images, positions and channels."""

    layer: str
    std: float


@dataclass(frozen=True, slots=True)
class Signal:
    """One convolution's signals in training mode: variance of its response; norm of its weight's gradient, relative.

    relative_gradient: norm of the gradient over the norm of the weight, so that layers of different size compare.
    """

    layer: str
    variance: float
    gradient_norm: float
    relative_gradient: float


def layer_responses(model: Network, images: Tensor) -> tuple[Response, ...]:
    """Return the response of every 3x3 layer: after batch norm, before ReLU and addition (paper Fig. 7), in eval mode.

    images: float32 [n, channels, h, w], normalised; they go through the network in parts of about a megapixel. Of a
    network without batch norm the response is the convolution's output.
    """
    sums: dict[str, list[float]] = {}

    def note(name: str, output: Tensor) -> None:
        values = output.double()
        total = sums.setdefault(name, [0, 0.0, 0.0])
        total[0] += values.numel()
        total[1] += values.sum().item()
        total[2] += values.square().sum().item()

    with torch.no_grad():
        for part in parts(images):
            _watch(model, part, note, training=False)
    return tuple(
        Response(name, max(squares / count - (total / count) ** 2, 0.0) ** 0.5)
        for name, (count, total, squares) in sums.items()
    )


def signals(model: Network, images: Tensor, labels: Tensor) -> tuple[Signal, ...]:
    """Return each 3x3 layer's forward variance and gradient norm for one batch in training mode; no weight moves.

    images: float32 [n, channels, h, w]; labels: int64 [n]. Running statistics and gradients are left as they were.
    """
    variances: dict[str, float] = {}
    layers = _layers(model)
    weights = [conv.weight for _, conv, _ in layers]
    fixed = [weight for weight in weights if not weight.requires_grad]

    def note(name: str, output: Tensor) -> None:
        variances[name] = output.detach().double().var(correction=0).item()

    try:
        for weight in fixed:
            weight.requires_grad_(True)
        with torch.enable_grad():
            logits = _watch(model, images, note, training=True)
            found = torch.autograd.grad(F.cross_entropy(logits, labels), weights)
    finally:
        for weight in fixed:
            weight.requires_grad_(False)
    gradients = [gradient.double().norm().item() for gradient in found]
    sizes = [weight.detach().double().norm().item() for weight in weights]
    return tuple(
        Signal(name, variances[name], gradient, gradient / size if size else float("nan"))
        for (name, _, _), gradient, size in zip(layers, gradients, sizes, strict=True)
    )


def num_activations(model: Network, image: Tensor) -> int:
    """Return how many numbers the convolutions put out for one image [1, channels, h, w]: what training keeps of it.

    With what batch norm and ReLU keep beside it, training takes about 12 bytes of memory for each.
    """
    total = 0

    def record(name: str, given: Tensor, output: Tensor) -> None:
        nonlocal total
        total += output.numel()

    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    with torch.no_grad(), in_mode(model, training=False), recorded_outputs(convolutions, record):
        model(image)
    return total


def parts(images: Tensor) -> tuple[Tensor, ...]:
    """Return images in parts of equal size, of about a megapixel and at least 8 images each where there are as many."""
    at_once = max(8, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
    return images.tensor_split(-(-len(images) // at_once)) if len(images) else ()


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Let a model compute in training or eval mode inside the block, by torch's operations, without autocast.

    Afterwards every module has its own mode again, and running statistics are what they were.
    """
    device = next(model.parameters()).device.type
    with (
        restored_modes(model),
        without_fused_norm(model),
        frozen_running_statistics(model),
        torch.autocast(device, enabled=False),
    ):
        model.train(training)
        yield


def _layers(model: Network) -> list[tuple[str, nn.Conv2d, nn.Module]]:
    """The 3x3 layers in order of depth: (name, convolution, the module whose output is the response)."""
    found: list[tuple[str, nn.Conv2d, nn.Module]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            norm = None if isinstance(model, VGG) else model.get_submodule(name.replace("conv", "bn"))
            found.append((name, module, module if norm is None or isinstance(norm, nn.Identity) else norm))
    return found


def _watch(model: Network, images: Tensor, note: Callable[[str, Tensor], None], *, training: bool) -> Tensor:
    """Run the model once, in the mode asked for, and hand each layer's response to `note`; return the logits."""

    responses = {name: response for name, _, response in _layers(model)}
    with recorded_outputs(responses, lambda name, given, output: note(name, output)), in_mode(model, training=training):
        return model(images)
