"""Batch normalization over the batch or over groups of it, as several GPUs would do it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reslab.models.kernels import fused_norm
from reslab.models.kernels.fused_norm import fits
from reslab.spec import ModelSpec


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose training statistics come from groups of samples ("ghost batches").

    The paper trains CIFAR networks with batch 128 on two GPUs, so its statistics are over 64 samples (Sec. 4.2). One
    process with groups of 64 equals two processes with 64 samples each: running statistics take the mean of the
    groups' updates. Without a group size, and in eval mode, it is `nn.BatchNorm2d`. Keys and shapes are the same.

    Attributes:
        bn_group_size: Samples of a group; None: the whole batch.
        use_kernel: Whether training uses `reslab.models.kernels.fused_norm` where it can.
        is_frozen: Whether training also normalises by the running statistics and leaves them unchanged.
    """

    bn_group_size: int | None = None
    use_kernel: bool = False
    is_frozen: bool = False

    def train(self, mode: bool = True) -> Self:
        """Enter training or eval mode; a frozen batch norm stays in eval mode."""
        return super().train(mode and not self.is_frozen)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [batch, channels, h, w]; in training, also update the running statistics."""
        if _takes_kernel(self, input):
            return fused_norm(input, self, None, relu=False)
        size = self.bn_group_size
        if size is None or not self.training or len(input) <= size:
            return super().forward(input)
        outputs, means, variances = [], [], []
        for group in input.split(size):
            mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)  # type: ignore[arg-type]
            # momentum 1 writes this group's (unbiased) statistics into the scratch buffers
            outputs.append(F.batch_norm(group, mean, variance, self.weight, self.bias, True, 1.0, self.eps))
            means.append(mean)
            variances.append(variance)
        if self.track_running_stats:
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.momentum is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(torch.stack(means).mean(0), self.momentum)
            self.running_var.lerp_(torch.stack(variances).mean(0), self.momentum)
        return torch.cat(outputs)


def norm_relu(norm: nn.Module, x: Tensor, addend: Tensor | None = None) -> Tensor:
    """Compute relu(norm(x) + addend), the end of every layer.

    It is one operation after `use_fused_norm`, else up to three.

    Args:
        norm: Batch norm, or the identity.
        x: [batch, channels, h, w].
        addend: The shortcut, of the shape of `x`; None for a layer without an addition.

    Returns:
        [batch, channels, h, w].
    """
    if _takes_kernel(norm, x):
        return fused_norm(x, norm, addend, relu=True)  # type: ignore[arg-type]
    x = norm(x)
    return F.relu(x if addend is None else x + addend)


def _takes_kernel(norm: nn.Module, x: Tensor) -> bool:
    if not (isinstance(norm, GroupedBatchNorm2d) and norm.use_kernel and norm.training):
        return False
    has_groups = norm.bn_group_size is not None and len(x) > norm.bn_group_size
    return not has_groups and norm.track_running_stats and fits(x)


def use_fused_norm(model: nn.Module, enabled: bool = True) -> None:
    """Choose between the fused kernel and torch's operations for every batch norm in training.

    Args:
        model: The network; changed in place.
        enabled: Use the kernel where it can run; False: use torch's operations.
    """
    for module in model.modules():
        if isinstance(module, GroupedBatchNorm2d):
            module.use_kernel = enabled


@contextmanager
def without_fused_norm(model: nn.Module) -> Iterator[None]:
    """Use torch's operations inside a `with` block, so that hooks receive each norm's output.

    Args:
        model: The network.
    """
    norms = [norm for norm in model.modules() if isinstance(norm, GroupedBatchNorm2d) and norm.use_kernel]
    for norm in norms:
        norm.use_kernel = False
    try:
        yield
    finally:
        for norm in norms:
            norm.use_kernel = True


def make_norm(spec: ModelSpec, channels: int) -> nn.Module:
    """Build the batch norm after a convolution, or the identity for `norm="none"`.

    Args:
        spec: The network.
        channels: Channels of the convolution's output.

    Returns:
        The module.
    """
    return GroupedBatchNorm2d(channels) if spec.norm == "batch" else nn.Identity()


def set_bn_group_size(model: nn.Module, size: int | None) -> None:
    """Make every batch norm take its training statistics over groups of samples.

    Args:
        model: The network; changed in place.
        size: Samples of a group; None: the whole batch.
    """
    for module in model.modules():
        if isinstance(module, GroupedBatchNorm2d):
            module.bn_group_size = size


def freeze_batch_norm(module: nn.Module) -> None:
    """Make every batch norm normalise by its running statistics in training too, without updating them.

    Args:
        module: The network, or a part of it; changed in place.
    """
    for norm in module.modules():
        if isinstance(norm, GroupedBatchNorm2d):
            norm.is_frozen = True
            norm.eval()


@torch.no_grad()
def reestimate_running_statistics(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the running statistics by the plain average over some batches, as He's released models have them.

    Running statistics otherwise lag behind the weights, and those of averaged weights belong to other weights. Frozen
    batch norms keep theirs.

    Args:
        model: The network; left in training mode.
        batches: Training images, each [n, channels, h, w]; every batch has the same weight.
        forward: Function that runs the network; by default `model` itself.
    """
    model.train()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None]
    sums = [torch.zeros_like(buffer, dtype=torch.float64) for buffer in buffers]
    momenta = [norm.momentum for norm in norms]
    count = 0
    try:
        for norm in norms:
            norm.momentum = 1.0  # the running statistics then equal those of the last batch
        for images in batches:
            (forward or model)(images)
            for buffer, total in zip(buffers, sums, strict=True):
                total.add_(buffer)
            count += 1
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    for buffer, total in zip(buffers, sums, strict=True):
        buffer.copy_(total / count)


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their running statistics inside a `with` block, in training mode.

    Activation checkpointing runs a block's forward pass twice; without this its statistics would be updated twice.

    Args:
        module: The network, or a part of it.
    """
    # Copies receive the updates. Without any buffers, autograd would save other tensors than in the first pass.
    # `_BatchNorm`, because synchronised batch norm is not an `nn.BatchNorm2d`.
    originals = [(norm, dict(norm._buffers)) for norm in module.modules() if isinstance(norm, _BatchNorm)]
    for norm, buffers in originals:
        norm._buffers.update({name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in originals:
            norm._buffers.update(buffers)
