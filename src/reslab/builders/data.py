"""From config to data: its parts, and how images become the network's input."""

import logging
from dataclasses import replace
from pathlib import Path

from reslab.config import DataConfig, ResizedCrop, RunConfig, ScaleCrop
from reslab.data import ArrayDataset, Dataset, Splits
from reslab.data.dataset import hold_out
from reslab.data.images.photos import measure_photo_preprocess
from reslab.data.preprocess import measure_preprocess
from reslab.data.sources import open_splits
from reslab.errors import UsageError, counted
from reslab.spec import PreprocessSpec
from reslab.weights.transfer import preprocess_like, read_start

from .checks import check_classes, check_held_out

log = logging.getLogger(__name__)

_RESIZE_OVER_CROP = 256 / 224  # the centre view's short side over the crop, as in the paper's 10-crop testing


def build_splits(config: DataConfig, *, for_new_run: bool = False) -> Splits:
    """Open the data; hold a test or validation part that is asked for and missing out of the training images.

    Args:
        config: Which data, and what is held out of it.
        for_new_run: Check what a new run needs: two classes, and no held-out part that data in memory already has.
            The data of a resumed run, and data to evaluate on, is opened as it is.

    Raises:
        UsageError: The data does not take a setting of its parts or channels; for views see `check_views`.
        RunError: The data is missing or damaged, or nothing can be trained on it.
    """
    splits = open_splits(config.kind, config.path, channels=config.channels, order=config.order)
    train, validation, test = splits.train, splits.validation, splits.test
    if config.channels not in (None, train.num_channels):
        raise UsageError(
            f"data.channels is {config.channels}, but {train.name} has images with "
            f"{counted(train.num_channels, 'channel')}."
        )
    if config.validation_is == "test":
        validation, test = None, _validation_as_test(splits)
    if for_new_run:
        check_classes(config, train)
        check_held_out("validation", config.validation_size, validation, train)
        check_held_out("test", config.test_size, test, train)
    if test is None and config.test_size:
        train, test = hold_out(train, config.test_size, config.validation_seed, "test_size")
    if validation is None and config.validation_size:
        train, validation = hold_out(train, config.validation_size, config.validation_seed)
    return Splits(train, validation, test)


def _validation_as_test(splits: Splits) -> Dataset:
    if splits.validation is None or splits.test is not None:
        what = "no validation part" if splits.validation is None else "a test part of its own"
        raise UsageError(f"data.validation_is is 'test', but {splits.train.name} has {what}; leave it out.")
    return splits.validation


def match_model_to_data(config: RunConfig, train: Dataset) -> RunConfig:
    """Return the config with as many classes and input channels as the data has."""
    model = replace(config.model, num_classes=len(train.class_names), in_channels=train.num_channels)
    return replace(config, model=model)


def build_preprocess(config: DataConfig, train: Dataset, weights: str | None = None) -> PreprocessSpec:
    """Measure the mean (and deviation) of the training part, or take those of the weights' file.

    Args:
        config: What is subtracted and divided by; the sizes of photos.
        train: The training part; it says the size of images in memory.
        weights: The model file that the run starts from, for `data.mean` "weights".

    Raises:
        UsageError: The views of photos are not set, or have several sizes where a mean image needs one.
    """
    if config.mean == "weights":
        assert weights is not None
        preprocess = preprocess_like(read_start(Path(weights)).card.preprocess, _flat_preprocess(config, train))
        return replace(preprocess, mean_image=None) if _has_several_sizes(config, preprocess.height) else preprocess
    if isinstance(train, ArrayDataset):
        return measure_preprocess(train, mean=config.mean, scale=config.scale)
    size, short_side = _photo_view(config, train)
    return measure_photo_preprocess(
        train,
        mean=config.mean,
        scale=config.scale,
        size=size,
        short_side=short_side,
        seed=config.validation_seed,
        resize_mode=config.photos.resize_mode,
    )


def _flat_preprocess(config: DataConfig, train: Dataset) -> PreprocessSpec:
    """Return the sizes of the run, with nothing subtracted and nothing divided."""
    if isinstance(train, ArrayDataset):
        (height, width), short_side, resize_mode = train.images.shape[-2:], None, "crop"
    else:
        height, short_side = _photo_view(config, train)
        width, resize_mode = height, config.photos.resize_mode
    mean, std = (0.0,) * train.num_channels, (1.0,) * train.num_channels
    return PreprocessSpec(
        channels=train.num_channels,
        height=height,
        width=width,
        short_side=short_side,
        mean=mean,
        std=std,
        resize_mode=resize_mode,
    )


def largest_short_side(config: DataConfig) -> int | None:
    """Return the longest that the shorter side of a photo is made, in training or evaluation; None if it never is."""
    if not isinstance(config.augment, ScaleCrop | ResizedCrop):
        return None
    photos = config.photos
    shown = photos.short_side or round((photos.size or config.augment.crop_size) * _RESIZE_OVER_CROP)
    sides = [shown] if photos.resize_mode == "crop" else []
    sides += [config.augment.max_short_side] if isinstance(config.augment, ScaleCrop) else []
    return max(sides, default=None)


def _has_several_sizes(config: DataConfig, size: int) -> bool:
    """Whether there are views of other sizes than the evaluation's, for which a mean image has no values."""
    if not isinstance(config.augment, ScaleCrop | ResizedCrop):
        return False  # images in memory become smaller after the mean was subtracted
    return config.initial_size is not None or size != config.augment.crop_size


def _photo_view(config: DataConfig, train: Dataset) -> tuple[int, int | None]:
    """Return the side of the square that evaluation shows, and the shorter side it is cropped from, if it is."""
    if not isinstance(config.augment, ScaleCrop | ResizedCrop):
        raise UsageError(
            f"data.augment.kind is {config.augment.kind!r}, but {train.name} has photos of any size: use 'scale_crop' "
            "or 'resized_crop'."
        )
    size = config.photos.size or config.augment.crop_size
    if config.mean == "pixel" and _has_several_sizes(config, size):
        raise UsageError(
            "data.mean is 'pixel', a mean for each place in views of one size, but training and evaluation have views "
            "of several sizes; use data.mean='channel'."
        )
    if config.photos.resize_mode != "crop":
        return size, None
    return size, config.photos.short_side or round(size * _RESIZE_OVER_CROP)
