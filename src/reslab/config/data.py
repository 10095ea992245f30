"""Where images come from, and what is done to them before the network sees them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Discriminator

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAugment:
    """Every training image as it is."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class PadCrop:
    """Pad each side, crop the original size at random, flip half of the images (paper Sec. 4.2).

    fill: what the padding is: "mean" pads after the mean is subtracted (as fb.resnet.torch), "black" before,
        "reflect" repeats what is inside.
    flip_order: "random" draws for each image and epoch; "alternating" draws once for each image, and then flips it in
        every second epoch (Jordan 2024), so that two epochs show both sides of all images.
    cutout_size: side of a square at a random place that is set to the mean (DeVries and Taylor 2017); 0 for none.
    """

    kind: Literal["pad_crop"] = "pad_crop"
    padding: int = 4
    flip: bool = True
    fill: Literal["mean", "black", "reflect"] = "mean"
    flip_order: Literal["random", "alternating"] = "random"
    cutout_size: int = 0

    def __post_init__(self) -> None:
        require(self.padding >= 0, "padding", self.padding, "0 or more pixels")
        require(self.cutout_size >= 0, "cutout_size", self.cutout_size, "0 or more pixels")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleCrop:
    """Resize the shorter side to a random size in [min, max], crop at random, flip half (paper Sec. 3.4).

    color_std: standard deviation of the PCA colour augmentation (paper ref. 21: 0.1); 0 for none.
    """

    kind: Literal["scale_crop"] = "scale_crop"
    min_short_side: int = 256
    max_short_side: int = 480
    crop_size: int = 224
    flip: bool = True
    color_std: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.crop_size, self.min_short_side, self.max_short_side)
        require(
            1 <= sizes[0] <= sizes[1] <= sizes[2],
            "crop_size, min_short_side, max_short_side",
            sizes,
            "1 <= crop_size <= min <= max",
        )
        require(self.color_std >= 0, "color_std", self.color_std, "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResizedCrop:
    """A random part of the picture resized to a square, or its mirror image (Szegedy et al. 2015); for photos.

    min_area: the smallest part of the area that is taken; max_aspect: the longest shape, as width over height or back.
    color_std: as of "scale_crop". randaugment_ops, randaugment_magnitude: operations on colour and geometry for each
        image, and their strength, 0 to 30 (Cubuk et al. 2020); 0 operations for none.
    erase_probability: of a random rectangle set to the mean (Zhong et al. 2020).
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
        require(self.crop_size >= 8, "crop_size", self.crop_size, "8 pixels or more")
        require(0 < self.min_area <= 1, "min_area", self.min_area, "a part of the area, above 0 up to 1")
        require(self.max_aspect >= 1, "max_aspect", self.max_aspect, "1 or more")
        require(self.color_std >= 0, "color_std", self.color_std, "0 or more")
        require(self.randaugment_ops >= 0, "randaugment_ops", self.randaugment_ops, "0 or more")
        require(0 <= self.randaugment_magnitude <= 30, "randaugment_magnitude", self.randaugment_magnitude, "0 to 30")
        require(0 <= self.erase_probability <= 1, "erase_probability", self.erase_probability, "0 to 1")


Augment = Annotated[NoAugment | PadCrop | ScaleCrop | ResizedCrop, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where images come from and how they reach the network.

    kind: the format; "auto" recognises what lies at `path` by its content.
    path: a folder or archive; None looks under the data root (RESLAB_DATA) and downloads what can be downloaded.
    validation_size: images held out of the training images, stratified by class; used when the data has no
        validation part of its own.
    test_size: images held out before them as the test part, likewise; used when the data has no test part of its own.
    val_is: what the data's validation part is used as. "test" makes it the test part, so that nothing is chosen by it,
        and validation is held out of training.
    channels: of image files: 1 grey, 3 colour, 4 with transparency, any number from .npy files; None: 3.
    skip_unreadable: leave out image files that cannot be read, and record them in the run, instead of refusing.
    mean: subtract a mean per pixel position (the paper) or per channel; "weights" measures nothing, and takes mean and
        deviation from the model file that the run starts from, so that the network sees the inputs it knows (`scale`
        then has no say).
    scale: divide by nothing (the paper) or by the standard deviation per channel. With batch norm after the first
        convolution the network's output does not depend on it.
    first_size: side of the training images, in pixels, at the start of the run; None: their own from the start.
        Smaller images cost less, and the network can learn what is coarse from them.
    full_size_from: the part of the run after which images have their own size; up to there it grows in equal steps.
    size, short_side, fit: how photos are shown in evaluation: the side of the square, the shorter side before the
        centre is cropped (only "crop" has one), and "crop", "letterbox" or "squash" (see PreprocessSpec). None: the
        training crop, and 256 pixels for each 224. For image files only, like skip_unreadable.
    sampling: "natural" shows every image once in an epoch, "balanced" every class equally often.
    mixup_alpha, cutmix_alpha: of the Beta distribution of the share that another image gets in each (Zhang et al.
        2018; Yun et al. 2019); 0 for none. The training error is then that of the larger picture's label only.
    """

    kind: Literal["auto", "digits", "cifar10", "cifar100", "idx", "folder"] = "auto"
    path: str | None = None
    validation_size: int = 0
    validation_seed: int = 0
    test_size: int = 0
    val_is: Literal["validation", "test"] = "validation"
    channels: int | None = None
    skip_unreadable: bool = False
    mean: Literal["pixel", "channel", "weights"] = "channel"
    scale: Literal["none", "std"] = "none"
    first_size: int | None = None
    full_size_from: float = 0.5
    size: int | None = None
    short_side: int | None = None
    fit: Literal["crop", "letterbox", "squash"] = "crop"
    sampling: Literal["natural", "balanced"] = "natural"
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    augment: Augment = field(default_factory=NoAugment)

    def __post_init__(self) -> None:
        require(self.first_size is None or self.first_size >= 8, "first_size", self.first_size, "8 pixels or more")
        require(0 < self.full_size_from < 1, "full_size_from", self.full_size_from, "a part of the run, 0 to 1")
        require(self.validation_size >= 0, "validation_size", self.validation_size, "0 or more images")
        require(self.test_size >= 0, "test_size", self.test_size, "0 or more images")
        require(self.channels is None or self.channels >= 1, "channels", self.channels, "1 or more, or none")
        require(self.size is None or self.size >= 8, "size", self.size, "8 pixels or more")
        require(
            self.short_side is None or self.short_side >= (self.size or 1), "short_side", self.short_side,
            "the side of the evaluation's square (data.size) or more",
        )  # fmt: skip
        for name in ("mixup_alpha", "cutmix_alpha"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
