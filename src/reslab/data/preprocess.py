"""Normalisation of uint8 pixels, one definition for training and evaluation."""

import base64

import numpy as np
import torch
from torch import Tensor

from reslab.spec import PreprocessSpec

from .dataset import ArrayDataset


class Normalizer:
    """Subtraction of the mean, per pixel or per channel, and division by the standard deviation, on one device.

    Args:
        spec: Mean and deviation.
        device: Where the images are.
    """

    def __init__(self, spec: PreprocessSpec, device: torch.device) -> None:
        self.spec = spec
        self.levels = torch.tensor(255.0, device=device)
        self.std = torch.tensor(spec.std, device=device).view(1, -1, 1, 1)
        if spec.mean_image is None:
            self.mean = torch.tensor(spec.mean, device=device).view(1, -1, 1, 1)
        else:
            pixels = np.frombuffer(base64.b64decode(spec.mean_image), "<f4").reshape(
                1, spec.channels, spec.height, spec.width
            )
            self.mean = torch.from_numpy(pixels.astype(np.float32)).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise images.

        Args:
            images: uint8 [n, channels, height, width].

        Returns:
            float32 [n, channels, height, width].
        """
        # a tensor as divisor: a GPU would multiply by the inverse of a plain number, and differ in the last bit
        return (images.to(torch.float32) / self.levels - self.mean) / self.std


class PixelSums:
    """Exact integer sums over images, which give a mean image and a deviation.

    Args:
        channels: Channels of the images.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        self._count = 0
        self._total = torch.zeros(channels, height, width, dtype=torch.int64)
        self._squares = torch.zeros(channels, dtype=torch.int64)

    def add(self, images: Tensor) -> None:
        """Add images to the sums.

        Args:
            images: uint8 [n, channels, height, width].
        """
        wide = images.to(torch.int64)
        self._count += len(images)
        self._total += wide.sum(0)
        self._squares += wide.square().sum((0, 2, 3))

    def _flat_channels(self) -> list[bool]:
        """Tell which channels have a single value; rounding may give these a variance of 1e-20 instead of 0."""
        _, height, width = self._total.shape
        num_pixels = self._count * height * width
        # Python's integers, because the products exceed 2^63
        sums = zip(self._total.sum((1, 2)).tolist(), self._squares.tolist(), strict=True)
        return [num_pixels * squares == total**2 for total, squares in sums]

    def to_spec(self, *, mean: str, scale: str, short_side: int | None = None) -> PreprocessSpec:
        """Return the spec for the images added so far.

        Args:
            mean: "pixel" subtracts the mean image (paper Sec. 3.4, 4.2), "channel" the mean of each channel.
            scale: "std" divides by the channel's deviation, "none" does not divide.
            short_side: Copied into the spec.

        Returns:
            The spec.
        """
        channels, height, width = self._total.shape
        pixel_mean = self._total.double() / self._count / 255
        channel_mean = pixel_mean.mean((1, 2))
        variance = self._squares.double() / (self._count * height * width) / 255**2 - channel_mean**2
        std = variance.sqrt() if scale == "std" else torch.ones(channels)
        image = pixel_mean.numpy().astype("<f4").tobytes() if mean == "pixel" else None
        return PreprocessSpec(
            channels=channels,
            height=height,
            width=width,
            short_side=short_side,
            mean=tuple(channel_mean.tolist()),
            # a constant channel has no deviation to divide by
            std=tuple(
                1.0 if is_flat else value for value, is_flat in zip(std.tolist(), self._flat_channels(), strict=True)
            ),
            mean_image=None if image is None else base64.b64encode(image).decode(),
        )


def measure_preprocess(dataset: ArrayDataset, *, mean: str, scale: str) -> PreprocessSpec:
    """Measure the mean and the deviation of a data set in memory.

    Args:
        dataset: The images.
        mean: "pixel" or "channel", see `PixelSums.to_spec`.
        scale: "std" or "none", see `PixelSums.to_spec`.

    Returns:
        The spec.
    """
    sums = PixelSums(*dataset.images.shape[1:])
    for chunk in dataset.images.split(4096):
        sums.add(chunk)
    return sums.to_spec(mean=mean, scale=scale)
