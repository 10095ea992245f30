"""Where images come from, and how they are shown to the network."""

from dataclasses import dataclass, field
from typing import Literal

from .augment import Augment, NoAugment
from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoConfig:
    """Configure how photos are read, and how evaluation shows them; images in memory take none of it.

    Attributes:
        size: Side of the square that evaluation shows, in pixels; None: the training crop.
        short_side: Shorter side that a photo is resized to before its centre is cropped, in pixels; for "crop" only.
            None: 256 pixels for each 224 of `size`.
        resize_mode: How a photo becomes a square: "crop", "letterbox" or "squash" (see `PreprocessSpec`).
        skip_unreadable: Leave out image files that cannot be read, and record them in the run, instead of stopping.
    """

    size: int | None = None
    short_side: int | None = None
    resize_mode: Literal["crop", "letterbox", "squash"] = "crop"
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        size, short_side = self.size, self.short_side
        require(size is None or size >= 8, "data.photos.size", size, "8 pixels or more")
        allowed = "the side of the evaluation's square (data.photos.size) or more"
        require(short_side is None or short_side >= (size or 1), "data.photos.short_side", short_side, allowed)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Configure where images come from and how they reach the network.

    Attributes:
        kind: Format of the data; "auto" recognises it by its content.
        path: Folder or archive; None looks under the data root (RESLAB_DATA), and downloads what can be downloaded.
        order: Order of the images of an archive. "canonical" sorts them by their content, so that every copy of a data
            set gives the same batches; "archive" is the order of its files, in which runs before this setting saw
            them. The digits are embedded in one order, and image files are sorted by class and name.
        validation_size: Number of training images to hold out for validation, stratified by class. Used where the
            data has no validation part of its own.
        validation_seed: Seed by which images are held out.
        test_size: Number of training images to hold out as the test part, before validation. Used where the data has
            no test part of its own.
        validation_is: What the data's own validation part is used as. "test" makes it the test part, on which nothing
            is selected; validation is then held out of the training images.
        channels: Channels of image files: 1 grey, 3 colour, 4 with transparency, any number from .npy files; None: 3.
        mean: Subtract a mean for each pixel position (the paper) or for each channel. "weights" measures nothing: mean
            and deviation are those of the model file that the run starts from, and `scale` has no effect.
        scale: Divide by nothing (the paper) or by the standard deviation of each channel. With batch norm after the
            first convolution the network's output does not depend on it.
        initial_size: Side of the training images at the start of the run, in pixels; None: full size from the start.
            Smaller images cost less, and coarse structure can be learned from them.
        full_size_from: Fraction of the run after which images have full size; until then it grows in equal steps.
        sampling: "natural" shows every image once in an epoch, "balanced" shows every class equally often.
        mixup_alpha: Parameter of the Beta distribution from which mixup draws the weight of an image (Zhang et al.
            2018); 0 does not mix. The training error is then that of the label with the larger weight.
        cutmix_alpha: The same for cutmix (Yun et al. 2019).
        photos: How photos are read and shown; for image files only.
        augment: Random changes of the training images, one of several kinds.
    """

    kind: Literal["auto", "digits", "cifar10", "cifar100", "idx", "folder"] = "auto"
    path: str | None = None
    order: Literal["canonical", "archive"] = "canonical"
    validation_size: int = 0
    validation_seed: int = 0
    test_size: int = 0
    validation_is: Literal["validation", "test"] = "validation"
    channels: int | None = None
    mean: Literal["pixel", "channel", "weights"] = "channel"
    scale: Literal["none", "std"] = "none"
    initial_size: int | None = None
    full_size_from: float = 0.5
    sampling: Literal["natural", "balanced"] = "natural"
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    photos: PhotoConfig = field(default_factory=PhotoConfig)
    augment: Augment = field(default_factory=NoAugment)

    def __post_init__(self) -> None:
        initial, channels, fraction = self.initial_size, self.channels, self.full_size_from
        require(initial is None or initial >= 8, "data.initial_size", initial, "8 pixels or more, or none")
        require(0 < fraction < 1, "data.full_size_from", fraction, "a fraction of the run, above 0 and below 1")
        require(channels is None or channels >= 1, "data.channels", channels, "1 or more, or none")
        for name in ("validation_size", "test_size"):
            require(getattr(self, name) >= 0, f"data.{name}", getattr(self, name), "0 or more images")
        for name in ("mixup_alpha", "cutmix_alpha"):
            require(getattr(self, name) >= 0, f"data.{name}", getattr(self, name), "0 or more")
