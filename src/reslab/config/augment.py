"""Augmentation: random changes of the training images."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAugment:
    """Show every training image as it is."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class PadCrop:
    """Pad each side, crop the original size at random, flip half of the images (paper Sec. 4.2).

    Attributes:
        kind: "pad_crop".
        padding: Pixels added to each side.
        flip: Whether to mirror half of the images.
        fill: What the padding holds: "mean" pads with zero after the mean is subtracted (as fb.resnet.torch), "black"
            before, "reflect" mirrors the image at its border.
        flip_order: "random" draws for each image and epoch. "alternating" draws once for each image, then flips it in
            every second epoch, so that two epochs show both sides of all images (Jordan 2024).
        cutout_size: Side of a square at a random place that is set to the mean, in pixels (DeVries and Taylor 2017);
            0 for none.
    """

    kind: Literal["pad_crop"] = "pad_crop"
    padding: int = 4
    flip: bool = True
    fill: Literal["mean", "black", "reflect"] = "mean"
    flip_order: Literal["random", "alternating"] = "random"
    cutout_size: int = 0

    def __post_init__(self) -> None:
        require(self.padding >= 0, "data.augment.padding", self.padding, "0 or more pixels")
        require(self.cutout_size >= 0, "data.augment.cutout_size", self.cutout_size, "0 or more pixels")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleCrop:
    """Resize the shorter side to a random size, crop at random, flip half of the photos (paper Sec. 3.4).

    Attributes:
        kind: "scale_crop".
        min_short_side: Smallest length of the shorter side, in pixels.
        max_short_side: Largest length of the shorter side, in pixels.
        crop_size: Side of the crop, in pixels.
        flip: Whether to mirror half of the photos.
        color_std: Standard deviation of the PCA colour augmentation (paper ref. 21: 0.1); 0 for none.
    """

    kind: Literal["scale_crop"] = "scale_crop"
    min_short_side: int = 256
    max_short_side: int = 480
    crop_size: int = 224
    flip: bool = True
    color_std: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.crop_size, self.min_short_side, self.max_short_side)
        names = "data.augment's crop_size, min_short_side, max_short_side"
        require(1 <= sizes[0] <= sizes[1] <= sizes[2], names, sizes, "1 <= crop_size <= min <= max")
        require(self.color_std >= 0, "data.augment.color_std", self.color_std, "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResizedCrop:
    """Resize a random part of the photo to a square, flip half of them (Szegedy et al. 2015).

    Attributes:
        kind: "resized_crop".
        crop_size: Side of the square, in pixels.
        min_area: Smallest fraction of the photo's area that is shown.
        max_aspect: Longest shape of the part, as width over height or height over width.
        flip: Whether to mirror half of the photos.
        color_std: Standard deviation of the PCA colour augmentation (paper ref. 21: 0.1); 0 for none.
        randaugment_ops: Number of random operations on colour and geometry for each photo (Cubuk et al. 2020); 0 for
            none.
        randaugment_magnitude: Their strength, 0 to 30.
        erase_probability: Probability of setting a random rectangle to the mean (Zhong et al. 2020).
    """

    kind: Literal["resized_crop"] = "resized_crop"
    crop_size: int = 224
    min_area: float = 0.25
    max_aspect: float = 4 / 3
    flip: bool = True
    color_std: float = 0.0
    randaugment_ops: int = 0
    randaugment_magnitude: int = 9
    erase_probability: float = 0.0

    def __post_init__(self) -> None:
        for name, holds, allowed in (
            ("crop_size", self.crop_size >= 8, "8 pixels or more"),
            ("min_area", 0 < self.min_area <= 1, "a fraction of the area, above 0 up to 1"),
            ("max_aspect", self.max_aspect >= 1, "1 or more"),
            ("color_std", self.color_std >= 0, "0 or more"),
            ("randaugment_ops", self.randaugment_ops >= 0, "0 or more"),
            ("randaugment_magnitude", 0 <= self.randaugment_magnitude <= 30, "0 to 30"),
            ("erase_probability", 0 <= self.erase_probability <= 1, "0 to 1"),
        ):
            require(holds, f"data.augment.{name}", getattr(self, name), allowed)


Augment = Annotated[NoAugment | PadCrop | ScaleCrop | ResizedCrop, Discriminator("kind")]
