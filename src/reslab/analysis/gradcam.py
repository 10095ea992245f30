"""Grad-CAM: where in the image a network finds what speaks for a class (Selvaraju et al. 2017)."""

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
    """maps: float32 [n, h, w] at the size of the last stage's output, >= 0, in the unit of logits; classes: int64 [n].

    (float64 of a network in float64.)
    """

    maps: Tensor
    classes: Tensor


def grad_cam(model: Network, images: Tensor, classes: Tensor | None = None) -> HeatMaps:
    """Return relu(sum_k a_k A_k) with a_k = mean over positions of d logit / d A_k (Selvaraju et al. 2017, Eqs. 1, 2).

    A is the last stage's output, after the addition and ReLU, where features are the most abstract and still have a
    place. The logit is that of `classes` (int64 [n]), by default of the class that the network answers. For a network
    that ends in average pooling and one layer, a_k is that layer's weight / (h w) exactly, and this is CAM.

    images: [n, channels, height, width], normalised, on the model's device. Computed in eval mode, in the type of the
    weights; the model's modes, weights and gradients stay as they are. Folded and compiled networks serve as well.
    Raises UsageError for a class that the network does not have.
    """
    if classes is not None:
        _check_classes(model, images, classes)
    with eval_mode(model):
        with torch.no_grad():  # only the head is differentiated: nothing before the map is kept
            last = last_map(model, images)
            chosen = model.forward_head(last).argmax(1) if classes is None else classes.to(last.device)
        return HeatMaps(head_maps(model, last, chosen), chosen)


def head_maps(model: Network, last: Tensor, classes: Tensor) -> Tensor:
    """Return the maps of `grad_cam` from the last stage's output, for who has it already (`last_map`).

    last: [n, channels, h, w]; classes: int64 [n], on its device. To be called in eval mode (`eval_mode`).
    """
    with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
        # copies, as nothing that was computed in inference mode can take part
        last, classes = last.detach().clone().requires_grad_(), classes.clone()
        logits = model.forward_head(last)
        # no sample's logit depends on another's map, so one sum serves all
        (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), last)
    kind = torch.promote_types(last.dtype, torch.float32)
    weights = gradient.to(kind).mean((2, 3), keepdim=True)
    return F.relu((weights * last.detach().to(kind)).sum(1))


def _check_classes(model: Network, images: Tensor, classes: Tensor) -> None:
    if classes.shape != (len(images),):
        raise UsageError(f"classes has shape {list(classes.shape)}; give one class for each of {len(images)} images.")
    outside = classes[(classes < 0) | (classes >= model.spec.num_classes)]
    if len(outside):
        raise UsageError(f"class {int(outside[0])} is not one of this network's 0 .. {model.spec.num_classes - 1}.")


def upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return heat maps [n, h, w] at (height, width), bilinear, each divided by its maximum: in [0, 1], to look at.

    A map that is 0 everywhere, where nothing speaks for the class, stays 0.
    """
    large = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    most = large.amax((1, 2), keepdim=True)
    return large / most.where(most > 0, 1)
