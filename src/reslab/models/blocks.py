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
    """Shortcut option A: the subsampled identity with zeros for the missing channels (paper Sec. 3.3).

    It has no parameters. [batch, in_channels, h, w] -> [batch, out_channels, ceil(h / stride), ceil(w / stride)].

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Step in pixels between the samples that are kept.
        split: Put half of the zero channels before the input's, instead of all after them.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, split: bool) -> None:
        super().__init__()
        missing = out_channels - in_channels
        self.stride = stride
        self.before = missing // 2 if split else 0
        self.after = missing - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in_channels, h, w] to [batch, out_channels, ceil(h / stride), ceil(w / stride)]."""
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


_ONEDNN_BLOCK = 16  # input channels that a kernel processes together: 8 with AVX2, 16 with AVX-512


class SubsampledConv1x1(nn.Conv2d):
    """A strided 1x1 convolution that subsamples its input first, then convolves without a stride.

    The numbers are the same. It avoids a bug in oneDNN (its issue 6035): in channels_last, with fewer input channels
    than a kernel processes together, the gradient of strided 1x1 weights is written outside its memory. That gives
    wrong gradients or ends the process.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map [batch, in_channels, h, w] to [batch, out_channels, ceil(h / stride), ceil(w / stride)]."""
        stride = self.stride[0]
        return F.conv2d(input[:, :, ::stride, ::stride], self.weight, self.bias)


def _pointwise(in_channels: int, out_channels: int, stride: int, *, bias: bool) -> nn.Conv2d:
    kind = SubsampledConv1x1 if stride > 1 and in_channels < _ONEDNN_BLOCK else nn.Conv2d
    return kind(in_channels, out_channels, 1, stride, bias=bias)


def make_shortcut(spec: ModelSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Build the module on a block's shortcut (paper Sec. 3.3).

    Args:
        spec: The network; its `shortcut` is option A, B, C or none.
        in_channels: Channels of the block's input.
        out_channels: Channels of the block's output.
        stride: Stride of the block.

    Returns:
        The padding or the projection W_s; None for the identity and for a plain block.
    """
    changes_dimensions = stride != 1 or in_channels != out_channels
    if spec.shortcut == "C" or (spec.shortcut == "B" and changes_dimensions):
        projection = _pointwise(in_channels, out_channels, stride, bias=spec.norm == "none")  # W_s
        return nn.Sequential(projection, make_norm(spec, out_channels))
    if spec.shortcut == "A" and changes_dimensions:
        return ZeroPad(in_channels, out_channels, stride, split=spec.zero_pad == "split")
    return None


class _Block(nn.Module):
    """The shortcut, which basic blocks and bottlenecks share."""

    downsample: nn.Module | None

    def __init__(self, spec: ModelSpec, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.is_plain = spec.is_plain

    def shortcut(self, x: Tensor) -> Tensor | None:
        """Return what is added to F(x): x, padded x (option A) or W_s x; None in a plain block."""
        if self.is_plain:
            return None
        return x if self.downsample is None else self.downsample(x)


class BasicBlock(_Block):
    """A block of two 3x3 layers, batch norm after each: F(x) = W_2 relu(W_1 x) (paper Fig. 5 left).

    Args:
        spec: The network that the block belongs to.
        in_channels: Channels of the input.
        width: Channels of both layers.
        stride: Stride of the first layer.
    """

    def __init__(self, spec: ModelSpec, in_channels: int, width: int, stride: int) -> None:
        super().__init__(spec, width)
        has_bias = spec.norm == "none"
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=has_bias)
        self.bn1 = make_norm(spec, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=has_bias)
        self.bn2 = make_norm(spec, width)
        self.downsample = make_shortcut(spec, in_channels, width, stride)  # last, as torchvision orders its keys

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, in_channels, h, w] to [batch, width, ceil(h / stride), ceil(w / stride)]."""
        f = norm_relu(self.bn1, self.conv1(x))
        return norm_relu(self.bn2, self.conv2(f), self.shortcut(x))


class Bottleneck(_Block):
    """A block of 1x1, 3x3 and 1x1 layers: F(x) = W_3 relu(W_2 relu(W_1 x)) (paper Fig. 5 right).

    The first 1x1 reduces to `width` channels, the last restores 4 x width.

    Args:
        spec: The network that the block belongs to; `stride_on` says which layer has the stride, the first 1x1 (the
            paper's networks) or the 3x3 (torchvision's).
        in_channels: Channels of the input.
        width: Channels of the 3x3 layer.
        stride: Stride of the block.
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
        """Map [batch, in_channels, h, w] to [batch, 4 x width, ceil(h / stride), ceil(w / stride)]."""
        f = norm_relu(self.bn1, self.conv1(x))
        f = norm_relu(self.bn2, self.conv2(f))
        return norm_relu(self.bn3, self.conv3(f), self.shortcut(x))


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def zero_init_last_scale(block: BasicBlock | Bottleneck) -> None:
    """Set a block's last batch-norm scale to zero, so that it starts as its shortcut (not in the paper).

    Args:
        block: A block with batch norm; changed in place.
    """
    last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
    torch.nn.init.zeros_(last.weight)  # type: ignore[arg-type]
