"""Mixup and CutMix: each image of a batch with a part of another, and its label in proportion."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .draws import MIX
from .stream import Batch, Stream


@dataclass(frozen=True, slots=True)
class Mixing:
    """Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of whole batches.

    mixup_alpha, cutmix_alpha: of the Beta distribution that lam is drawn from; 0 for none. With both, every
    batch takes one of them, half of the time each. Every image's partner is the one before it in the batch.
    """

    mixup_alpha: float
    cutmix_alpha: float

    def __call__(self, batch: Batch, seed: int, step: int) -> Batch:
        """Return the batch mixed; its labels are those of the larger lam, `lam`, `other_labels` have the rest."""
        draws = np.random.default_rng((seed, MIX, step))
        is_cut = self.cutmix_alpha > 0 and (self.mixup_alpha == 0 or draws.random() < 0.5)
        alpha = self.cutmix_alpha if is_cut else self.mixup_alpha
        lam = float(draws.beta(alpha, alpha))
        if is_cut:
            images, lam = paste(batch.images, lam, draws.random(), draws.random())
        else:
            images = batch.images * lam + batch.images.roll(1, 0) * (1 - lam)
        labels, others = batch.labels, batch.labels.roll(1, 0)
        if lam < 0.5:  # errors are counted by `labels`: those that a perfect network answers with
            labels, others, lam = others, labels, 1 - lam
        return replace(batch, images=images, labels=labels, other_labels=others, lam=lam)


def paste(images: Tensor, lam: float, x: float, y: float) -> tuple[Tensor, float]:
    """Return [n, c, h, w] with a rectangle of each image's partner in it, and lam that is its own.

    The rectangle has the picture's aspect and (1 - lam) of its area; x, y in [0, 1): where its centre lies. What
    lies outside the picture is cut off, so lam is counted again.
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
    """A stream whose batches are mixed. Partners are of the same process, so that no images travel between them."""

    def __init__(self, source: Stream, mixing: Mixing) -> None:
        self._source, self._mixing, self.seed = source, mixing, source.seed

    def positions(self, step: int) -> tuple[Tensor, Tensor]:
        return self._source.positions(step)

    def batch(self, step: int) -> Batch:
        return self._mixing(self._source.batch(step), self.seed, step)

    def close(self) -> None:
        self._source.close()
