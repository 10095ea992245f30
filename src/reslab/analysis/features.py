"""What a network knows of an image just before it decides: the input of its last fully connected layer."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from reslab.models import VGG, Network
from reslab.models.modes import eval_mode


def last_map(model: Network, images: Tensor) -> Tensor:
    """Return the last stage's output [n, channels, h, w]: after the addition and ReLU; of VGG, after the last pooling.

    images: [n, channels, height, width], normalised; taken in the type of the model's weights.
    """
    return list(model.forward_features(images.to(next(model.parameters()).dtype)).values())[-1]


@torch.no_grad()
def features(model: Network, batches: Iterable[Tensor], on_progress: Callable[[int], None] | None = None) -> Tensor:
    """Return penultimate features, float32 [n, d] on the CPU, in eval mode.

    Of plain and residual networks, the last stage's output averaged over its positions (d: its channels; paper Fig. 3,
    "avg pool"); of VGG, what its last fully connected layer is given (d = 4096).
    batches: normalised images [m, channels, height, width] on the model's device.
    on_progress: called with the number of images done after each batch.
    """
    found: list[Tensor] = []
    done = 0
    with eval_mode(model):
        for images in batches:
            found.append(_penultimate(model, last_map(model, images)).float().cpu())
            done += len(images)
            if on_progress:
                on_progress(done)
    return torch.cat(found) if found else torch.zeros(0, _width(model))


def _penultimate(model: Network, last: Tensor) -> Tensor:
    return model.classifier[:-1](last.flatten(1)) if isinstance(model, VGG) else last.mean((2, 3))


def _width(model: Network) -> int:
    layer = model.classifier[-1] if isinstance(model, VGG) else model.fc
    assert isinstance(layer, nn.Linear)
    return layer.in_features
