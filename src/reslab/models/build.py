"""Networks built from a spec or a name."""

from typing import Any

from reslab.errors import UsageError
from reslab.spec import ModelSpec
from reslab.spec.families import model_spec

from .normalization import set_bn_group_size
from .resnet import ResNet
from .vgg import VGG

Network = ResNet | VGG


def build(spec: ModelSpec, *, bn_group_size: int | None = None, checkpoint_activations: bool = False) -> Network:
    """Build the network that a spec describes, He-initialised from torch's default generator.

    Args:
        spec: The network.
        bn_group_size: Samples over which batch norm takes its statistics in training; None: the whole batch.
        checkpoint_activations: Recompute activations block by block in the backward pass, to save memory.

    Returns:
        The network, in training mode.

    Raises:
        UsageError: `checkpoint_activations` is set for a VGG network, which has no blocks.
    """
    if spec.family == "vgg":
        if checkpoint_activations:
            raise UsageError("checkpoint_activations is True, but VGG has no blocks to recompute; use False.")
        return VGG(spec)
    model = ResNet(spec, checkpoint_activations=checkpoint_activations)
    set_bn_group_size(model, bn_group_size)
    return model


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    bn_group_size: int | None = None,
    checkpoint_activations: bool = False,
    **options: Any,
) -> Network:
    """Build a network by name, for example `create_model("resnet50", num_classes=10)`.

    Args:
        name: A name that `reslab.spec.model_spec` knows.
        num_classes: Outputs of the last layer; by default the family's own.
        bn_group_size: Samples over which batch norm takes its statistics in training; None: the whole batch.
        checkpoint_activations: Recompute activations block by block in the backward pass, to save memory.
        **options: `in_channels`, `shortcut`, `zero_pad`, `norm`, `zero_init_residual` and `stem`, as in
            `reslab.spec.model_spec`.

    Returns:
        The network, in training mode.

    Raises:
        UsageError: A name, value or option is not known; the error names the nearest valid choice.
    """
    try:
        spec = model_spec(name, num_classes=num_classes, **options)
    except TypeError as error:
        raise UsageError(
            f"create_model({name!r}): {error}; "
            "options: in_channels, shortcut, zero_pad, norm, zero_init_residual, stem."
        ) from None
    return build(spec, bn_group_size=bn_group_size, checkpoint_activations=checkpoint_activations)
