"""Measurements of a network's layers: their responses, the gradients that reach them, the batch norms' health."""

import math
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchNormRow:
    """The health of one batch norm; `reslab.analysis.batchnorm_health` says what each number means.

    Attributes:
        layer: Its name.
        channels: Its channels.
        has_relu: Whether a ReLU follows it; else an addition does.
        dead: Channels that are dead.
        mean_shift: Distance of the running mean from the images'; None for a number that is not finite, as in the next.
        variance_ratio: log2 of the running variance over the images'.
        smallest_scale: The smallest |γ|.
        median_scale: The median |γ|.
        not_finite: What of it is not finite.
        is_healthy: Whether it meets every criterion.
    """

    layer: str
    channels: int
    has_relu: bool
    dead: int
    mean_shift: float | None
    variance_ratio: float | None
    smallest_scale: float | None
    median_scale: float | None
    not_finite: tuple[str, ...]
    is_healthy: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchNorms:
    """The health of all batch norms: a sentence, and a row for each."""

    verdict: str
    rows: tuple[BatchNormRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMeasurements:
    """What was measured inside a network. A number that is not finite is None.

    Attributes:
        split: The part of the data that the images belong to.
        images: How many images the responses and the batch norms were measured on.
        layers: The names of the 3x3 layers, in order of depth.
        responses: The standard deviation of each layer's response.
        batch: How many images the gradients were measured on.
        gradients: The norm of each layer's gradient over the norm of its weight.
        norms: The batch norms; None for a network without any.
    """

    split: str
    images: int
    layers: tuple[str, ...]
    responses: tuple[float | None, ...]
    batch: int
    gradients: tuple[float | None, ...]
    norms: BatchNorms | None


def measure_layers(model: Network, card: ModelCard, dataset: Dataset, split: str) -> LayerMeasurements | None:
    """Measure a network's layers on some images of a split, spread evenly over it.

    Responses and batch norms: at most 250 images, and of large ones at most 16 megapixels together. Gradients: a batch
    of at most 128, of large or deep networks as many as take about 1.6 GB of memory. Never fewer than 8, if there are
    as many.

    Args:
        model: In eval mode, on any device; left as it is.
        card: Says how images are prepared for the network.
        dataset: The images of the split.
        split: What the split is called.

    Returns:
        The measurements; None where there was only one image.
    """
    images, labels = _some(model, card, dataset)
    if len(images) < 2:
        return None
    batch = _spread(len(images), min(_BATCH, max(_LEAST, _ACTIVATIONS // num_activations(model, images[:1]))))
    responses = layer_responses(model, images)
    gradients = layer_signals(model, images[batch], labels[batch])
    norms = judge_batch_norms(model, images)
    return LayerMeasurements(
        split=split,
        images=len(images),
        layers=tuple(response.layer for response in responses),
        responses=tuple(_short(response.std) for response in responses),
        batch=len(batch),
        gradients=tuple(_short(signal.relative_gradient) for signal in gradients),
        norms=BatchNorms(verdict=describe_health(norms), rows=tuple(map(_row, norms))) if norms else None,
    )


def _some(model: Network, card: ModelCard, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return images as the network is given them, and their labels."""
    size = card.preprocess.height * card.preprocess.width
    chosen = _spread(len(dataset), min(_IMAGES, max(_LEAST, _PIXELS // size)))
    device = next(model.parameters()).device
    found = list(batches(dataset.subset(chosen), card.preprocess, batch_size=_IMAGES, device=device))
    return torch.cat([part.images for part in found]), torch.cat([part.labels for part in found])


def _spread(total: int, most: int) -> Tensor:
    """Return at most `most` numbers below `total`, at equal distances, because data is often sorted by class."""
    count = min(total, most)
    return torch.arange(count) * total // count


def _row(health: BatchNormHealth) -> BatchNormRow:
    return BatchNormRow(
        layer=health.layer,
        channels=health.num_channels,
        has_relu=health.has_relu,
        dead=len(health.dead),
        mean_shift=_short(health.mean_shift),
        variance_ratio=_short(health.variance_ratio),
        smallest_scale=_short(health.smallest_scale),
        median_scale=_short(health.median_scale),
        not_finite=tuple(health.not_finite),
        is_healthy=health.is_healthy,
    )


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
