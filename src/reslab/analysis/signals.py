"""Signals in a network's layers: responses (paper Fig. 7), forward variances and gradient norms."""

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
    """The response of one 3x3 layer (paper Fig. 7).

    Attributes:
        layer: The convolution's name.
        std: Standard deviation over images, positions and channels.
    """

    layer: str
    std: float


@dataclass(frozen=True, slots=True)
class Signal:
    """The signals of one 3x3 layer in training mode.

    Attributes:
        layer: The convolution's name.
        variance: Variance of the response over images, positions and channels.
        gradient_norm: Norm of the weight's gradient.
        relative_gradient: Norm of the gradient divided by the norm of the weight, to compare layers of different sizes.
    """

    layer: str
    variance: float
    gradient_norm: float
    relative_gradient: float


def layer_responses(model: Network, images: Tensor) -> tuple[Response, ...]:
    """Measure every 3x3 layer's response in eval mode: after batch norm, before ReLU and addition (paper Fig. 7).

    Without batch norm the response is the convolution's output.

    Args:
        model: The network.
        images: float32 [n, channels, h, w], normalised; processed in parts of about a megapixel.

    Returns:
        The responses, in order of depth.
    """
    sums: dict[str, list[float]] = {}

    def record(name: str, output: Tensor) -> None:
        values = output.double()
        total = sums.setdefault(name, [0, 0.0, 0.0])
        total[0] += values.numel()
        total[1] += values.sum().item()
        total[2] += values.square().sum().item()

    with torch.no_grad():
        for part in parts(images):
            _run(model, part, record, training=False)
    return tuple(
        Response(name, max(squares / count - (total / count) ** 2, 0.0) ** 0.5)
        for name, (count, total, squares) in sums.items()
    )


def layer_signals(model: Network, images: Tensor, labels: Tensor) -> tuple[Signal, ...]:
    """Measure every 3x3 layer's forward variance and gradient norm for one batch in training mode (paper Sec. 4.1).

    Weights, running statistics and gradients do not change.

    Args:
        model: The network.
        images: float32 [n, channels, h, w], normalised.
        labels: int64 [n].

    Returns:
        The signals, in order of depth.
    """
    variances: dict[str, float] = {}
    layers = _layers(model)
    weights = [conv.weight for _, conv, _ in layers]
    frozen = [weight for weight in weights if not weight.requires_grad]

    def record(name: str, output: Tensor) -> None:
        variances[name] = output.detach().double().var(correction=0).item()

    try:
        for weight in frozen:
            weight.requires_grad_(True)
        with torch.enable_grad():
            logits = _run(model, images, record, training=True)
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels), weights)
    finally:
        for weight in frozen:
            weight.requires_grad_(False)
    gradient_norms = [gradient.double().norm().item() for gradient in gradients]
    weight_norms = [weight.detach().double().norm().item() for weight in weights]
    return tuple(
        Signal(name, variances[name], gradient, gradient / weight if weight else float("nan"))
        for (name, _, _), gradient, weight in zip(layers, gradient_norms, weight_norms, strict=True)
    )


def num_activations(model: Network, image: Tensor) -> int:
    """Count the numbers that the convolutions output for one image.

    Training keeps these, and with batch norm and ReLU needs about 12 bytes of memory for each.

    Args:
        model: The network.
        image: [1, channels, h, w].

    Returns:
        The count.
    """
    total = 0

    def record(name: str, _: Tensor, output: Tensor) -> None:
        nonlocal total
        total += output.numel()

    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    with torch.no_grad(), in_mode(model, training=False), recorded_outputs(convolutions, record):
        model(image)
    return total


def parts(images: Tensor) -> tuple[Tensor, ...]:
    """Divide images into equal parts of about a megapixel, and at least 8 images if there are so many.

    Args:
        images: [n, channels, h, w].

    Returns:
        The parts.
    """
    at_once = max(8, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
    return images.tensor_split(-(-len(images) // at_once)) if len(images) else ()


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Set training or eval mode inside a `with` block, with torch's operations and without autocast.

    Afterwards every module has its former mode and its former running statistics.

    Args:
        model: The network.
        training: Training mode; False: eval mode.
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
    """List the 3x3 layers in order of depth: (name, convolution, module whose output is the response)."""
    layers: list[tuple[str, nn.Conv2d, nn.Module]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            norm = None if isinstance(model, VGG) else model.get_submodule(name.replace("conv", "bn"))
            layers.append((name, module, module if norm is None or isinstance(norm, nn.Identity) else norm))
    return layers


def _run(model: Network, images: Tensor, record: Callable[[str, Tensor], None], *, training: bool) -> Tensor:
    """Run the network, pass each layer's response to `record`, and return the logits."""
    responses = {name: response for name, _, response in _layers(model)}
    with recorded_outputs(responses, lambda name, _, output: record(name, output)), in_mode(model, training=training):
        return model(images)
