"""Residual blocks that look like their equation: y = relu(F(x) + shortcut(x)) (paper Eqs. 1 and 2, Figs. 2 and 5).

A plain block is the same code with `shortcut` switched off: y = relu(F(x)). `norm_relu(norm, x, addend)` is
relu(norm(x) + addend).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.spec import ModelSpec

from .normalization import make_norm, norm_relu


class ZeroPad(nn.Module):
    """Option A: the identity, subsampled by `stride`, with zeros for the channels it lacks; no parameters.

    [batch, in_channels, h, w] -> [batch, out_channels, ceil(h / stride), ceil(w / stride)]
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, split: bool) -> None:
        super().__init__()
        missing = out_channels - in_channels
        self.stride = stride
        self.before = missing // 2 if split else 0
        self.after = missing - self.before

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


_ONEDNN_BLOCK = 16  # input channels that a kernel takes together: 8 with AVX2, 16 with AVX-512


class SubsampledConv1x1(nn.Conv2d):
    """A 1x1 convolution with a stride that takes its pixels first, and is then one without.

    The same numbers, without the trap: in channels_last and with fewer input channels than oneDNN takes together, its
    kernel for the gradient of strided 1x1 weights writes outside its memory (oneDNN issue 6035), which gives wrong
    gradients or ends the process.
    """

    def forward(self, input: Tensor) -> Tensor:
        stride = self.stride[0]
        return F.conv2d(input[:, :, ::stride, ::stride], self.weight, self.bias)


def _pointwise(in_channels: int, out_channels: int, stride: int, *, bias: bool) -> nn.Conv2d:
    kind = SubsampledConv1x1 if stride > 1 and in_channels < _ONEDNN_BLOCK else nn.Conv2d
    return kind(in_channels, out_channels, 1, stride, bias=bias)


def make_shortcut(spec: ModelSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Return what stands between x and the addition; None for the identity itself and for a plain block."""
    changes_dimensions = stride != 1 or in_channels != out_channels
    if spec.shortcut == "C" or (spec.shortcut == "B" and changes_dimensions):
        projection = _pointwise(in_channels, out_channels, stride, bias=spec.norm == "none")  # W_s
        return nn.Sequential(projection, make_norm(spec, out_channels))
    if spec.shortcut == "A" and changes_dimensions:
        return ZeroPad(in_channels, out_channels, stride, split=spec.zero_pad == "split")
    return None


class _Block(nn.Module):
    """What basic blocks and bottlenecks share: the shortcut."""

    downsample: nn.Module | None

    def __init__(self, spec: ModelSpec, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.is_plain = spec.is_plain

    def shortcut(self, x: Tensor) -> Tensor | None:
        """What is added to F(x): x itself, padded x (option A) or W_s x; None in a plain block."""
        if self.is_plain:
            return None
        return x if self.downsample is None else self.downsample(x)


class BasicBlock(_Block):
    """F(x) = W_2 relu(W_1 x) with two 3x3 layers, batch norm after each (paper Fig. 5 left)."""

    def __init__(self, spec: ModelSpec, in_channels: int, width: int, stride: int) -> None:
        super().__init__(spec, width)
        has_bias = spec.norm == "none"
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=has_bias)
        self.bn1 = make_norm(spec, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=has_bias)
        self.bn2 = make_norm(spec, width)
        self.downsample = make_shortcut(spec, in_channels, width, stride)  # last, as torchvision orders its keys

    def forward(self, x: Tensor) -> Tensor:
        f = norm_relu(self.bn1, self.conv1(x))
        return norm_relu(self.bn2, self.conv2(f), self.shortcut(x))


class Bottleneck(_Block):
    """F(x) = W_3 relu(W_2 relu(W_1 x)): 1x1 reduces, 3x3, 1x1 restores four times the width (paper Fig. 5 right).

    The stride is on the first 1x1 (the paper's networks) or on the 3x3 (torchvision's): `spec.stride_on`.
    """

    def __init__(self, spec: ModelSpec, in_channels: int, width: int, stride: int) -> None:
        out_channels = width * spec.expansion
        super().__init__(spec, out_channels)
        has_bias = spec.norm == "none"
        stride_1x1, stride_3x3 = (stride, 1) if spec.stride_on == "1x1" else (1, stride)
        self.conv1 = _pointwise(in_channels, width, stride_1x1, bias=has_bias)
        self.bn1 = make_norm(spec, width)
        self.conv2 = nn.Conv2d(width, width, 3, stride_3x3, padding=1, bias=has_bias)
        self.bn2 = make_norm(spec, width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=has_bias)
        self.bn3 = make_norm(spec, out_channels)
        self.downsample = make_shortcut(spec, in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        f = norm_relu(self.bn1, self.conv1(x))
        f = norm_relu(self.bn2, self.conv2(f))
        return norm_relu(self.bn3, self.conv3(f), self.shortcut(x))


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def zero_init_last_scale(block: BasicBlock | Bottleneck) -> None:
    """Make F(x) = 0 at the start, so that a block begins as its shortcut (not in the paper)."""
    last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
    torch.nn.init.zeros_(last.weight)  # type: ignore[arg-type]
