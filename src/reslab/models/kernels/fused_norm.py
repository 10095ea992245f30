"""Batch norm, addition and ReLU as one operation on CPUs: the element-wise half of a training step.

torch runs them as three operations, each of which reads and writes the whole activation; here the forward pass reads
it twice and writes once, and the backward pass needs no separate passes for the ReLU and the addition.
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
    """The library, or why there is none."""
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
    """Return why `fused_norm` cannot be used on this machine; None where it can."""
    library = _library()
    return library if isinstance(library, str) else None


def fits(x: Tensor) -> bool:
    """Return whether `fused_norm` takes `x`: a channels-last CPU tensor in bfloat16 or float32, more than one pixel."""
    return (
        x.device.type == "cpu"
        and x.dtype in _NAMES
        and x.numel() > x.shape[1]
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def fused_norm(x: Tensor, norm: torch.nn.BatchNorm2d, addend: Tensor | None, *, relu: bool) -> Tensor:
    """Return relu(norm(x) + addend), each part as asked for, with `norm` in training mode.

    x: [batch, channels, height, width] such that `fits(x)`; addend: the same shape, or None. The running statistics
    of `norm` move as `torch.nn.BatchNorm2d` moves them.
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
        y, kept = torch.empty_like(x), torch.empty(4, channels)
        _call(
            "forward", x.dtype, x, addend, y, x.numel() // channels, channels, weight, bias, kept,
            running_mean, running_var, momentum, eps, relu,
        )  # fmt: skip
        ctx.adds, ctx.relu = addend is not None, relu
        # the output is needed for the ReLU's mask only where an addend had a say in it
        ctx.save_for_backward(x, weight, kept, y if ctx.adds and relu else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, kept, y = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        channels = x.shape[1]
        dx, d_weight, d_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
        d_addend = None
        if ctx.adds:
            d_addend = torch.empty_like(x) if ctx.relu else dy
        _call(
            "backward", x.dtype, dy, y, x, dx, d_addend if ctx.relu else None, x.numel() // channels, channels,
            weight, kept, d_weight, d_bias, ctx.adds, ctx.relu,
        )  # fmt: skip
        return dx, d_weight, d_bias, d_addend, None, None, None, None, None
