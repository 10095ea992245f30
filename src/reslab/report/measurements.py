"""What is measured inside a network: its layers' responses, the gradients that reach them, its batch norms' health."""

import math
from typing import Any

import torch
from torch import Tensor

from reslab.analysis.batchnorm_health import BatchNormHealth, describe_health, judge_batch_norms
from reslab.analysis.signals import layer_responses, layer_signals, num_activations
from reslab.artifacts.model_file import ModelCard
from reslab.data import Dataset
from reslab.data.views import batches
from reslab.models import Network

_IMAGES = 250
_PIXELS = 2**24  # of all these images: 250 of 224x224 are less, of 512x512 it is 64
_BATCH = 128  # images of the batch for the gradients
_ACTIVATIONS = 2**27  # of that batch: about 1.6 GB of memory
_LEAST = 8


def look_inside(model: Network, card: ModelCard, dataset: Dataset, split: str) -> dict[str, Any] | None:
    """Measure a network on some images of a split, spread evenly over it, and return JSON values; None for one image.

    Responses and batch norms: at most 250 images, and of large ones at most 16 megapixels together. Gradients: a batch
    of at most 128, of large or deep networks as many as take about 1.6 GB of memory. Never less than 8, if there are
    as many. Numbers that are not finite become None.
    """
    images, labels = _some(model, card, dataset)
    if len(images) < 2:
        return None
    batch = _spread(len(images), min(_BATCH, max(_LEAST, _ACTIVATIONS // num_activations(model, images[:1]))))
    responses = layer_responses(model, images)
    gradients = layer_signals(model, images[batch], labels[batch])
    norms = judge_batch_norms(model, images)
    return {
        "split": split,
        "images": len(images),
        "layers": [response.layer for response in responses],
        "responses": [_short(response.std) for response in responses],
        "batch": len(batch),
        "gradients": [_short(signal.relative_gradient) for signal in gradients],
        "norms": {"verdict": describe_health(norms), "rows": [_row(one) for one in norms]} if norms else None,
    }


def _some(model: Network, card: ModelCard, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Images as the network is given them, and their labels."""
    size = card.preprocess.height * card.preprocess.width
    chosen = _spread(len(dataset), min(_IMAGES, max(_LEAST, _PIXELS // size)))
    device = next(model.parameters()).device
    found = list(batches(dataset.subset(chosen), card.preprocess, batch_size=_IMAGES, device=device))
    return torch.cat([part.images for part in found]), torch.cat([part.labels for part in found])


def _spread(total: int, most: int) -> Tensor:
    """Numbers below `total`, at most as many as asked for, at equal distances: data is often sorted by class."""
    count = min(total, most)
    return torch.arange(count) * total // count


def _row(one: BatchNormHealth) -> dict[str, Any]:
    return {
        "layer": one.layer,
        "channels": one.num_channels,
        "has_relu": one.has_relu,
        "dead": len(one.dead),
        "mean_shift": _short(one.mean_shift),
        "variance_ratio": _short(one.variance_ratio),
        "smallest_scale": _short(one.smallest_scale),
        "median_scale": _short(one.median_scale),
        "not_finite": list(one.not_finite),
        "is_healthy": one.is_healthy,
    }


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
