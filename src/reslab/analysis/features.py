"""The features of an image on which a network bases its answer."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from reslab.models import VGG, Network
from reslab.models.modes import eval_mode


def last_map(model: Network, images: Tensor) -> Tensor:
    """Compute the last stage's output: after the addition and ReLU, or after VGG's last pooling.

    Args:
        model: The network.
        images: [n, channels, height, width], normalised; converted to the type of the weights.

    Returns:
        [n, channels, h, w].
    """
    return list(model.forward_features(images.to(next(model.parameters()).dtype)).values())[-1]


@torch.no_grad()
def penultimate_features(
    model: Network, batches: Iterable[Tensor], on_progress: Callable[[int], None] | None = None
) -> Tensor:
    """Compute the inputs of the last fully connected layer, in eval mode.

    In plain and residual networks this is the last stage's output averaged over its positions (paper Fig. 3, "avg
    pool"), and d is its number of channels. In VGG, d is 4096.

    Args:
        model: The network.
        batches: Normalised images, each [m, channels, height, width], on the network's device.
        on_progress: Called with the number of images done after each batch.

    Returns:
        float32 [n, d] on the CPU.
    """
    features: list[Tensor] = []
    done = 0
    with eval_mode(model):
        for images in batches:
            features.append(_penultimate(model, last_map(model, images)).float().cpu())
            done += len(images)
            if on_progress:
                on_progress(done)
    return torch.cat(features) if features else torch.zeros(0, _width(model))


def _penultimate(model: Network, last: Tensor) -> Tensor:
    return model.classifier[:-1](last.flatten(1)) if isinstance(model, VGG) else last.mean((2, 3))


def _width(model: Network) -> int:
    layer = model.classifier[-1] if isinstance(model, VGG) else model.fc
    assert isinstance(layer, nn.Linear)
    return layer.in_features
