"""From uint8 pixels to the network's input, by a `PreprocessSpec`; one definition for training and evaluation."""

import base64

import numpy as np
import torch
from torch import Tensor

from reslab.spec import PreprocessSpec

from .dataset import ArrayDataset


class Normalizer:
    """Subtract the mean (per pixel or per channel) and divide by the standard deviation, on one device."""

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
        """uint8 [n, channels, height, width] -> float32 of the same shape."""
        # by a tensor: a GPU would multiply by the inverse of a plain number, and differ from the CPU in the last bit
        return (images.to(torch.float32) / self.levels - self.mean) / self.std


class PixelSums:
    """Exact integer sums over images, from which a mean image and a deviation follow."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        self._count = 0
        self._total = torch.zeros(channels, height, width, dtype=torch.int64)
        self._squares = torch.zeros(channels, dtype=torch.int64)

    def add(self, images: Tensor) -> None:
        """Take in uint8 [n, channels, height, width]."""
        wide = images.to(torch.int64)
        self._count += len(images)
        self._total += wide.sum(0)
        self._squares += wide.square().sum((0, 2, 3))

    def _flat_channels(self) -> list[bool]:
        """Whether each channel has one value only; `variance` is rounded, and may then be 1e-20 instead of 0."""
        _, height, width = self._total.shape
        num_pixels = self._count * height * width
        # Python's integers: the products pass 2^63
        sums = zip(self._total.sum((1, 2)).tolist(), self._squares.tolist(), strict=True)
        return [num_pixels * squares == total**2 for total, squares in sums]

    def to_spec(self, *, mean: str, scale: str, short_side: int | None = None) -> PreprocessSpec:
        """Return the spec; mean: "pixel" or "channel"; scale: "std" divides by the channel's deviation, "none" by 1."""
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
            # a constant channel has nothing to divide by
            std=tuple(
                1.0 if is_flat else value for value, is_flat in zip(std.tolist(), self._flat_channels(), strict=True)
            ),
            mean_image=None if image is None else base64.b64encode(image).decode(),
        )


def measure_preprocess(dataset: ArrayDataset, *, mean: str, scale: str) -> PreprocessSpec:
    """Return the spec whose mean and deviation are those of `dataset`."""
    sums = PixelSums(*dataset.images.shape[1:])
    for chunk in dataset.images.split(4096):
        sums.add(chunk)
    return sums.to_spec(mean=mean, scale=scale)
