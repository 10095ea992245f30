"""What must hold before a run starts: checks raise for values that cannot work and warn of values without effect."""

import logging
from dataclasses import fields
from pathlib import Path

import torch

from reslab.config import DataConfig, LinearWarmup, PhotoConfig, ResizedCrop, RunConfig, ScaleCrop, StepDecay
from reslab.data import ArrayDataset, Dataset
from reslab.distributed import World
from reslab.errors import RunError, UsageError, counted
from reslab.models import build, freeze
from reslab.spec import PreprocessSpec
from reslab.weights.transfer import check_same_body, read_start

log = logging.getLogger(__name__)


def warn_of_unused_settings(config: RunConfig, world: World) -> None:
    """Warn, before a run starts, of settings that will have no effect."""
    warn_of_late_drops(config)
    warn_of_long_warmup(config)
    warn_of_large_groups(config, world)


def check_weights(config: RunConfig) -> None:
    """Refuse weights that cannot start the run, as far as can be told without the data.

    Raises:
        UsageError: They are of another network.
        RunError: The file is missing or damaged.
    """
    if config.weights is not None:
        path = Path(config.weights)
        check_same_body(path, read_start(path).spec, config.model)


def check_classes(config: DataConfig, train: Dataset) -> None:
    """Check that the training images have at least two classes.

    Raises:
        RunError: They have one.
    """
    if len(train.class_names) < 2:
        only = ", ".join(map(repr, train.class_names))
        raise RunError(
            f"{config.path or train.name}: all training images are of class {only}. A classifier needs at least 2 "
            "classes."
        )


def check_held_out(split: str, size: int, own: Dataset | None, train: Dataset) -> None:
    """Refuse to hold out a part that the data has of its own; for files, only say that the size has no effect.

    Args:
        split: The part's name.
        size: How many images are to be held out for it.
        own: The data's own part, if it has one.
        train: The training part.

    Raises:
        UsageError: The data is in memory, has the part, and images are to be held out for it.
    """
    if own is None or not size:
        return
    has = f"data.{split}_size is {size}, but {train.name} has a {split} part of its own ({len(own):,} images)"
    if isinstance(train, ArrayDataset):
        raise UsageError(f"{has}, so nothing can be held out for it. Leave the setting out, or set it to 0.")
    # no error: recipes for image folders carry a size for folders without the part
    log.info("%s: that is used, and nothing is held out for it.", has)


def check_views(config: DataConfig, train: Dataset) -> None:
    """Check that every setting of photos has an effect on this data.

    Only a new run is checked: a resumed run is opened as it is, and other data is evaluated with a run's settings.

    Raises:
        UsageError: A setting has no effect.
    """
    if isinstance(train, ArrayDataset):
        for field in fields(PhotoConfig):
            value = getattr(config.photos, field.name)
            if value != field.default:
                usual = "none" if field.default is None else str(field.default).lower()
                raise UsageError(
                    f"data.photos.{field.name} is {value!r}. It is for image files, but {train.name} has images of one "
                    f"size in memory. Leave the setting out, or set it to {usual}."
                )
    elif config.photos.resize_mode != "crop" and config.photos.short_side not in (None, _square(config)):
        raise UsageError(
            f"data.photos.short_side is {config.photos.short_side}, but data.photos.resize_mode is "
            f"{config.photos.resize_mode!r}. Only 'crop' crops from a shorter side. Leave short_side out, or set it to "
            "none."
        )


def check_micro_batches(config: RunConfig, train: Dataset, world: World) -> None:
    """Check that no batch norm of the training sees a single value per channel, which has no variance.

    Raises:
        UsageError: One does: the micro-batches or the groups of batch norm are too small.
    """
    count = config.train.batch_size // world.size // config.train.accumulation_steps
    group = config.batch_norm.group_size or count
    smallest = count % group or group
    if smallest > 1 or config.model.norm == "none" or config.batch_norm.frozen:
        return
    side = config.data.initial_size or _side(config, train)
    with torch.device("meta"):  # shapes alone: nothing is computed, and no random number drawn
        model = build(config.model).train()
        images = torch.empty(1, config.model.in_channels, side, side)
    freeze(model, num_stages=config.train.freeze_stages)
    try:
        model(images)
    except ValueError:  # raised by batch norm
        raise UsageError(
            f"train.batch_size is {config.train.batch_size}, with {counted(world.size, 'process')}, "
            f"train.accumulation_steps {config.train.accumulation_steps} and batch_norm.group_size "
            f"{config.batch_norm.group_size}. So a batch norm sees a single image, of which {config.model.label} makes "
            f"one value per channel ({side}x{side} pixels come in): one value has no variance. Use more images at a "
            "time, or larger images."
        ) from None


def check_image_size(config: RunConfig, preprocess: PreprocessSpec, train: Dataset) -> None:
    """Check that a VGG sees images of its own size only; other networks take any size.

    Raises:
        UsageError: It would see another size, in training or in evaluation.
    """
    if config.model.family != "vgg":
        return
    with torch.device("meta"):
        model = build(config.model)
        side = _side(config, train)
        for height, width in ((side, side), (preprocess.height, preprocess.width)):
            model(torch.empty(1, config.model.in_channels, height, width))


def _square(config: DataConfig) -> int | None:
    """Return the side of the square of a photo that evaluation shows."""
    if config.photos.size is None and isinstance(config.augment, ScaleCrop | ResizedCrop):
        return config.augment.crop_size
    return config.photos.size


def _side(config: RunConfig, train: Dataset) -> int:
    if isinstance(config.data.augment, ScaleCrop | ResizedCrop):
        return config.data.augment.crop_size
    assert isinstance(train, ArrayDataset)
    return min(train.images.shape[-2:])


def warn_of_late_drops(config: RunConfig) -> None:
    """Warn of milestones that a run never reaches: fewer iterations do not move them."""
    iterations = config.train.iterations
    if not isinstance(config.schedule, StepDecay):
        return
    late = [step for step in config.schedule.milestones if step >= iterations]
    if not late:
        return
    half, three_quarters = iterations // 2, iterations * 3 // 4  # where the paper has its drops
    earlier = f"schedule.milestones to [{half},{three_quarters}], or " if 0 < half < three_quarters else ""
    log.warning(
        "the learning rate never drops at %s: the run ends earlier (train.iterations is %d). Set %sschedule.kind to "
        "cosine, which ends with the run.",
        ", ".join(map(str, late)), iterations, earlier,
    )  # fmt: skip


def warn_of_long_warmup(config: RunConfig) -> None:
    """Warn of a linear warm-up that is longer than the run."""
    if isinstance(config.warmup, LinearWarmup) and config.warmup.iterations > config.train.iterations:
        log.warning(
            "the warm-up takes %d iterations, but the run has only %d (train.iterations): the learning rate never "
            "reaches %s. Set fewer warmup.iterations, or warmup.kind to none.",
            config.warmup.iterations, config.train.iterations, config.optim.lr,
        )  # fmt: skip


def warn_of_large_groups(config: RunConfig, world: World) -> None:
    """Warn of groups of batch norm that are larger than what goes through the network together."""
    count = config.train.batch_size // world.size // config.train.accumulation_steps
    group = config.batch_norm.group_size
    if group is not None and group > count:
        log.warning(
            "batch_norm.group_size is %d, but the network gets only %s at a time: the setting has no effect, and batch "
            "norm takes its statistics over all of them.",
            group, counted(count, "image"),
        )  # fmt: skip
