"""From config to the network on its device: the engine that computes it, its weights."""

import logging
from pathlib import Path

import torch

from reslab.artifacts.model_file import ModelCard
from reslab.config import RunConfig
from reslab.distributed import World
from reslab.engines import training as engines
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
    """Choose how the network is computed here: as the config says, and what it leaves open as measured.

    Several processes would disturb each other's measurement and pick differently, so they follow the rule for long
    runs without measuring.

    Args:
        config: What is to be trained.
        preprocess: The sizes of the images.
        device: What the network is computed on.
        world: This process's place among all.
        before: The engine of the run's last session, kept where this machine still has it.

    Raises:
        UsageError: `compute` asks for a kernel that this network cannot use.
        RunError: This machine lacks what `compute` asks for.
    """
    train, compute = config.train, config.compute
    batch_size = train.batch_size // world.size // train.accumulation_steps
    reason = _why_no_kernel(config, batch_size)
    if compute.fused_norm == "on" and reason:
        raise UsageError(f"compute.fused_norm is 'on', but {reason}; set it to auto or off.")
    candidates = engines.candidates(
        precision=compute.precision,
        fused_norm="off" if reason else compute.fused_norm,
        compile=compute.compile,
        device=device,
        iterations=train.iterations,
        has_blocks=config.model.family != "vgg",
    )
    if before is not None and before.label in [candidate.label for candidate in candidates]:
        return before
    return engines.pick(
        candidates,
        config.model,
        size=(preprocess.height, preprocess.width),
        batch_size=batch_size,
        device=device,
        iterations=train.iterations if world.size == 1 else 0,
    )


def _why_no_kernel(config: RunConfig, batch_size: int) -> str | None:
    """Return why no batch norm of this training can use the fused kernel; None where one can."""
    size = config.batch_norm.group_size
    if config.model.norm != "batch" or config.model.family == "vgg":
        return "this network has no batch norm"
    if config.batch_norm.frozen:
        return "batch_norm.frozen is true: the kernel is of batch norm that takes its statistics from the batch"
    if size is not None and batch_size > size:
        return f"batch_norm.group_size is {size}: the kernel takes its statistics over the whole batch of {batch_size}"
    return None


def build_network(config: RunConfig, device: torch.device, engine: Engine) -> Network:
    """Build the network on its device, initialised from the seed, in channels_last, computed by the engine."""
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
    return engines.prepare(model, engine)


def load_weights(config: RunConfig, model: Network, card: ModelCard) -> None:
    """Give the network the weights of the config's model file, fitted to the run's classes and channels.

    Args:
        config: Names the model file.
        model: The run's network, changed in place.
        card: The run's classes and inputs.

    Raises:
        UsageError: The file holds another network.
    """
    assert config.weights is not None
    path = Path(config.weights)
    file = read_start(path)
    head = transfer_weights(file, model, card.class_names, path)
    log.info("training starts from the weights in %s; %s.", path, head)
    ours, theirs = card.preprocess, file.card.preprocess
    if config.data.mean != "weights" and (ours.mean, ours.std) != (theirs.mean, theirs.std):
        log.warning(
            "these weights were trained on different inputs (mean %s, std %s; this run: %s, %s). Consider data.mean "
            "weights, which takes theirs.",
            *(_rounded(values) for values in (theirs.mean, theirs.std, ours.mean, ours.std)),
        )


def _rounded(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3f}" for value in values)


def synchronize_batch_norm(model: Network, device: torch.device) -> Network:
    """Let batch norm take its statistics over all processes, unless it is frozen.

    Raises:
        RunError: The device is a CPU, for which torch has no such kernel.
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
