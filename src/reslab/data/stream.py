"""Training data as one endless stream of samples, where the position is the step number and there is no other state."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .augment import Draws
from .dataset import ArrayDataset
from .order import Order, natural_order
from .preprocess import Normalizer


@dataclass(frozen=True, slots=True)
class Batch:
    """images: float32 [n, channels, height, width]; labels: int64 [n]; both on the training device.

    other_labels, lam: of mixed images, whose own label counts `lam` and the other the rest.
    """

    images: Tensor
    labels: Tensor
    other_labels: Tensor | None = None
    lam: float = 1.0

    def micro_batches(self, count: int) -> "list[Batch]":
        """Return the batch in `count` equal parts."""
        images, labels = self.images.chunk(count), self.labels.chunk(count)
        others = [None] * len(images) if self.other_labels is None else self.other_labels.chunk(count)
        return [Batch(*part, self.lam) for part in zip(images, labels, others, strict=True)]


def growing_size(first: int, full: int, until_step: int, multiple: int = 4) -> Callable[[int], int]:
    """Return the side of the images at each step: from `first` to `full` in equal steps of `multiple` pixels.

    Full size comes at `until_step`, so that each size before it has an equal share of the steps.
    """
    sizes = [*range(first, full, multiple), full]

    def at(step: int) -> int:
        return full if step >= until_step else sizes[step * (len(sizes) - 1) // until_step]

    return at


class Stream:
    """What every stream has: a position that is the step number. Step s is samples [s B, (s+1) B) for batch size B.

    Rank r of W takes the r-th of W equal parts of each batch, so that any world size sees the same global batches.
    order: which sample comes at which position; by default every one once in each epoch.
    """

    def __init__(
        self, length: int, *, batch_size: int, seed: int, rank: int, world_size: int, order: Order | None = None
    ) -> None:
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self._order = order or natural_order(seed, length)
        self._part = batch_size // world_size
        self._offset = rank * self._part

    def positions(self, step: int) -> tuple[Tensor, Tensor]:
        """Return (epoch, index) of this process's samples of a step, int64 [batch_size / world_size] each."""
        start = step * self.batch_size + self._offset
        return self._order(start, start + self._part)

    def batch(self, step: int) -> Batch:
        """Return this process's part of the batch of one step."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of threads, where there are any."""


class MemoryStream(Stream):
    """A stream over images in memory, kept and augmented on the training device.

    size_at: the side of the (square) images at each step, where it is not their own.
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        normalize: Normalizer,
        augment: Callable[[Tensor, Normalizer, Draws], Tensor],
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        size_at: Callable[[int], int] | None = None,
        order: Order | None = None,
    ) -> None:
        super().__init__(len(dataset), batch_size=batch_size, seed=seed, rank=rank, world_size=world_size, order=order)
        self._size_at = size_at
        self._images, self._labels = dataset.images.to(device), dataset.labels.to(device)
        self._normalize, self._augment, self._device = normalize, augment, device

    def batch(self, step: int) -> Batch:
        epoch, index = (part.to(self._device) for part in self.positions(step))
        images = self._augment(self._images[index], self._normalize, Draws(self.seed, epoch, index))
        size = images.shape[-1] if self._size_at is None else self._size_at(step)
        if size != images.shape[-1]:
            images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
        return Batch(images, self._labels[index])
