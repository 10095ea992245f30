"""Training batches from photos, decoded by threads one step ahead."""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from reslab.data.augment import Draws, erase
from reslab.data.dataset import FileDataset
from reslab.data.draws import COLOR, OPERATIONS, draw_uniform
from reslab.data.order import Order
from reslab.data.preprocess import Normalizer
from reslab.data.stream import Batch, Stream
from reslab.system.threads import map_ahead

from .decode import decode
from .photo_augment import PhotoView, RandAugment

# principal components of ImageNet's RGB values in [0, 1] (paper ref. 21, as in fb.resnet.torch)
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))

_Job = tuple[Tensor, Path, int, Sequence[int]]  # arguments of `_fill`


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Views that threads fill in: uint8 [n, channels, size, size], with each sample's epoch and index, int64 [n]."""

    epoch: Tensor
    index: Tensor
    pixels: Tensor


class PhotoStream(Stream):
    """A stream of photos: random views, normalised, with PCA colour (paper Sec. 3.4) and random erasing.

    Every draw is a function of (seed, epoch, index). `close` ends the threads.

    Args:
        dataset: The photos.
        normalize: The normalizer.
        view: How a view is cut out of a picture.
        size_at: Side of the views in pixels, as a function of the step.
        color_std: Standard deviation of PCA colour; 0 for none.
        operations: Further operations on colour and geometry; None for none.
        erase_probability: Fraction of images with an erased rectangle.
        batch_size: Global batch size.
        seed: The run's seed.
        device: The training device.
        rank: This process's rank.
        world_size: Number of processes.
        order: Which sample stands at which position; by default every sample once in each epoch.
        num_threads: Threads that decode; None: as many as suits the machine.
    """

    def __init__(
        self,
        dataset: FileDataset,
        normalize: Normalizer,
        view: PhotoView,
        *,
        size_at: Callable[[int], int],
        color_std: float = 0.0,
        operations: RandAugment | None = None,
        erase_probability: float = 0.0,
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        order: Order | None = None,
        num_threads: int | None = None,
    ) -> None:
        super().__init__(len(dataset), batch_size=batch_size, seed=seed, rank=rank, world_size=world_size, order=order)
        self._dataset, self._normalize, self._device = dataset, normalize, device
        self._view, self._size_at, self._operations = view, size_at, operations
        self._color_std, self._erase_probability = color_std, erase_probability
        self._num_threads = num_threads
        self._decoded: Generator[_Decoded, None, None] | None = None
        self._next_step: int | None = None  # that `_decoded` yields

    def batch(self, step: int) -> Batch:
        """Make this process's part of the batch of one step; steps in order are decoded ahead."""
        if self._decoded is None or step != self._next_step:
            self.close()
            self._decoded = self._decode_from(step)
        self._next_step = None  # an error ends the threads; the next call starts others
        decoded = next(self._decoded)
        self._next_step = step + 1
        images = self._normalize(decoded.pixels.to(self._device))
        draws = Draws(self.seed, decoded.epoch, decoded.index)
        if self._color_std and images.shape[1] == 3:
            shift = color_shift(draws, self._color_std).to(self._device)
            images = images + shift / self._normalize.std
        if self._erase_probability:
            images = erase(images, self._erase_probability, draws)
        return Batch(images, self._dataset.labels[decoded.index].to(self._device))

    def close(self) -> None:
        """End the threads and drop what they decoded ahead."""
        if self._decoded is not None:
            self._decoded.close()
        self._decoded = None

    def _decode_from(self, step: int) -> "Generator[_Decoded, None, None]":
        """Yield the batches from a step on, each while threads decode the next."""
        batches: deque[_Decoded] = deque()

        def jobs() -> Iterator[list[_Job]]:
            for number in count(step):
                decoded, chunk = self._planned(number)
                batches.append(decoded)
                yield chunk

        for _ in map_ahead(lambda job: self._fill(*job), jobs(), ahead=1, num_threads=self._num_threads):
            yield batches.popleft()

    def _planned(self, step: int) -> "tuple[_Decoded, list[_Job]]":
        epoch, index = self.positions(step)
        draws = Draws(self.seed, epoch, index)
        # all draws of a batch at once; one by one they would take time comparable to decoding
        purposes = [draws.bits(purpose) for purpose in (OPERATIONS, *self._view.purposes)]
        size, channels = self._size_at(step), self._dataset.num_channels
        pixels = torch.empty(len(index), channels, size, size, dtype=torch.uint8, memory_format=torch.channels_last)
        jobs: list[_Job] = [
            (pixels[row], self._dataset.paths[number], operations, bits)
            for row, (number, operations, *bits) in enumerate(zip(index.tolist(), *purposes, strict=True))
        ]
        return _Decoded(epoch, index, pixels), jobs

    def _fill(self, target: Tensor, path: Path, operations: int, bits: Sequence[int]) -> None:
        """Decode one picture and write its view to `target`, uint8 [channels, size, size]."""
        view = self._view(decode(path, self._dataset.num_channels), target.shape[-1], bits)
        target.copy_(view if self._operations is None else self._operations(view, operations))


def color_shift(draws: Draws, std: float) -> Tensor:
    """Draw the colour that PCA augmentation adds to each image (paper Sec. 3.4, ref. 21).

    Each image gets sum_i a_i l_i p_i, where a_i is normal (by Box and Muller).

    Args:
        draws: The batch's random draws.
        std: Standard deviation of a_i.

    Returns:
        float32 [n, 3, 1, 1], for pixels in [0, 1].
    """
    # two uniform numbers for each of the three components, distinguished by their index
    uniform = [draw_uniform(draws.seed, COLOR, draws.epoch, draws.index * 6 + number) for number in range(6)]
    radius = [torch.sqrt(-2 * torch.log1p(-uniform[number])) for number in range(3)]
    alphas = torch.stack([std * radius[i] * torch.cos(2 * math.pi * uniform[3 + i]) for i in range(3)], dim=1)
    weighted = alphas * torch.tensor(_EIGENVALUES)
    return (weighted @ torch.tensor(_EIGENVECTORS).T).view(-1, 3, 1, 1)
