"""Training batches from photos: the paper's ImageNet augmentation (Sec. 3.4), decoded by threads one step ahead."""

import math
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .augment import Draws
from .dataset import FileDataset
from .decode import decode, resize_short_side
from .hashing import COLOR, CROP_X, CROP_Y, FLIP, SCALE, draw_uniform
from .preprocess import Normalizer
from .stream import Batch, Stream

# principal components of ImageNet's RGB values in [0, 1] (paper ref. 21, as in fb.resnet.torch)
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


class ScaleCropStream(Stream):
    """Short side sampled in [min, max], random crop or its flip, mean subtracted, PCA colour (paper Sec. 3.4).

    Every draw is a function of (seed, epoch, index). `close` ends the threads.
    num_threads: how many decode; None leaves it to the number of cores.
    """

    def __init__(
        self,
        dataset: FileDataset,
        normalize: Normalizer,
        *,
        min_short_side: int,
        max_short_side: int,
        crop_size: int,
        flip: bool,
        color_std: float,
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        num_threads: int | None = None,
    ) -> None:
        super().__init__(len(dataset), batch_size=batch_size, seed=seed, rank=rank, world_size=world_size)
        self._dataset, self._normalize, self._device = dataset, normalize, device
        self._min, self._max, self._crop_size = min_short_side, max_short_side, crop_size
        self._flip, self._color_std = flip, color_std
        self._pool = ThreadPoolExecutor(num_threads)
        self._ahead: _Pending | None = None

    def batch(self, step: int) -> Batch:
        pending = self._ahead if self._ahead and self._ahead.step == step else self._submit(step)
        self._ahead = self._submit(step + 1)
        for future in pending.futures:
            future.result()  # raises what went wrong
        images = self._normalize(pending.pixels.to(self._device))
        epoch, index = pending.epoch, pending.index
        if self._color_std and images.shape[1] == 3:
            shift = color_shift(Draws(self.seed, epoch, index), self._color_std).to(self._device)
            images = images + shift / self._normalize.std
        return Batch(images, self._dataset.labels[index].to(self._device))

    def close(self) -> None:
        """Stop decoding ahead."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, step: int) -> "_Pending":
        epoch, index = self.positions(step)
        draws = Draws(self.seed, epoch, index)
        # all draws of a batch at once: one by one they would cost as much as a part of the decoding
        purposes = [draws.bits(purpose) for purpose in (SCALE, CROP_X, CROP_Y, FLIP)]
        size, channels = self._crop_size, self._dataset.num_channels
        pixels = torch.empty(len(index), channels, size, size, dtype=torch.uint8, memory_format=torch.channels_last)
        futures = [
            self._pool.submit(self._view, pixels[row], self._dataset.paths[place], *bits)
            for row, (place, *bits) in enumerate(zip(index.tolist(), *purposes, strict=True))
        ]
        return _Pending(step, epoch, index, pixels, futures)

    def _view(self, place: Tensor, path: Path, scale: int, x: int, y: int, flip: int) -> None:
        """Decode, resize, crop and flip one image into its place, uint8 [channels, crop_size, crop_size]."""
        size = self._crop_size
        pixels = decode(path, self._dataset.num_channels)
        pixels = resize_short_side(pixels, self._min + scale % (self._max - self._min + 1))
        top, left = y % (pixels.shape[1] - size + 1), x % (pixels.shape[2] - size + 1)
        crop = pixels[:, top : top + size, left : left + size]
        place.copy_(crop.flip(-1) if self._flip and flip % 2 else crop)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A batch that threads are filling."""

    step: int
    epoch: Tensor
    index: Tensor
    pixels: Tensor
    futures: list[Future[None]]


def color_shift(draws: Draws, std: float) -> Tensor:
    """Return what PCA colour augmentation adds to each image, for pixels in [0, 1]: float32 [n, 3, 1, 1].

    Each image gets sum_i a_i l_i p_i with a_i normal of deviation `std` (paper ref. 21), by Box and Muller.
    """
    # two uniform numbers for each of the three components, told apart by their index
    uniform = [draw_uniform(draws.seed, COLOR, draws.epoch, draws.index * 6 + number) for number in range(6)]
    radius = [torch.sqrt(-2 * torch.log1p(-uniform[number])) for number in range(3)]
    alphas = torch.stack([std * radius[i] * torch.cos(2 * math.pi * uniform[3 + i]) for i in range(3)], dim=1)
    weighted = alphas * torch.tensor(_EIGENVALUES)
    return (weighted @ torch.tensor(_EIGENVECTORS).T).view(-1, 3, 1, 1)
