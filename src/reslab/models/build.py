"""From a spec, or a name, to a network."""

from typing import Any

from reslab.errors import UsageError
from reslab.spec import ModelSpec
from reslab.spec.families import model_spec

from .normalization import set_bn_group_size
from .resnet import ResNet
from .vgg import VGG

Network = ResNet | VGG


def build(spec: ModelSpec, *, bn_group_size: int | None = None, checkpoint_activations: bool = False) -> Network:
    """Return the network that `spec` describes, He-initialised from torch's default generator.

    bn_group_size: take batch-norm statistics in training over groups of this many samples; None: the whole batch.
    checkpoint_activations: recompute activations block by block in the backward pass, to save memory.
    """
    if spec.family == "vgg":
        if checkpoint_activations:
            raise UsageError("checkpoint_activations=True works block by block, and VGG has no blocks; leave it out.")
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
    """Return a network by name, for example `create_model("resnet50", num_classes=10)`.

    The names and `options` (in_channels, shortcut, zero_pad, norm, zero_init_residual, stem) are those of
    `reslab.spec.families.model_spec`; the two keywords above are those of `build`.

    Raises UsageError (a ValueError) that names the value, what is allowed and the nearest valid choice.
    """
    try:
        spec = model_spec(name, num_classes=num_classes, **options)
    except TypeError as error:
        raise UsageError(
            f"create_model({name!r}): {error}; "
            "options: in_channels, shortcut, zero_pad, norm, zero_init_residual, stem."
        ) from None
    return build(spec, bn_group_size=bn_group_size, checkpoint_activations=checkpoint_activations)
