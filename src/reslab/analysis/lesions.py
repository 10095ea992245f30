"""Lesions: a trained network without one of its blocks (Veit, Wilber, Belongie 2016, Sec. 4.1)."""

import copy

from torch import nn

from reslab.errors import UsageError, check_choice
from reslab.models import Network, ResNet
from reslab.models.blocks import BasicBlock, Bottleneck


def removable_blocks(model: Network) -> tuple[str, ...]:
    """List the blocks that can be left out without a change of shape.

    These have as many channels, rows and columns at their output as at their input, and no padding or projection on
    their shortcut. The first blocks of later stages are not among them, in plain nets as in residual ones.

    Args:
        model: A plain or residual network.

    Returns:
        The blocks' names, such as "layer1.0", in order of depth.

    Raises:
        UsageError: The network has no blocks.
    """
    if not isinstance(model, ResNet):
        raise UsageError(f"{model.spec.label} has no blocks to remove; lesions are of plain and residual networks.")
    return tuple(
        f"{name}.{number}"
        for name, stage in model.stages().items()
        for number, block in enumerate(stage)
        if _keeps_shape(block)
    )


def without_block(model: Network, name: str) -> ResNet:
    """Copy a network with the identity in the place of one block; nothing is trained again.

    In a residual block that drops F(x): what is left, relu(x), equals x, because every block follows a ReLU. In a plain
    net it skips the block's layers. The copy's spec stays that of the whole network.

    Args:
        model: A plain or residual network; not changed.
        name: One of `removable_blocks(model)`.

    Returns:
        The copy, in the mode of `model`.

    Raises:
        UsageError: The network has no such block, or the block cannot be left out.
    """
    check_choice("block", name, removable_blocks(model))
    lesioned = copy.deepcopy(model)
    assert isinstance(lesioned, ResNet)
    stage, number = name.split(".")
    lesioned.stages()[stage][int(number)] = nn.Identity()
    return lesioned


def _keeps_shape(block: nn.Module) -> bool:
    if not isinstance(block, BasicBlock | Bottleneck) or block.downsample is not None:
        return False
    strides = {module.stride for module in block.modules() if isinstance(module, nn.Conv2d)}
    return strides == {(1, 1)} and block.conv1.in_channels == block.out_channels
