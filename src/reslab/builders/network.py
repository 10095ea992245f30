"""From config to the network on its device: the engine that computes it, its weights."""

import logging
from pathlib import Path

import torch

from reslab.artifacts.model_file import ModelCard
from reslab.config import RunConfig
from reslab.distributed import World
from reslab.engines import training as engine
from reslab.engines.training import Engine
from reslab.errors import RunError, UsageError
from reslab.models import Network, build, freeze
from reslab.models.normalization import GroupedBatchNorm2d
from reslab.spec import PreprocessSpec
from reslab.weights.transfer import read_start, transfer_weights

log = logging.getLogger(__name__)


def choose_engine(
    config: RunConfig, preprocess: PreprocessSpec, device: torch.device, world: World, *, before: Engine | None = None
) -> Engine:
    """Return how the network is computed here: as the config says, and what it leaves open as measured.

    before: the engine that an earlier start of the run picked; kept where this machine still has it.
    Processes beside each other would disturb each other's measurement and pick differently: they go by the rule.

    Raises UsageError and RunError for choices that cannot be had, see `reslab.engines.training.candidates`.
    """
    train, compute = config.train, config.compute
    batch_size = train.batch_size // world.size // train.accumulation_steps
    reason = _why_no_kernel(config, batch_size)
    if compute.fused_norm == "on" and reason:
        raise UsageError(f"compute.fused_norm is 'on', but {reason}; use --compute.fused_norm auto or off.")
    found = engine.candidates(
        precision=compute.precision,
        fused_norm="off" if reason else compute.fused_norm,
        compile=compute.compile,
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
    size = config.batch_norm.group_size
    if config.model.norm != "batch" or config.model.family == "vgg":
        return "this network has no batch norm"
    if config.batch_norm.frozen:
        return "batch_norm.frozen is true: the kernel is of batch norm that takes its statistics from the batch"
    if size is not None and batch_size > size:
        return f"batch_norm.group_size is {size}: the kernel takes its statistics over the whole batch of {batch_size}"
    return None


def build_network(config: RunConfig, device: torch.device, chosen: Engine) -> Network:
    """Return the network on its device, initialised from the seed, in channels_last, computing as `chosen` says."""
    torch.manual_seed(config.seed)
    model = build(
        config.model,
        bn_group_size=config.batch_norm.group_size,
        checkpoint_activations=config.compute.checkpoint_activations,
    )
    freeze(model, num_stages=config.train.freeze_stages, batch_norm=config.batch_norm.frozen)
    model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.batch_norm.sync:
        model = synchronize_batch_norm(model, device)
    return engine.prepare(model, chosen)


def load_weights(config: RunConfig, model: Network, card: ModelCard) -> None:
    """Give the network the weights of the config's model file, fitted to the run's classes and channels.

    card: what the run's network is made for. Raises UsageError when the file holds another network.
    """
    assert config.weights is not None
    path = Path(config.weights)
    file = read_start(path)
    head = transfer_weights(file, model, card.class_names, path)
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
            f"batch_norm.sync is true, but the device is {device.type}: synchronised batch norm is CUDA only. "
            "Leave it out; statistics are then over each process's part of the batch."
        )
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, GroupedBatchNorm2d) and not child.is_frozen:
                setattr(parent, name, torch.nn.SyncBatchNorm.convert_sync_batchnorm(child))
    return model
