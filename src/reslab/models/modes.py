"""Training and eval mode inside a block of code."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def restored_modes(model: nn.Module) -> Iterator[None]:
    """Restore every module's mode after a `with` block; modes may differ where part of a network is frozen.

    Args:
        model: The network.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Compute in eval mode and without autocast inside a `with` block, then restore every module's mode.

    Args:
        model: The network.
    """
    device = next(model.parameters()).device.type
    with restored_modes(model), torch.autocast(device, enabled=False):
        model.eval()
        yield
