"""The cost of a network: parameters, multiply-adds and output sizes, counted without computing."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reslab.models.build import build
from reslab.models.hooks import recorded_outputs
from reslab.spec import ModelSpec

_NATIVE_SIZE = {"imagenet": 224, "cifar": 32, "vgg": 224}


@dataclass(frozen=True, slots=True)
class Layer:
    """One weighted layer.

    Attributes:
        name: The layer's name in the network.
        kind: For example "conv 3x3/2" or "fully connected".
        output: Size of its output: (channels, height, width), or (features,) of a fully connected layer.
        parameters: Parameters of the layer.
        multiply_adds: Multiply-adds for one image.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class Complexity:
    """The cost of a network and of one image's forward pass.

    Attributes:
        spec: The network.
        image_size: Side of the image in pixels.
        parameters: Parameters of the network.
        multiply_adds: Multiply-adds of convolutions and fully connected layers.
        num_projections: Shortcuts with a projection.
        layers: Convolutions and fully connected layers, in the order of the network's modules.
    """

    spec: ModelSpec
    image_size: int
    parameters: int
    multiply_adds: int
    num_projections: int
    layers: tuple[Layer, ...]

    @property
    def is_native_size(self) -> bool:
        """Whether the image has the family's own size, for which the paper gives its figures."""
        return self.image_size == _NATIVE_SIZE[self.spec.family]


def measure_complexity(spec: ModelSpec, image_size: int | None = None) -> Complexity:
    """Count parameters and multiply-adds of a network, as the paper's Table 1 does.

    Multiply-adds are those of convolutions and fully connected layers, where each weight is used once at every position
    of the output; they are half of what torch's FLOP counter gives. Pooling, batch norm and additions do not count.

    Args:
        spec: The network; it is built on the meta device, so nothing is computed.
        image_size: Side of the image in pixels; by default the family's own.

    Returns:
        The counts, in total and for each layer.
    """
    size = image_size or _NATIVE_SIZE[spec.family]
    with torch.device("meta"):
        model = build(spec).eval()
        image = torch.empty(1, spec.in_channels, size, size)
    _skip_norms(model)
    weighted = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    outputs: dict[str, tuple[int, ...]] = {}

    def record(name: str, _: Tensor, output: Tensor) -> None:
        outputs[name] = tuple(output.shape[1:])

    with torch.no_grad(), recorded_outputs(weighted, record):
        model(image)
    layers = tuple(
        Layer(name, _kind(module), outputs[name], _own_parameters(module), _multiply_adds(module, outputs[name]))
        for name, module in model.named_modules()
        if name in outputs
    )
    return Complexity(
        spec=spec,
        image_size=size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        num_projections=sum(name.endswith("downsample.0") for name in outputs),
        layers=layers,
    )


def _skip_norms(model: nn.Module) -> None:
    """Let batch norms return what they are given: nothing of them is counted, and meta takes milliseconds for each."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = _unchanged


def _unchanged(input: Tensor) -> Tensor:
    return input


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        stride = f"/{module.stride[0]}" if module.stride[0] > 1 else ""
        return f"conv {module.kernel_size[0]}x{module.kernel_size[1]}{stride}"
    return "fully connected"


def _multiply_adds(module: nn.Module, output: tuple[int, ...]) -> int:
    assert isinstance(module.weight, Tensor)
    return math.prod(output[1:]) * module.weight.numel()


def _own_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))
