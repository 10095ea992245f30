"""Mixup and CutMix: each image combined with another image of the batch, and its label in proportion."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .draws import MIX
from .stream import Batch, Stream


@dataclass(frozen=True, slots=True)
class Mixing:
    """Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of whole batches.

    Each image's partner is the image before it in the batch. With both alphas, each batch uses one method at random.

    Attributes:
        mixup_alpha: Parameter of the Beta distribution of lam for Mixup; 0 for none.
        cutmix_alpha: Parameter of the Beta distribution of lam for CutMix; 0 for none.
    """

    mixup_alpha: float
    cutmix_alpha: float

    def __call__(self, batch: Batch, seed: int, step: int) -> Batch:
        """Mix a batch.

        Args:
            batch: The batch.
            seed: The run's seed.
            step: The step; together with the seed it determines the draws.

        Returns:
            The mixed batch. `labels` are those of the larger part, which is `lam`; `other_labels` have 1 - `lam`.
        """
        draws = np.random.default_rng((seed, MIX, step))
        is_cut = self.cutmix_alpha > 0 and (self.mixup_alpha == 0 or draws.random() < 0.5)
        alpha = self.cutmix_alpha if is_cut else self.mixup_alpha
        lam = float(draws.beta(alpha, alpha))
        if is_cut:
            images, lam = paste(batch.images, lam, draws.random(), draws.random())
        else:
            images = batch.images * lam + batch.images.roll(1, 0) * (1 - lam)
        labels, others = batch.labels, batch.labels.roll(1, 0)
        if lam < 0.5:  # errors are counted by `labels`, which must be the answers of a perfect network
            labels, others, lam = others, labels, 1 - lam
        return replace(batch, images=images, labels=labels, other_labels=others, lam=lam)


def paste(images: Tensor, lam: float, x: float, y: float) -> tuple[Tensor, float]:
    """Paste a rectangle of each image's partner into the image.

    The rectangle has the image's aspect and 1 - lam of its area; what lies outside the image is cut off.

    Args:
        images: [n, channels, h, w].
        lam: Fraction of the image that is to remain.
        x: Centre of the rectangle, in [0, 1) of the width.
        y: Centre of the rectangle, in [0, 1) of the height.

    Returns:
        The images [n, channels, h, w], and the fraction that really remains.
    """
    height, width = images.shape[-2:]
    side = (1 - lam) ** 0.5
    centre_y, centre_x = int(y * height), int(x * width)
    half_rows, half_columns = int(side * height) // 2, int(side * width) // 2
    rows = slice(max(centre_y - half_rows, 0), min(centre_y + half_rows, height))
    columns = slice(max(centre_x - half_columns, 0), min(centre_x + half_columns, width))
    mixed = images.clone(memory_format=torch.preserve_format)
    mixed[..., rows, columns] = images.roll(1, 0)[..., rows, columns]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - pasted / (height * width)


class MixedStream(Stream):
    """A stream whose batches are mixed within each process.

    Args:
        source: The stream of batches to mix.
        mixing: The method.
    """

    def __init__(self, source: Stream, mixing: Mixing) -> None:
        self._source, self._mixing, self.seed = source, mixing, source.seed

    def positions(self, step: int) -> tuple[Tensor, Tensor]:
        """Return (epoch, index) of this process's samples of a step, int64 [batch_size / world_size] each."""
        return self._source.positions(step)

    def batch(self, step: int) -> Batch:
        """Return this process's part of the mixed batch of one step."""
        return self._mixing(self._source.batch(step), self.seed, step)

    def close(self) -> None:
        """End the source's threads, if any."""
        self._source.close()
