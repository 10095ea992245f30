"""Batch normalization, also over groups smaller than the batch, as several GPUs would do it."""

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
    """Batch norm whose training statistics come from groups of `bn_group_size` samples ("ghost batches").

    The paper trains CIFAR nets with batch 128 on two GPUs, so its statistics are over 64 samples (Sec. 4.2). One
    process with groups of 64 equals two processes with 64 samples each: the running statistics take the mean of the
    groups' updates. Without a group size, and in eval mode, it is `nn.BatchNorm2d`; keys and shapes are the same.
    """

    bn_group_size: int | None = None
    use_kernel: bool = False  # take `reslab.models.kernels.fused_norm` in training, where it can be taken
    is_frozen: bool = False  # normalise by the running statistics in training too, and leave them as they are

    def train(self, mode: bool = True) -> Self:
        """Enter training or eval mode; a frozen batch norm stays in eval mode."""
        return super().train(mode and not self.is_frozen)

    def forward(self, input: Tensor) -> Tensor:
        if _takes_kernel(self, input):
            return fused_norm(input, self, None, relu=False)
        size = self.bn_group_size
        if size is None or not self.training or len(input) <= size:
            return super().forward(input)
        outputs, means, variances = [], [], []
        for group in input.split(size):
            mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)  # type: ignore[arg-type]
            # momentum 1 writes this group's own (unbiased) statistics into the scratch buffers
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
    """Return relu(norm(x) + addend), the end of every layer; without an addend, relu(norm(x)).

    [batch, channels, h, w], both alike. One operation where a kernel was chosen (`use_fused_norm`), else three.
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


def use_fused_norm(model: nn.Module, choice: bool = True) -> None:
    """Let every batch norm of `model` train with the kernel, or (False) with torch's operations."""
    for module in model.modules():
        if isinstance(module, GroupedBatchNorm2d):
            module.use_kernel = choice


@contextmanager
def without_fused_norm(model: nn.Module) -> Iterator[None]:
    """Let torch's operations run inside the block, for hooks that must see each norm's output."""
    norms = [norm for norm in model.modules() if isinstance(norm, GroupedBatchNorm2d) and norm.use_kernel]
    for norm in norms:
        norm.use_kernel = False
    try:
        yield
    finally:
        for norm in norms:
            norm.use_kernel = True


def make_norm(spec: ModelSpec, channels: int) -> nn.Module:
    """Return batch norm, or nothing at all for `norm="none"`."""
    return GroupedBatchNorm2d(channels) if spec.norm == "batch" else nn.Identity()


def set_bn_group_size(model: nn.Module, size: int | None) -> None:
    """Let every batch norm of `model` take its training statistics over groups of `size` samples."""
    for module in model.modules():
        if isinstance(module, GroupedBatchNorm2d):
            module.bn_group_size = size


def freeze_batch_norm(module: nn.Module) -> None:
    """Let every batch norm in `module` normalise by its running statistics, and keep them, in training too."""
    for norm in module.modules():
        if isinstance(norm, GroupedBatchNorm2d):
            norm.is_frozen = True
            norm.eval()


@torch.no_grad()
def reestimate_running_statistics(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Give every batch norm that is not frozen the plain average of the statistics of `batches`, one weight for each.

    Running statistics otherwise lag behind the weights, and those of averaged weights are of other weights.
    batches: images [n, channels, h, w], as in training; forward: how they go through the network; `model` by default.
    """
    model.train()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None]
    sums = [torch.zeros_like(buffer, dtype=torch.float64) for buffer in buffers]
    momenta = [norm.momentum for norm in norms]
    count = 0
    try:
        for norm in norms:
            norm.momentum = 1.0  # the running statistics are then those of the last batch alone
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
    """Run batch norms in training mode without updating their running statistics.

    Activation checkpointing runs a block's forward pass twice; without this its statistics would move twice.
    """
    # Copies take the updates. Without any buffers, autograd would save other tensors than in the first pass.
    # `_BatchNorm`: synchronised batch norm is no `nn.BatchNorm2d`.
    originals = [(norm, dict(norm._buffers)) for norm in module.modules() if isinstance(norm, _BatchNorm)]
    for norm, buffers in originals:
        norm._buffers.update({name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in originals:
            norm._buffers.update(buffers)
