"""Batch norm, addition and ReLU fused into one operation on CPUs.

torch runs them as three operations, each of which reads and writes the whole activation. The fused forward pass reads
it twice and writes it once, and the backward pass needs no separate passes for the ReLU and the addition.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from reslab.errors import RunError

from .compiler import load_library

_NAMES = {torch.bfloat16: "bf16", torch.float32: "f32"}
_POINTER, _LONG, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_long, ctypes.c_int, ctypes.c_double


@cache
def _library() -> ctypes.CDLL | str:
    """Load the library, or return why it cannot be loaded."""
    try:
        library = load_library(Path(__file__).with_name("norm.cpp"))
    except RunError as problem:
        return str(problem)
    for name in _NAMES.values():
        forward, backward = getattr(library, f"forward_{name}"), getattr(library, f"backward_{name}")
        forward.argtypes = [*[_POINTER] * 3, _LONG, _LONG, *[_POINTER] * 5, _DOUBLE, _DOUBLE, _INT]
        backward.argtypes = [*[_POINTER] * 5, _LONG, _LONG, *[_POINTER] * 4, _INT, _INT]
        forward.restype = backward.restype = None
    return library


def fused_norm_problem() -> str | None:
    """Return why `fused_norm` cannot run on this machine; None if it can."""
    library = _library()
    return library if isinstance(library, str) else None


def fits(x: Tensor) -> bool:
    """Check whether `fused_norm` accepts a tensor.

    Args:
        x: [batch, channels, height, width].

    Returns:
        True for a channels-last CPU tensor in bfloat16 or float32 with more than one pixel in the batch.
    """
    return (
        x.device.type == "cpu"
        and x.dtype in _NAMES
        and x.numel() > x.shape[1]
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def fused_norm(x: Tensor, norm: torch.nn.BatchNorm2d, addend: Tensor | None, *, relu: bool) -> Tensor:
    """Compute norm(x), plus the addend, then the ReLU, in training mode.

    The running statistics of `norm` are updated as in `torch.nn.BatchNorm2d`.

    Args:
        x: [batch, channels, height, width] such that `fits(x)`.
        norm: The batch norm, in training mode.
        addend: A tensor of the shape of `x`, or None.
        relu: Whether a ReLU follows.

    Returns:
        A tensor of the shape, layout and type of `x`.
    """
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    if addend is not None:
        addend = addend.to(x.dtype).contiguous(memory_format=torch.channels_last)
    statistics = norm.running_mean, norm.running_var, norm.momentum, norm.eps
    return _FusedNorm.apply(x, norm.weight, norm.bias, addend, relu, *statistics)  # type: ignore[return-value]


def _call(name: str, dtype: torch.dtype, *arguments: Tensor | float | None) -> None:
    library = _library()
    getattr(library, f"{name}_{_NAMES[dtype]}")(*(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))


class _FusedNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        addend: Tensor | None,
        relu: bool,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        channels = x.shape[1]
        y, statistics = torch.empty_like(x), torch.empty(4, channels)
        _call(
            "forward", x.dtype, x, addend, y, x.numel() // channels, channels, weight, bias, statistics,
            running_mean, running_var, momentum, eps, relu,
        )  # fmt: skip
        ctx.adds, ctx.relu = addend is not None, relu
        # the output is needed for the ReLU's mask only after an addition
        ctx.save_for_backward(x, weight, statistics, y if ctx.adds and relu else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, statistics, y = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        channels = x.shape[1]
        dx, d_weight, d_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        d_addend = None
        if ctx.adds:
            d_addend = torch.empty_like(x) if ctx.relu else dy
        _call(
            "backward", x.dtype, dy, y, x, dx, d_addend if ctx.relu else None, x.numel() // channels, channels,
            weight, statistics, d_weight, d_bias, ctx.adds, ctx.relu,
        )  # fmt: skip
        return dx, d_weight, d_bias, d_addend, None, None, None, None, None
