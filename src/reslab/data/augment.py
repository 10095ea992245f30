"""Augmentation of whole batches on the training device, from stateless draws."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .draws import (
    CROP_X,
    CROP_Y,
    CUTOUT_X,
    CUTOUT_Y,
    ERASE,
    ERASE_AREA,
    ERASE_ASPECT,
    ERASE_X,
    ERASE_Y,
    FLIP,
    draw_integers,
    draw_uniform,
)
from .preprocess import Normalizer


@dataclass(frozen=True, slots=True)
class Draws:
    """The random draws of a batch, as a function of the seed and of each sample's epoch and index.

    Attributes:
        seed: The run's seed.
        epoch: Epoch of each sample, int64 [n].
        index: Index of each sample in the data set, int64 [n].
    """

    seed: int
    epoch: Tensor
    index: Tensor

    def bits(self, purpose: int) -> list[int]:
        """Draw 32 random bits for each sample; `bits % bound` equals `integers(bound, purpose)`.

        Args:
            purpose: A purpose of `reslab.data.draws`.

        Returns:
            One integer in [0, 2**32) for each sample.
        """
        return self.integers(2**32, purpose).tolist()

    def integers(self, bound: int, purpose: int) -> Tensor:
        """Draw one integer for each sample.

        Args:
            bound: The integers are in [0, bound).
            purpose: A purpose of `reslab.data.draws`.

        Returns:
            int64 [n].
        """
        return draw_integers(bound, self.seed, purpose, self.epoch, self.index)


def no_augment(images: Tensor, normalize: Normalizer, draws: Draws) -> Tensor:
    """Normalise a batch without augmentation.

    Args:
        images: uint8 [n, channels, h, w].
        normalize: The normalizer.
        draws: Not used.

    Returns:
        float32 [n, channels, h, w].
    """
    return normalize(images)


@dataclass(frozen=True, slots=True)
class PadCropFlip:
    """Pad each side, crop the original size and flip half of the images (paper Sec. 4.2).

    Attributes:
        padding: Pixels added to each side.
        flip: Mirror half of the images.
        fill: "mean" pads with zeros after the mean is subtracted, "black" pads with black pixels before, "reflect"
            mirrors the pixels inside.
        alternates: Flip each image in every second epoch, instead of at random.
        cutout_size: Side in pixels of a square set to the mean, centred on any pixel (Cutout, DeVries and Taylor
            2017); 0 for none.
    """

    padding: int
    flip: bool
    fill: Literal["mean", "black", "reflect"]
    alternates: bool = False
    cutout_size: int = 0

    def __call__(self, images: Tensor, normalize: Normalizer, draws: Draws) -> Tensor:
        """Augment a batch.

        Args:
            images: uint8 [n, channels, h, w].
            normalize: The normalizer.
            draws: The batch's random draws.

        Returns:
            float32 [n, channels, h, w].
        """
        size = 2 * self.padding + 1
        top, left = draws.integers(size, CROP_Y), draws.integers(size, CROP_X)
        if self.fill == "black":
            # the mean image has the crop's size, so it is subtracted after cropping
            views = normalize(self._crop(images, top, left))
        else:
            views = self._crop(normalize(images), top, left)
        if self.flip:
            views = torch.where(self._is_flipped(draws).view(-1, 1, 1, 1), views.flip(-1), views)
        if self.cutout_size:
            views = cut_out(views, self.cutout_size, draws)
        return views

    def _is_flipped(self, draws: Draws) -> Tensor:
        if not self.alternates:
            return draws.integers(2, FLIP).bool()
        in_first = draw_integers(2, draws.seed, FLIP, 0, draws.index)
        return ((in_first + draws.epoch) % 2).bool()

    def _crop(self, images: Tensor, top: Tensor, left: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        mode = "reflect" if self.fill == "reflect" and self.padding else "constant"
        padded = F.pad(images, (self.padding,) * 4, mode=mode)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [n, c, 2p+1, 2p+1, h, w]
        return windows[torch.arange(len(images), device=images.device), :, top, left]


def cut_out(images: Tensor, size: int, draws: Draws) -> Tensor:
    """Set a square of each image to 0, the mean (DeVries and Taylor 2017).

    Args:
        images: float32 [n, channels, h, w], normalised.
        size: Side of the square in pixels. Its centre is any pixel, so a part of it may lie outside.
        draws: The batch's random draws.

    Returns:
        float32 [n, channels, h, w].
    """

    def inside(length: int, purpose: int) -> Tensor:
        start = draws.integers(length, purpose) - size // 2
        position = torch.arange(length, device=images.device)
        return (position >= start[:, None]) & (position < start[:, None] + size)

    rows, columns = inside(images.shape[-2], CUTOUT_Y), inside(images.shape[-1], CUTOUT_X)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


_ERASED_AREA, _ERASED_ASPECT = (0.02, 1 / 3), (0.3, 3.3)  # Zhong et al. 2020, Random Erasing


def erase(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Set a random rectangle of some images to 0, the mean (Random Erasing, Zhong et al. 2020).

    The rectangle has 2 to 33 % of the image's area and an aspect of 0.3 to 3.3.

    Args:
        images: float32 [n, channels, h, w], normalised.
        probability: Fraction of images with a rectangle.
        draws: The batch's random draws.

    Returns:
        float32 [n, channels, h, w].
    """

    def between(bounds: tuple[float, float], purpose: int) -> Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * draw_uniform(draws.seed, purpose, draws.epoch, draws.index)

    height, width = images.shape[-2:]
    area = between(_ERASED_AREA, ERASE_AREA) * height * width
    aspect = torch.exp(between((math.log(_ERASED_ASPECT[0]), math.log(_ERASED_ASPECT[1])), ERASE_ASPECT))
    has_rectangle = between((0.0, 1.0), ERASE) < probability

    def inside(length: int, size: Tensor, purpose: int) -> Tensor:
        size = size.round().clamp(1, length)
        start = (between((0.0, 1.0), purpose) * (length - size + 1)).floor()
        position = torch.arange(length, device=start.device)
        return (position >= start[:, None]) & (position < (start + size)[:, None])

    rows, columns = inside(height, (area * aspect).sqrt(), ERASE_Y), inside(width, (area / aspect).sqrt(), ERASE_X)
    erased = has_rectangle[:, None, None] & rows[:, :, None] & columns[:, None, :]
    return images.masked_fill(erased[:, None].to(images.device), 0.0)
