"""From config to the stream of training batches: order, views, augmentation, mixing."""

from collections.abc import Callable
from typing import NotRequired, TypedDict, Unpack

import torch

from reslab.config import DataConfig, NoAugment, PadCrop, ResizedCrop, RunConfig, ScaleCrop
from reslab.data import ArrayDataset, Dataset
from reslab.data.augment import PadCropFlip, no_augment
from reslab.data.dataset import FileDataset
from reslab.data.images.photo_augment import PhotoView, RandAugment, ResizedCropFlip, ScaleCropFlip
from reslab.data.images.photo_stream import PhotoStream
from reslab.data.mixing import MixedStream, Mixing
from reslab.data.order import Order, balanced_order
from reslab.data.preprocess import Normalizer
from reslab.data.stream import MemoryStream, Stream, growing_size
from reslab.distributed import World
from reslab.errors import UsageError, counted
from reslab.spec import PreprocessSpec


class _Share(TypedDict):
    """Which batches a stream makes, and this process's share of them."""

    batch_size: int
    seed: int
    device: torch.device
    rank: int
    world_size: int
    order: NotRequired[Order]


def build_stream(
    config: RunConfig, train: Dataset, preprocess: PreprocessSpec, device: torch.device, world: World
) -> Stream:
    """Build the endless stream of training batches.

    Args:
        config: Order, augmentation, sizes and mixing.
        train: The training part.
        preprocess: What images are normalised by.
        device: Where the batches are needed.
        world: Which part of each batch is this process's.

    Raises:
        UsageError: The data does not take the augmentation, a size, or mixing.
    """
    normalize = Normalizer(preprocess, device)
    share = _Share(
        batch_size=config.train.batch_size, seed=config.seed, device=device, rank=world.rank, world_size=world.size
    )
    if config.data.sampling == "balanced":
        share["order"] = balanced_order(config.seed, train.labels)
    if isinstance(train, ArrayDataset):
        stream = _memory_stream(config, train, normalize, **share)
    else:
        stream = _photo_stream(config, train, normalize, **share)
    if config.data.mixup_alpha or config.data.cutmix_alpha:
        if config.train.batch_size == world.size:
            raise UsageError(
                f"train.batch_size is {config.train.batch_size} with {counted(world.size, 'process')}, so each has a "
                "single image, but data.mixup_alpha and data.cutmix_alpha mix the images of a process. Use larger "
                "batches."
            )
        return MixedStream(stream, Mixing(config.data.mixup_alpha, config.data.cutmix_alpha))
    return stream


def _memory_stream(config: RunConfig, train: ArrayDataset, normalize: Normalizer, **share: Unpack[_Share]) -> Stream:
    match config.data.augment:
        case NoAugment():
            augment = no_augment
        case PadCrop() as crop:
            side = min(train.images.shape[-2:])
            if crop.fill == "reflect" and crop.padding >= side:
                raise UsageError(
                    f"data.augment.padding is {crop.padding}, but for the images of {train.name}, {side} pixels wide, "
                    f"'reflect' can pad at most {side - 1}. Use less, or another data.augment.fill."
                )
            augment = PadCropFlip(
                crop.padding,
                crop.flip,
                crop.fill,
                alternates=crop.flip_order == "alternating",
                cutout_size=crop.cutout_size,
            )
        case other:
            raise UsageError(f"data.augment.kind is {other.kind!r}; {train.name} needs 'none' or 'pad_crop'.")
    return MemoryStream(train, normalize, augment, size_at=_memory_sizes(config, train), **share)


def _memory_sizes(config: RunConfig, train: ArrayDataset) -> Callable[[int], int] | None:
    first, own = config.data.initial_size, train.images.shape[-1]
    if first is None:
        return None
    if train.images.shape[-2] != own or first > own:
        raise UsageError(
            f"data.initial_size is {first}, but {train.name} has images of {train.images.shape[-2]}x{own}; allowed: "
            "at most the side of square images."
        )
    return growing_size(first, own, _full_size_step(config))


def _photo_stream(config: RunConfig, train: FileDataset, normalize: Normalizer, **share: Unpack[_Share]) -> Stream:
    augment = config.data.augment
    if not isinstance(augment, ScaleCrop | ResizedCrop):
        raise UsageError(f"data.augment.kind is {augment.kind!r}; {train.name} needs 'scale_crop' or 'resized_crop'.")
    is_resized = isinstance(augment, ResizedCrop)
    return PhotoStream(
        train,
        normalize,
        _view(augment),
        size_at=_photo_sizes(config),
        color_std=augment.color_std,
        operations=_operations(augment, train) if is_resized else None,
        erase_probability=augment.erase_probability if is_resized else 0.0,
        **share,
    )


def _view(augment: ScaleCrop | ResizedCrop) -> PhotoView:
    if isinstance(augment, ScaleCrop):
        return ScaleCropFlip(augment.min_short_side, augment.max_short_side, augment.crop_size, augment.flip)
    return ResizedCropFlip(augment.min_area, augment.max_aspect, augment.flip)


def _operations(augment: ResizedCrop, train: FileDataset) -> RandAugment | None:
    if not augment.randaugment_ops:
        return None
    if train.num_channels not in (1, 3):
        raise UsageError(
            f"data.augment.randaugment_ops is {augment.randaugment_ops}, but the images have {train.num_channels} "
            "channels, and RandAugment is for grey and RGB images only. Use 0."
        )
    return RandAugment(augment.randaugment_ops, augment.randaugment_magnitude)


_STEP = 16  # pixels between two sizes of photos; a stride-32 network sees a new map size every other step


def _photo_sizes(config: RunConfig) -> Callable[[int], int]:
    data: DataConfig = config.data
    assert isinstance(data.augment, ScaleCrop | ResizedCrop)
    full = data.augment.crop_size
    if data.initial_size is None:
        return lambda step: full
    if data.initial_size > full:
        raise UsageError(f"data.initial_size is {data.initial_size}; allowed: {full} (data.augment.crop_size) or less.")
    return growing_size(data.initial_size, full, _full_size_step(config), multiple=_STEP)


def _full_size_step(config: RunConfig) -> int:
    return round(config.data.full_size_from * config.train.iterations)
