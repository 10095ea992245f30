"""From config to objects: the one place that knows RunConfig and the classes."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from reslab import engine
from reslab.config import (
    Constant,
    Cosine,
    DataConfig,
    LinearWarmup,
    Muon,
    NoWarmup,
    OneCycle,
    Plateau,
    ResizedCrop,
    RunConfig,
    ScaleCrop,
    Schedule,
    Sgd,
    StepDecay,
    TrainConfig,
    UntilTrainingError,
    Warmup,
)
from reslab.data import ArrayDataset, Dataset, Splits
from reslab.data.dataset import balanced_weights, hold_out
from reslab.data.photos import measure_photo_preprocess
from reslab.data.preprocess import measure_preprocess
from reslab.data.sources import open_splits
from reslab.distributed import World
from reslab.engine import Engine
from reslab.errors import Failure, UsageError
from reslab.modelfile import ModelCard
from reslab.models import Network, build, freeze, rate_scales
from reslab.models.normalization import GroupedBatchNorm2d
from reslab.optim import ErrorWarmup, LearningRate, PlateauDecay, WeightAverage, make_muon, make_sgd, schedules
from reslab.spec import PreprocessSpec
from reslab.train import Loop
from reslab.transfer import check_same_body, preprocess_like, read_start, transfer

log = logging.getLogger(__name__)

_RESIZE_OVER_CROP = 256 / 224  # the centre view's short side over the crop, as in the paper's 10-crop testing


def build_splits(config: DataConfig) -> Splits:
    """Return the data; a test or validation part that is asked for and missing is held out of the training images.

    Raises UsageError for settings that the data has no use for.
    """
    splits = open_splits(config.kind, config.path, channels=config.channels)
    train, validation, test = splits.train, splits.validation, splits.test
    if config.channels not in (None, train.num_channels):
        raise UsageError(
            f"data.channels is {config.channels}, but {train.name} has images with {train.num_channels} channel(s)."
        )
    if config.val_is == "test":
        validation, test = None, _validation_as_test(splits)
    if test is None and config.test_size:
        train, test = hold_out(train, config.test_size, config.validation_seed, "test_size")
    if validation is None and config.validation_size:
        train, validation = hold_out(train, config.validation_size, config.validation_seed)
    return Splits(train, validation, test)


def _validation_as_test(splits: Splits) -> Dataset:
    if splits.validation is None or splits.test is not None:
        what = "no validation part" if splits.validation is None else "a test part of its own"
        raise UsageError(f"data.val_is is 'test', but {splits.train.name} has {what}; leave it out.")
    return splits.validation


def match_model_to_data(config: RunConfig, train: Dataset) -> RunConfig:
    """Return the config with as many classes and input channels as the data has."""
    model = replace(config.model, num_classes=len(train.class_names), in_channels=train.num_channels)
    return replace(config, model=model)


def build_preprocess(config: DataConfig, train: Dataset, weights: str | None = None) -> PreprocessSpec:
    """Measure the mean (and deviation) of the training part, or take those of the weights' file; sizes are the run's.

    Sizes come from the images or from the crop.
    """
    if config.mean == "weights":
        assert weights is not None
        return preprocess_like(read_start(Path(weights)).card.preprocess, _flat_preprocess(config, train))
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
        fit=config.fit,
    )


def _flat_preprocess(config: DataConfig, train: Dataset) -> PreprocessSpec:
    """The sizes of the run, with nothing subtracted and nothing divided."""
    if isinstance(train, ArrayDataset):
        (height, width), short_side, fit = train.images.shape[-2:], None, "crop"
    else:
        height, short_side = _photo_view(config, train)
        width, fit = height, config.fit
    mean, std = (0.0,) * train.num_channels, (1.0,) * train.num_channels
    return PreprocessSpec(
        channels=train.num_channels, height=height, width=width, short_side=short_side, mean=mean, std=std, fit=fit
    )


def _photo_view(config: DataConfig, train: Dataset) -> tuple[int, int | None]:
    """Return the side of the square that evaluation shows, and the shorter side it is cropped from, if it is."""
    if not isinstance(config.augment, ScaleCrop | ResizedCrop):
        raise UsageError(
            f"data.augment.kind is {config.augment.kind!r}, but {train.name} has photos of any size: use 'scale_crop' "
            "or 'resized_crop'."
        )
    size = config.size or config.augment.crop_size
    if config.mean == "pixel" and (size != config.augment.crop_size or config.first_size is not None):
        raise UsageError(
            "data.mean is 'pixel', a mean for each place in views of one size, but training and evaluation have views "
            "of several sizes; use data.mean='channel'."
        )
    if config.fit != "crop":
        return size, None
    return size, config.short_side or round(size * _RESIZE_OVER_CROP)


def build_learning_rate(config: RunConfig) -> LearningRate:
    """Return the learning rate at each step: base x schedule x warm-up."""
    schedule = _build_schedule(config.schedule, config.train.iterations)
    return LearningRate(config.optim.lr, schedule, _build_warmup(config.warmup))


def _build_schedule(schedule: Schedule, iterations: int) -> schedules.Factor | PlateauDecay:
    match schedule:
        case Constant():
            return schedules.constant()
        case StepDecay():
            return schedules.step_decay(schedule.milestones, schedule.factor)
        case Plateau():
            return PlateauDecay(
                schedule.factor, schedule.patience_evaluations, schedule.min_improvement, schedule.max_drops
            )
        case Cosine():
            return schedules.cosine(iterations, schedule.final_factor)
        case OneCycle():
            return schedules.one_cycle(iterations, schedule.rise, schedule.start_factor, schedule.final_factor)


def _build_warmup(warmup: Warmup) -> schedules.Factor | ErrorWarmup:
    match warmup:
        case NoWarmup():
            return schedules.constant()
        case LinearWarmup():
            return schedules.linear_warmup(warmup.iterations)
        case UntilTrainingError():
            return ErrorWarmup(warmup.factor, warmup.below_percent, warmup.window_iterations)


def choose_engine(
    config: RunConfig, preprocess: PreprocessSpec, device: torch.device, world: World, *, before: Engine | None = None
) -> Engine:
    """Return how the network is computed here: as the config says, and what it leaves open as measured.

    before: the engine that an earlier start of the run picked; kept where this machine still has it.
    Processes beside each other would disturb each other's measurement and pick differently: they go by the rule.
    """
    train = config.train
    found = engine.candidates(
        precision=train.precision,
        fused_norm=train.fused_norm,
        compile=train.compile,
        device=device,
        iterations=train.iterations,
        has_blocks=config.model.family != "vgg",
    )
    if before is not None and any(before.label == one.label for one in found):
        return before
    return engine.pick(
        found,
        config.model,
        size=(preprocess.height, preprocess.width),
        batch_size=train.batch_size // world.size // train.accumulation,
        device=device,
        iterations=train.iterations if world.size == 1 else 0,
    )


def build_network(config: RunConfig, device: torch.device, chosen: Engine) -> Network:
    """Return the network on its device, initialised from the seed, in channels_last, computing as `chosen` says."""
    torch.manual_seed(config.seed)
    model = build(
        config.model,
        bn_group_size=config.train.bn_group_size,
        checkpoint_activations=config.train.checkpoint_activations,
    )
    freeze(model, num_stages=config.train.freeze_stages, batch_norm=config.train.bn == "frozen")
    model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.train.sync_bn:
        model = synchronize_batch_norm(model, device)
    return engine.prepare(model, chosen)


def check_weights(config: RunConfig) -> None:
    """Refuse weights that cannot start the run, as far as is known without the data."""
    if config.weights is not None:
        path = Path(config.weights)
        check_same_body(path, read_start(path).spec, config.model)


def load_weights(config: RunConfig, model: Network, card: ModelCard) -> None:
    """Give the network the weights of the config's model file, fitted to the run's classes and channels.

    card: what the run's network is made for. Raises UsageError when the file holds another network.
    """
    assert config.weights is not None
    path = Path(config.weights)
    file = read_start(path)
    head = transfer(file, model, card.class_names, path)
    log.info("training starts from the weights in %s; %s.", path, head)
    ours, theirs = card.preprocess, file.card.preprocess
    if config.data.mean != "weights" and (ours.mean, ours.std) != (theirs.mean, theirs.std):
        log.warning(
            "these weights saw other inputs (mean %s, std %s there; %s, %s here): consider --data.mean weights.",
            *(_rounded(values) for values in (theirs.mean, theirs.std, ours.mean, ours.std)),
        )


def _rounded(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3f}" for value in values)


def synchronize_batch_norm(model: Network, device: torch.device) -> Network:
    """Let batch norm take its statistics over all processes, unless it is frozen.

    Raises Failure on a CPU, where torch has no such kernel.
    """
    if device.type != "cuda":
        raise Failure(
            f"train.sync_bn is true, but the device is {device.type}: synchronised batch norm is CUDA only. "
            "Leave it out; statistics are then over each process's part of the batch."
        )
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, GroupedBatchNorm2d) and not child.is_frozen:
                setattr(parent, name, torch.nn.SyncBatchNorm.convert_sync_batchnorm(child))
    return model


def build_optimizer(config: RunConfig, model: Network) -> torch.optim.Optimizer:
    """Return the optimizer over all parameters of the network that train."""
    match config.optim:
        case Sgd() as optim:
            return make_sgd(
                model,
                lr=optim.lr,
                momentum=optim.momentum,
                nesterov=optim.nesterov,
                weight_decay=optim.weight_decay,
                decay_norm_and_bias=optim.decay_norm_and_bias,
                rate_scales=rate_scales(model, optim.layer_decay),
            )
        case Muon() as optim:
            return make_muon(
                model,
                lr=optim.lr,
                momentum=optim.momentum,
                other_lr=optim.other_lr,
                other_momentum=optim.other_momentum,
                weight_decay=optim.weight_decay,
            )


def build_average(config: TrainConfig, model: Network) -> WeightAverage | None:
    """Return the moving average of the weights, if the config asks for one."""
    return None if config.ema_decay is None else WeightAverage(model, config.ema_decay)


def build_loop(config: TrainConfig, chosen: Engine, train: Dataset) -> Loop:
    """Return the loop's numbers, with the engine's precision and the weights of the training part's classes."""
    return Loop(
        iterations=config.iterations,
        accumulation=config.accumulation,
        use_bf16=chosen.precision == "bf16",
        clip_norm=config.clip_norm,
        label_smoothing=config.label_smoothing,
        class_weights=balanced_weights(train.labels) if config.class_weights == "balanced" else None,
        log_every=config.log_every,
        evaluate_every=config.evaluate_every,
        checkpoint_every=config.checkpoint_every,
        patience_evaluations=config.patience_evaluations,
    )


def choose_device(config: TrainConfig, world: World) -> torch.device:
    """Return the device; Failure when CUDA is asked for and not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise Failure("train.device is 'cuda', but this torch sees no CUDA device; use --train.device cpu or auto.")
    if config.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", world.local_rank)
    torch.cuda.set_device(device)
    return device
