"""What goes through a network's layers: the spread of their responses (paper Fig. 7), signals forward and backward."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError

from .build import Network
from .normalization import without_fused_norm
from .resnet import ResNet


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


def _layers(model: Network) -> list[tuple[str, nn.Conv2d, nn.Module]]:
    """The 3x3 layers in order of depth: (name, convolution, the module whose output is the response)."""
    if not isinstance(model, ResNet):
        raise UsageError(f"{model.spec.label} has no residual functions to look at; take a plain or residual network.")
    found: list[tuple[str, nn.Conv2d, nn.Module]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            norm = model.get_submodule(name.replace("conv", "bn"))
            found.append((name, module, norm))
    return found


def layer_responses(model: Network, images: Tensor) -> tuple[Response, ...]:
    """Return the response of every 3x3 layer: after batch norm, before ReLU and addition (paper Fig. 7), in eval mode.

    images: float32 [n, channels, h, w], normalised. Raises UsageError for a network without such layers.
    """
    sums: dict[str, list[float]] = {}

    def note(name: str, output: Tensor) -> None:
        values = output.double()
        sums[name] = [values.numel(), values.sum().item(), values.square().sum().item()]

    with torch.no_grad():
        _watch(model, images, note, training=False)
    return tuple(
        Response(name, max(squares / count - (total / count) ** 2, 0.0) ** 0.5)
        for name, (count, total, squares) in sums.items()
    )


def signals(model: Network, images: Tensor, labels: Tensor) -> tuple[Signal, ...]:
    """Return each 3x3 layer's forward variance and gradient norm for one batch in training mode; no weight moves.

    images: float32 [n, channels, h, w]; labels: int64 [n]. Running statistics and gradients are left as they were.
    """
    variances: dict[str, float] = {}
    gradients: dict[str, float] = {}
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    layers = _layers(model)

    def note(name: str, output: Tensor) -> None:
        variances[name] = output.detach().double().var(correction=0).item()

    with torch.enable_grad():
        logits = _watch(model, images, note, training=True)
        weights = [conv.weight for _, conv, _ in layers]
        found = torch.autograd.grad(F.cross_entropy(logits, labels), weights)
    for (name, _, _), gradient in zip(layers, found, strict=True):
        gradients[name] = gradient.double().norm().item()
    for name, buffer in model.named_buffers():
        buffer.copy_(kept[name])
    return tuple(
        Signal(name, variances[name], gradients[name], gradients[name] / conv.weight.detach().double().norm().item())
        for name, conv, _ in layers
    )


def _watch(model: Network, images: Tensor, note: Callable[[str, Tensor], None], *, training: bool) -> Tensor:
    """Run the model once, in the mode asked for, and hand each layer's response to `note`; return the logits."""

    def hook_of(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: note(name, output)

    was_training = model.training
    handles = [
        (conv if isinstance(norm, nn.Identity) else norm).register_forward_hook(hook_of(name))
        for name, conv, norm in _layers(model)
    ]
    try:
        with without_fused_norm(model):
            return model.train(training)(images)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
