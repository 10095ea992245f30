"""The specs that a model file carries: enough to rebuild a network and to prepare its inputs.

Specs are not configuration: they live in the model file and outlive the run that made it.
"""

import base64
import math
from dataclasses import dataclass
from typing import Literal, get_args

from reslab.errors import UsageError, check_choice

Family = Literal["imagenet", "cifar", "vgg"]
Block = Literal["basic", "bottleneck", "conv"]
Shortcut = Literal["A", "B", "C", "none"]
ZeroPad = Literal["after", "split"]
StrideOn = Literal["1x1", "3x3"]
Norm = Literal["batch", "none"]
ResizeMode = Literal["crop", "letterbox", "squash"]
Stem = Literal["imagenet", "cifar", "none"]

BOTTLENECK_EXPANSION = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """The architecture of a plain, residual or VGG network.

    Attributes:
        family: The paper's table: "imagenet" (Table 1), "cifar" (Sec. 4.2), or "vgg" (for comparison).
        block: Two 3x3 layers ("basic"), 1x1-3x3-1x1 ("bottleneck"), or a single layer ("conv", VGG).
        num_blocks: Blocks in each stage.
        widths: Channels of the 3x3 layers in each stage. A bottleneck's output has four times as many.
        shortcut: "A" zero-padded identity, "B" projection where dimensions change, "C" projection everywhere,
            "none" a plain network (paper Sec. 3.3 and 4.1).
        stride_on: The bottleneck layer with the stride: "1x1" is the paper's, "3x3" torchvision's ("v1.5").
            A basic block always has it on its first 3x3.
        stem: 7x7/2 convolution and 3x3/2 max-pool ("imagenet"), one 3x3 convolution ("cifar"), or none (VGG).
        num_classes: Outputs of the last layer.
        in_channels: Channels of the input image.
        zero_pad: Where option A puts the zero channels: after the input's, or half before and half after.
            The paper does not say.
        norm: Batch normalization after every convolution, or none; without it convolutions have biases.
        zero_init_residual: Whether every block's last batch-norm scale starts at zero (not in the paper).

    Raises:
        UsageError: A value is not allowed, or a combination does not make a network.
    """

    family: Family
    block: Block
    num_blocks: tuple[int, ...]
    widths: tuple[int, ...]
    shortcut: Shortcut
    stride_on: StrideOn
    stem: Stem
    num_classes: int
    in_channels: int = 3
    zero_pad: ZeroPad = "after"
    norm: Norm = "batch"
    zero_init_residual: bool = False

    def __post_init__(self) -> None:
        check_choice("family", self.family, get_args(Family))
        check_choice("block", self.block, get_args(Block))
        check_choice("shortcut", self.shortcut, get_args(Shortcut))
        check_choice("zero_pad", self.zero_pad, get_args(ZeroPad))
        check_choice("stride_on", self.stride_on, get_args(StrideOn))
        check_choice("norm", self.norm, get_args(Norm))
        check_choice("stem", self.stem, get_args(Stem))
        self._check_sizes()
        self._check_combinations()

    def _check_sizes(self) -> None:
        if self.num_classes < 2:
            raise UsageError(f"num_classes is {self.num_classes}; a classifier needs at least 2.")
        if self.in_channels < 1:
            raise UsageError(f"in_channels is {self.in_channels}; images have at least 1 channel.")
        if not self.num_blocks or min(self.num_blocks) < 1:
            raise UsageError(f"num_blocks is {self.num_blocks}; every stage needs at least 1 block.")
        if len(self.widths) != len(self.num_blocks) or min(self.widths) < 1:
            raise UsageError(
                f"widths is {self.widths} for {len(self.num_blocks)} stages; give one width of at least 1 per stage."
            )

    def _check_combinations(self) -> None:
        if (self.family == "vgg") != (self.block == "conv") or (self.family == "vgg") != (self.stem == "none"):
            raise UsageError(
                f"family {self.family!r} does not go with block {self.block!r} and stem {self.stem!r}; "
                "family 'vgg' needs block='conv' and stem='none', and the other families take neither."
            )
        if self.family == "vgg" and self.shortcut != "none":
            raise UsageError(f"shortcut is {self.shortcut!r}; VGG networks have none: use shortcut='none'.")
        if self.block != "bottleneck" and self.stride_on != "3x3":
            raise UsageError(
                f"stride_on is {self.stride_on!r} with block {self.block!r}; only a 'bottleneck' has a 1x1 layer. "
                "Use stride_on='3x3'."
            )
        if self.zero_init_residual and (self.norm == "none" or self.shortcut == "none"):
            raise UsageError(
                "zero_init_residual=True needs norm='batch' and a shortcut. Without batch norm, no scale can be set; "
                "without a shortcut, every block would return zero."
            )
        if self.shortcut == "A":
            self._check_zero_padding()

    def _check_zero_padding(self) -> None:
        channels = self.stem_channels
        for width in self.widths:
            out_channels = width * self.expansion
            if out_channels < channels:
                raise UsageError(
                    f"shortcut 'A' pads with zeros and cannot go from {channels} down to {out_channels} channels; "
                    "use shortcut 'B' or widths that do not shrink."
                )
            if self.zero_pad == "split" and (out_channels - channels) % 2:
                raise UsageError(
                    f"zero_pad 'split' cannot halve {out_channels - channels} missing channels; use zero_pad='after'."
                )
            channels = out_channels

    @property
    def expansion(self) -> int:
        """Output channels of a block divided by its width."""
        return BOTTLENECK_EXPANSION if self.block == "bottleneck" else 1

    @property
    def stem_channels(self) -> int:
        """Channels between the stem and the first stage."""
        return self.in_channels if self.stem == "none" else self.widths[0]

    @property
    def is_plain(self) -> bool:
        """Whether the network has no shortcuts."""
        return self.shortcut == "none"

    @property
    def depth(self) -> int:
        """Weighted layers on the main path, as the paper counts them: without projections."""
        layers_per_block = {"basic": 2, "bottleneck": 3, "conv": 1}[self.block]
        first_and_last = 3 if self.family == "vgg" else 2  # VGG ends in three fully connected layers
        return layers_per_block * sum(self.num_blocks) + first_and_last

    @property
    def label(self) -> str:
        """A name for people that tells look-alike networks apart, such as "ResNet-50 (option B; ...)"."""
        if self.family == "vgg":
            return f"VGG-{self.depth}"
        kind = "plain" if self.is_plain else "ResNet"
        details = [] if self.is_plain else [f"option {self.shortcut}"]
        if self.shortcut == "A" and self.zero_pad == "split":
            details.append("zeros split")
        if self.block == "bottleneck":
            version = "v1, the paper's" if self.stride_on == "1x1" else "v1.5, torchvision's"
            details.append(f"stride on the {self.stride_on}: {version}")
        if self.norm == "none":
            details.append("no batch norm")
        if self.zero_init_residual:
            details.append("zero-initialised last BN scale")
        return f"{kind}-{self.depth}" + (f" ({'; '.join(details)})" if details else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessSpec:
    """How a decoded picture (uint8, any size) becomes the network's input: (pixel / 255 - mean) / std.

    Attributes:
        channels: Channels of the input.
        height: Height of the input in pixels.
        width: Width of the input in pixels.
        mean: Mean of each channel, for pixels scaled to [0, 1].
        std: Standard deviation of each channel, for pixels scaled to [0, 1].
        short_side: With resize_mode "crop", the length in pixels to which the shorter side is resized first.
            None: only pictures of exactly height x width are accepted.
        mean_image: A mean for every pixel, used instead of `mean` (paper Sec. 3.4, 4.2: "per-pixel mean subtracted").
            float32 little-endian [channels, height, width] in base64; `mean` then holds its average per channel.
        resize_mode: How a picture of another size becomes height x width. "crop" takes the centre; "letterbox" fits
            the whole picture inside and fills the rest with the mean colour; "squash" resizes both sides, whatever
            the aspect. `reslab.data.images.picture.view` documents the rounding.

    Raises:
        UsageError: A value is not allowed, or does not agree with another.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    short_side: int | None = None
    mean_image: str | None = None
    resize_mode: ResizeMode = "crop"

    def __post_init__(self) -> None:
        check_choice("resize_mode", self.resize_mode, get_args(ResizeMode))
        if self.resize_mode != "crop" and self.short_side is not None:
            raise UsageError(
                f"short_side is {self.short_side} with resize_mode {self.resize_mode!r}; only 'crop' has one: use None."
            )
        if min(self.channels, self.height, self.width) < 1:
            raise UsageError(
                f"input size is {self.channels}x{self.height}x{self.width}; channels, height and width must be at "
                "least 1."
            )
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise UsageError(
                f"mean is {self.mean} and std {self.std}; both need one value for each of {self.channels} channels."
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))):
            raise UsageError(f"mean is {self.mean} and std {self.std}; both must be finite.")
        if min(self.std) <= 0:
            raise UsageError(f"std is {self.std}; it divides the input, so every value must be positive.")
        if self.short_side is not None and self.short_side < max(self.height, self.width):
            raise UsageError(
                f"short_side is {self.short_side}, smaller than the crop {self.height}x{self.width}; "
                f"use {max(self.height, self.width)} or more."
            )
        if self.mean_image is not None:
            num_bytes = len(base64.b64decode(self.mean_image))
            if num_bytes != 4 * self.channels * self.height * self.width:
                raise UsageError(
                    f"mean_image has {num_bytes} bytes; float32 values for {self.channels} x {self.height} x "
                    f"{self.width} pixels are {4 * self.channels * self.height * self.width} bytes."
                )
