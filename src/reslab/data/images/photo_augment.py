"""Augmentation of one photo: crops, scales, mirror images and colours.

A view is a function of the picture, the wanted side and some random bits, which the stream draws.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from reslab.data.draws import AREA, ASPECT, CROP_X, CROP_Y, FLIP, SCALE

from .decode import resize_short_side

_BITS = 2.0**32


class PhotoView(Protocol):
    """A random square view of a picture.

    Attributes:
        purposes: The draws that a view needs, 32 bits each, in this order.
    """

    purposes: ClassVar[tuple[int, ...]]

    def __call__(self, pixels: Tensor, size: int, bits: Sequence[int]) -> Tensor:
        """Cut a view out of a picture.

        Args:
            pixels: uint8 [channels, height, width].
            size: Side of the view in pixels.
            bits: One draw of 32 bits for each purpose.

        Returns:
            uint8 [channels, size, size].
        """
        ...


@dataclass(frozen=True, slots=True)
class ScaleCropFlip:
    """A random crop of the picture or its mirror image, with the shorter side at a random length (paper Sec. 3.4).

    Lengths are for views of `crop_size` pixels; for a smaller view they shrink in proportion.

    Attributes:
        min_short_side: Smallest length of the shorter side in pixels; 256 in the paper.
        max_short_side: Largest length of the shorter side in pixels; 480 in the paper.
        crop_size: Side of the view in pixels; 224 in the paper.
        flip: Mirror half of the views.
    """

    purposes: ClassVar = (SCALE, CROP_X, CROP_Y, FLIP)

    min_short_side: int
    max_short_side: int
    crop_size: int
    flip: bool

    def __call__(self, pixels: Tensor, size: int, bits: Sequence[int]) -> Tensor:
        """Cut a view uint8 [channels, size, size] out of uint8 [channels, height, width]."""
        scale, x, y, flip = bits
        side = self.min_short_side + scale % (self.max_short_side - self.min_short_side + 1)
        if size != self.crop_size:
            side = max(size, round(side * size / self.crop_size))
        pixels = resize_short_side(pixels, side)
        top, left = y % (pixels.shape[1] - size + 1), x % (pixels.shape[2] - size + 1)
        view = pixels[:, top : top + size, left : left + size]
        return view.flip(-1) if self.flip and flip % 2 else view


@dataclass(frozen=True, slots=True)
class ResizedCropFlip:
    """A random part of the picture, resized to a square, or its mirror image (Szegedy et al. 2015).

    The area is uniform, the aspect log-uniform. A side longer than the picture's is shortened to it; torchvision draws
    again instead.

    Attributes:
        min_area: Smallest area, as a fraction of the picture's; the largest is 1.
        max_aspect: Largest aspect; the smallest is 1 / max_aspect.
        flip: Mirror half of the views.
    """

    purposes: ClassVar = (AREA, ASPECT, CROP_X, CROP_Y, FLIP)

    min_area: float
    max_aspect: float
    flip: bool

    def __call__(self, pixels: Tensor, size: int, bits: Sequence[int]) -> Tensor:
        """Cut a view uint8 [channels, size, size] out of uint8 [channels, height, width]."""
        area, aspect, x, y, flip = bits
        top, left, rows, columns = self.box(pixels.shape[1], pixels.shape[2], area, aspect, x, y)
        part = pixels[:, top : top + rows, left : left + columns]
        view = F.interpolate(part[None], size=(size, size), mode="bilinear", antialias=True)[0]
        return view.flip(-1) if self.flip and flip % 2 else view

    def box(self, height: int, width: int, area: int, aspect: int, x: int, y: int) -> tuple[int, int, int, int]:
        """Compute the part of the picture that becomes the view.

        Args:
            height: Height of the picture in pixels.
            width: Width of the picture in pixels.
            area: 32 random bits for the area.
            aspect: 32 random bits for the aspect.
            x: 32 random bits for the horizontal position.
            y: 32 random bits for the vertical position.

        Returns:
            (top, left, rows, columns) in pixels.
        """
        num_pixels = height * width * (self.min_area + (1 - self.min_area) * area / _BITS)
        ratio = math.exp(math.log(self.max_aspect) * (2 * aspect / _BITS - 1))
        columns = min(width, max(1, round(math.sqrt(num_pixels * ratio))))
        rows = min(height, max(1, round(math.sqrt(num_pixels / ratio))))
        return y % (height - rows + 1), x % (width - columns + 1), rows, columns


@dataclass(frozen=True, slots=True)
class RandAugment:
    """Random operations on colour or geometry, drawn with replacement (RandAugment, Cubuk et al. 2020).

    It takes RGB and grey pictures. Operations with a sign draw it; empty corners become grey.

    Attributes:
        num_ops: Operations for each picture.
        magnitude: Strength of all operations, from 0 (nearly none) to 30, as in the paper and torchvision.
    """

    num_ops: int
    magnitude: int

    def __call__(self, pixels: Tensor, bits: int) -> Tensor:
        """Apply the operations.

        Args:
            pixels: uint8 [channels, size, size], 1 or 3 channels.
            bits: Seed of the choice of operations.

        Returns:
            uint8 [channels, size, size].
        """
        draws = random.Random(bits)
        grey = pixels.shape[0] == 1
        picture = Image.fromarray(pixels[0].numpy() if grey else pixels.permute(1, 2, 0).numpy())
        for _ in range(self.num_ops):
            operation = draws.choice(_OPERATIONS)
            sign = draws.choice((-1, 1))
            picture = operation(picture, self.magnitude / 30, sign)
        planes = torch.from_numpy(np.array(picture))
        return planes[None] if grey else planes.permute(2, 0, 1)


def _transform(picture: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    grey = 128 if picture.mode == "L" else (128, 128, 128)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=grey)


def _rotate(picture: Image.Image, level: float, sign: int) -> Image.Image:
    angle = math.radians(30 * level * sign)
    cos, sin = math.cos(angle), math.sin(angle)
    middle_x, middle_y = picture.width / 2, picture.height / 2
    offset_x = middle_x - cos * middle_x - sin * middle_y
    offset_y = middle_y + sin * middle_x - cos * middle_y
    return _transform(picture, (cos, sin, offset_x, -sin, cos, offset_y))


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> "_Operation":
    return lambda picture, level, sign: kind(picture).enhance(1 + 0.9 * level * sign)


_Operation = Callable[[Image.Image, float, int], Image.Image]
# the fourteen operations of that paper; ranges as in torchvision's RandAugment
_OPERATIONS: tuple[_Operation, ...] = (
    lambda picture, level, sign: picture,
    lambda picture, level, sign: ImageOps.autocontrast(picture),
    lambda picture, level, sign: ImageOps.equalize(picture),
    lambda picture, level, sign: ImageOps.posterize(picture, 8 - round(4 * level)),
    lambda picture, level, sign: ImageOps.solarize(picture, round(256 * (1 - level))),
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    _rotate,
    lambda picture, level, sign: _transform(picture, (1, 0.3 * level * sign, 0, 0, 1, 0)),
    lambda picture, level, sign: _transform(picture, (1, 0, 0, 0.3 * level * sign, 1, 0)),
    lambda picture, level, sign: _transform(picture, (1, 0, 0.45 * picture.width * level * sign, 0, 1, 0)),
    lambda picture, level, sign: _transform(picture, (1, 0, 0, 0, 1, 0.45 * picture.height * level * sign)),
)
