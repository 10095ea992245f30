"""Training and eval mode for the length of a block of code."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def restored_modes(model: nn.Module) -> Iterator[None]:
    """Give every module its own mode back after the block; they may differ where part of a network is frozen."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Let a model compute in eval mode and without autocast inside the block, then restore every module's mode."""
    device = next(model.parameters()).device.type
    with restored_modes(model), torch.autocast(device, enabled=False):
        model.eval()
        yield
