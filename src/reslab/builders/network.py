"""From config to the network on its device: the engine that computes it, its weights."""

import logging
from pathlib import Path

import torch

from reslab.artifacts.model_file import ModelCard
from reslab.config import ResizedCrop, RunConfig, ScaleCrop, TrainConfig
from reslab.data import ArrayDataset, Dataset
from reslab.distributed import World
from reslab.engines import training as engine
from reslab.engines.hardware import pick_device
from reslab.engines.training import Engine
from reslab.errors import RunError, UsageError
from reslab.models import Network, build, freeze
from reslab.models.normalization import GroupedBatchNorm2d
from reslab.spec import PreprocessSpec
from reslab.weights.transfer import check_same_body, read_start, transfer

log = logging.getLogger(__name__)


def choose_device(config: TrainConfig, world: World) -> torch.device:
    """Return the device that the config names; see `pick_device`."""
    return pick_device(config.device, world.local_rank)


def choose_engine(
    config: RunConfig, preprocess: PreprocessSpec, device: torch.device, world: World, *, before: Engine | None = None
) -> Engine:
    """Return how the network is computed here: as the config says, and what it leaves open as measured.

    before: the engine that an earlier start of the run picked; kept where this machine still has it.
    Processes beside each other would disturb each other's measurement and pick differently: they go by the rule.

    Raises UsageError and RunError for choices that cannot be had, see `reslab.engines.training.candidates`.
    """
    train = config.train
    batch_size = train.batch_size // world.size // train.accumulation
    reason = _why_no_kernel(config, batch_size)
    if train.fused_norm == "on" and reason:
        raise UsageError(f"train.fused_norm is 'on', but {reason}; use --train.fused_norm auto or off.")
    found = engine.candidates(
        precision=train.precision,
        fused_norm="off" if reason else train.fused_norm,
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
        batch_size=batch_size,
        device=device,
        iterations=train.iterations if world.size == 1 else 0,
    )


def _why_no_kernel(config: RunConfig, batch_size: int) -> str | None:
    """Why no batch norm of this training could take the fused kernel; None where one can."""
    size = config.train.bn_group_size
    if config.model.norm != "batch" or config.model.family == "vgg":
        return "this network has no batch norm"
    if config.train.bn == "frozen":
        return "train.bn is 'frozen': the kernel is of batch norm that takes its statistics from the batch"
    if size is not None and batch_size > size:
        return f"train.bn_group_size is {size}: the kernel takes its statistics over the whole batch of {batch_size}"
    return None


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


def check_pieces(config: RunConfig, train: Dataset, world: World) -> None:
    """Raise UsageError where a piece of a batch, or a group of batch norm's, is too small to have a variance."""
    count = config.train.batch_size // world.size // config.train.accumulation
    group = config.train.bn_group_size or count
    smallest = count % group or group
    if smallest > 1 or config.model.norm == "none" or config.train.bn == "frozen":
        return
    side = config.data.first_size or _side(config, train)
    with torch.device("meta"):  # shapes alone: nothing is computed, and no random number drawn
        model = build(config.model).train()
        images = torch.empty(1, config.model.in_channels, side, side)
    freeze(model, num_stages=config.train.freeze_stages)
    try:
        model(images)
    except ValueError:  # of batch norm's
        raise UsageError(
            f"train.batch_size is {config.train.batch_size}, with {world.size} process(es), train.accumulation "
            f"{config.train.accumulation} and train.bn_group_size {config.train.bn_group_size}: that leaves a single "
            f"image for a batch norm, and {config.model.label} makes one value per channel of {side}x{side} pixels, "
            "which has no variance. Give more images at a time, or larger ones."
        ) from None


def check_sizes(config: RunConfig, preprocess: PreprocessSpec, train: Dataset) -> None:
    """Raise UsageError for a VGG that would be shown images of another size than its own; other networks take any."""
    if config.model.family != "vgg":
        return
    with torch.device("meta"):
        model = build(config.model)
        side = _side(config, train)
        for height, width in ((side, side), (preprocess.height, preprocess.width)):
            model(torch.empty(1, config.model.in_channels, height, width))


def warn_of_large_groups(config: RunConfig, world: World) -> None:
    """Warn, for a run that begins, of groups of batch norm larger than what goes through the network."""
    count = config.train.batch_size // world.size // config.train.accumulation
    group = config.train.bn_group_size
    if group is not None and group > count:
        log.warning(
            "train.bn_group_size is %d, and %d image(s) go through the network together: batch norm takes its "
            "statistics over all of them, as without the setting.",
            group, count,
        )  # fmt: skip


def _side(config: RunConfig, train: Dataset) -> int:
    if isinstance(config.data.augment, ScaleCrop | ResizedCrop):
        return config.data.augment.crop_size
    assert isinstance(train, ArrayDataset)
    return min(train.images.shape[-2:])


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

    Raises RunError on a CPU, where torch has no such kernel.
    """
    if device.type != "cuda":
        raise RunError(
            f"train.sync_bn is true, but the device is {device.type}: synchronised batch norm is CUDA only. "
            "Leave it out; statistics are then over each process's part of the batch."
        )
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, GroupedBatchNorm2d) and not child.is_frozen:
                setattr(parent, name, torch.nn.SyncBatchNorm.convert_sync_batchnorm(child))
    return model
