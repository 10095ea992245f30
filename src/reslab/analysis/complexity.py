"""What a network costs: parameters, multiply-adds and output sizes, counted on the meta device without computing."""

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
    """One weighted layer. output: its size (channels, height, width), or (features,) for a fully connected one."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class Complexity:
    """The cost of one image's forward pass. layers: convolutions and fully connected layers in order of execution."""

    spec: ModelSpec
    image_size: int
    parameters: int
    multiply_adds: int
    num_projections: int
    layers: tuple[Layer, ...]

    @property
    def is_native_size(self) -> bool:
        """Whether the image has the size that the family is made for, which the paper's figures are for."""
        return self.image_size == _NATIVE_SIZE[self.spec.family]


def measure(spec: ModelSpec, image_size: int | None = None) -> Complexity:
    """Count parameters and multiply-adds for one image of `image_size` pixels (default: the family's own).

    Multiply-adds are those of convolutions and fully connected layers: each weight is used once at every position of
    the output. It is half of what torch's FLOP counter gives. Pooling, batch norm and additions are not counted, as in
    the paper's Table 1.
    """
    size = image_size or _NATIVE_SIZE[spec.family]
    with torch.device("meta"):
        model = build(spec).eval()
        image = torch.empty(1, spec.in_channels, size, size)
    weighted = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    outputs: dict[str, tuple[int, ...]] = {}

    def record(name: str, given: Tensor, output: Tensor) -> None:
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
