"""Gradients of the loss with respect to images, and how alike they are at neighbours (Balduzzi et al. 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.models import Network

from .signals import in_mode


def input_gradients(model: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Compute the gradient of a batch's mean loss with respect to its images, in training mode.

    Batch norm takes its statistics from the batch, as in training. So the gradient at an image has two parts: of
    the image's own loss, and of the other images' losses through the statistics that they share. Weights, running
    statistics and gradients of the network do not change.

    Args:
        model: The network.
        images: float [n, channels, h, w], normalised.
        labels: int64 [n].

    Returns:
        The gradients, of the shape and type of `images`.
    """
    leaf = images.detach().clone().requires_grad_(True)
    with torch.enable_grad(), in_mode(model, training=True):
        loss = F.cross_entropy(model(leaf), labels)
        (gradients,) = torch.autograd.grad(loss, leaf)
    return gradients


def image_noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw Gaussian noise with the standard deviation of each image's own values.

    Args:
        images: float [n, channels, h, w].
        generator: A generator of the CPU, so that every device gets the same noise.

    Returns:
        The noise, of the shape, type and device of `images`.
    """
    drawn = torch.randn(images.shape, generator=generator).to(images)
    return drawn * images.std((1, 2, 3), correction=0, keepdim=True)


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """Compute the cosine between corresponding entries of two batches, in float64.

    Args:
        first: [n, ...].
        second: Of the same shape.

    Returns:
        float64 [n], -1 to 1; 0 where an entry is zero or not finite and so has no direction.
    """
    units = []
    for batch in (first, second):
        rows = batch.flatten(1).double()
        units.append(rows / rows.norm(dim=1, keepdim=True))
    return (units[0] * units[1]).sum(1).nan_to_num(0.0).clamp(-1, 1)
