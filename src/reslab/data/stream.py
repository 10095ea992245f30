"""Training data as an endless stream of samples whose only state is the step number."""

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
    """Images and labels on the training device.

    Attributes:
        images: float32 [n, channels, height, width].
        labels: int64 [n].
        other_labels: The second label of mixed images, int64 [n], with weight 1 - `lam`; None for other images.
        lam: Weight of `labels`, in (0, 1].
    """

    images: Tensor
    labels: Tensor
    other_labels: Tensor | None = None
    lam: float = 1.0

    def micro_batches(self, count: int) -> "list[Batch]":
        """Divide the batch for gradient accumulation.

        Args:
            count: Number of parts.

        Returns:
            The parts, equal in size.
        """
        images, labels = self.images.chunk(count), self.labels.chunk(count)
        others = [None] * len(images) if self.other_labels is None else self.other_labels.chunk(count)
        return [Batch(*part, self.lam) for part in zip(images, labels, others, strict=True)]


def growing_size(first: int, full: int, until_step: int, multiple: int = 4) -> Callable[[int], int]:
    """Grow the side of the images during training; every smaller size gets an equal number of steps.

    Args:
        first: Side at step 0, in pixels.
        full: Side from `until_step` on, in pixels.
        until_step: The first step at full size.
        multiple: Pixels between one size and the next.

    Returns:
        The side in pixels as a function of the step.
    """
    sizes = [*range(first, full, multiple), full]

    def at(step: int) -> int:
        return full if step >= until_step else sizes[step * (len(sizes) - 1) // until_step]

    return at


class Stream:
    """Base of all streams: step s is samples [s B, (s + 1) B) for batch size B.

    Rank r of W takes the r-th of W equal parts of each batch, so the global batches are the same for any world size.

    Args:
        length: Samples of the data set.
        batch_size: Global batch size.
        seed: The run's seed.
        rank: This process's rank.
        world_size: Number of processes; it divides `batch_size`.
        order: Which sample stands at which position; by default every sample once in each epoch.
    """

    def __init__(
        self, length: int, *, batch_size: int, seed: int, rank: int, world_size: int, order: Order | None = None
    ) -> None:
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self._order = order or natural_order(seed, length)
        self._part = batch_size // world_size
        self._offset = rank * self._part

    def positions(self, step: int) -> tuple[Tensor, Tensor]:
        """Locate this process's samples of one step.

        Args:
            step: The step.

        Returns:
            Epoch and index of each sample, int64 [batch_size / world_size] each.
        """
        start = step * self.batch_size + self._offset
        return self._order(start, start + self._part)

    def batch(self, step: int) -> Batch:
        """Make this process's part of the batch of one step.

        Args:
            step: The step.

        Returns:
            batch_size / world_size samples.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the stream's threads, if any."""


class MemoryStream(Stream):
    """A stream over images in memory, kept and augmented on the training device.

    Args:
        dataset: The images.
        normalize: The normalizer.
        augment: Function from (uint8 images, normalizer, draws) to float32 images.
        batch_size: Global batch size.
        seed: The run's seed.
        device: The training device.
        rank: This process's rank.
        world_size: Number of processes.
        size_at: Side of the (square) images at each step; by default their own.
        order: Which sample stands at which position; by default every sample once in each epoch.
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
        """Make this process's part of the batch of one step, float32 and augmented."""
        epoch, index = (values.to(self._device) for values in self.positions(step))
        images = self._augment(self._images[index], self._normalize, Draws(self.seed, epoch, index))
        size = images.shape[-1] if self._size_at is None else self._size_at(step)
        if size != images.shape[-1]:
            images = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
        return Batch(images, self._labels[index])
