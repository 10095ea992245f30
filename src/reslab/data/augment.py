"""Augmentation of a whole batch at once, on the training device, from stateless draws."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .hashing import CROP_X, CROP_Y, FLIP, draw_integers
from .preprocess import Normalizer


@dataclass(frozen=True, slots=True)
class Draws:
    """The random draws of a batch: a function of the seed and of each sample's epoch and index."""

    seed: int
    epoch: Tensor
    index: Tensor

    def integers(self, bound: int, purpose: int) -> Tensor:
        """Return one integer in [0, bound) for each sample."""
        return draw_integers(bound, self.seed, purpose, self.epoch, self.index)


def no_augment(images: Tensor, normalize: Normalizer, draws: Draws) -> Tensor:
    """uint8 [n, c, h, w] -> float32 of the same shape, every image as it is."""
    return normalize(images)


@dataclass(frozen=True, slots=True)
class PadCropFlip:
    """Pad each side, crop the original size, flip half of the images (paper Sec. 4.2).

    fill: "mean" pads with zeros after the mean was subtracted, "black" pads with black pixels before.
    """

    padding: int
    flip: bool
    fill: Literal["mean", "black"]

    def __call__(self, images: Tensor, normalize: Normalizer, draws: Draws) -> Tensor:
        """uint8 [n, c, h, w] -> float32 of the same shape."""
        size = 2 * self.padding + 1
        top, left = draws.integers(size, CROP_Y), draws.integers(size, CROP_X)
        if self.fill == "mean":
            cropped = self._crop(normalize(images), top, left)
        else:
            # the mean belongs to positions of the crop, so it is subtracted after
            cropped = normalize(self._crop(images, top, left))
        if not self.flip:
            return cropped
        flipped = draws.integers(2, FLIP).bool().view(-1, 1, 1, 1)
        return torch.where(flipped, cropped.flip(-1), cropped)

    def _crop(self, images: Tensor, top: Tensor, left: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        padded = F.pad(images, (self.padding,) * 4)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [n, c, 2p+1, 2p+1, h, w]
        return windows[torch.arange(len(images), device=images.device), :, top, left]
