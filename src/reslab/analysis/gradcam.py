"""Grad-CAM: the places in an image that speak for a class (Selvaraju et al. 2017)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError
from reslab.models import Network
from reslab.models.modes import eval_mode

from .features import last_map


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """Heat maps and the classes for which they speak.

    Attributes:
        maps: float32 [n, h, w] at the size of the last stage's output, at least 0, in the unit of logits; float64 for a
            network in float64.
        classes: int64 [n].
    """

    maps: Tensor
    classes: Tensor


def grad_cam(model: Network, images: Tensor, classes: Tensor | None = None) -> HeatMaps:
    """Compute relu(sum_k a_k A_k) with a_k = mean over positions of d logit / d A_k (Grad-CAM, Eqs. 1 and 2).

    A is the last stage's output, after the addition and ReLU, where features are most abstract and still have a place.
    For a network that ends in average pooling and one layer, a_k is exactly that layer's weight / (h w), and the result
    is CAM. Everything is computed in eval mode, in the type of the weights; modes, weights and gradients do not change.

    Args:
        model: The network; it may be folded or compiled.
        images: [n, channels, height, width], normalised, on the network's device.
        classes: The class of each map, int64 [n]; by default the network's answers.

    Returns:
        One map for each image, with its class.

    Raises:
        UsageError: `classes` has another length, or a class that the network does not have.
    """
    if classes is not None:
        _check_classes(model, images, classes)
    with eval_mode(model):
        with torch.no_grad():  # only the head is differentiated: nothing before the map is kept
            last = last_map(model, images)
            of_maps = model.forward_head(last).argmax(1) if classes is None else classes.to(last.device)
        return HeatMaps(head_maps(model, last, of_maps), of_maps)


def head_maps(model: Network, last: Tensor, classes: Tensor) -> Tensor:
    """Compute the maps of `grad_cam` from the last stage's output; call it in eval mode (`eval_mode`).

    Args:
        model: The network.
        last: Output of `last_map`, [n, channels, h, w].
        classes: The class of each map, int64 [n], on the same device.

    Returns:
        float32 [n, h, w], at least 0; float64 for a network in float64.
    """
    with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
        # copies, because autograd refuses tensors that were computed in inference mode
        last, classes = last.detach().clone().requires_grad_(), classes.clone()
        logits = model.forward_head(last)
        # no sample's logit depends on another's map, so one sum gives all gradients
        (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), last)
    kind = torch.promote_types(last.dtype, torch.float32)
    weights = gradient.to(kind).mean((2, 3), keepdim=True)
    return F.relu((weights * last.detach().to(kind)).sum(1))


def _check_classes(model: Network, images: Tensor, classes: Tensor) -> None:
    if classes.shape != (len(images),):
        raise UsageError(f"classes has shape {list(classes.shape)}; pass one class for each of {len(images)} images.")
    outside = classes[(classes < 0) | (classes >= model.spec.num_classes)]
    if len(outside):
        raise UsageError(f"class is {int(outside[0])}; allowed: 0 to {model.spec.num_classes - 1}.")


def upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize heat maps bilinearly and divide each by its maximum, to show them.

    Args:
        maps: [n, h, w], at least 0.
        size: (height, width) in pixels.

    Returns:
        [n, height, width] in [0, 1]. A map that is 0 everywhere stays 0.
    """
    large = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    largest = large.amax((1, 2), keepdim=True)
    return large / largest.where(largest > 0, 1)
