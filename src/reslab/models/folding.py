"""Batch norm folded into the convolution before it, for inference."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .build import Network


def fold_batch_norm(model: Network) -> Network:
    """Copy a network for inference, with every batch norm folded into its convolution's weights and bias.

    Running statistics are constants in eval mode, so W' = W * scale and b' = shift give the same logits up to rounding.

    Args:
        model: The network; not changed.

    Returns:
        The copy, in eval mode; it cannot be trained.
    """
    folded = copy.deepcopy(model).eval()
    for module in list(folded.modules()):
        children = dict(module.named_children())
        for name, child in children.items():
            norm_name = _norm_after(name, module)
            norm = children.get(norm_name)
            if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(child, norm))
                setattr(module, norm_name, nn.Identity())
    return folded


def _norm_after(name: str, parent: nn.Module) -> str:
    """Map conv1 to bn1 in stems and blocks, and 0 to 1 in a projection."""
    return str(int(name) + 1) if isinstance(parent, nn.Sequential) else name.replace("conv", "bn")
