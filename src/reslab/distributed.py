"""Several processes started by torchrun: this process's rank, and sums over all. With one process, do nothing."""

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from reslab.errors import RunError, UsageError, counted

# what gloo says when another process has ended
_LOST = re.compile(r"Connection (closed|reset) by peer|Socket closed|Broken pipe", re.I)


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among all that train together.

    Attributes:
        rank: Its number among all processes; rank 0 writes files and prints.
        size: Number of processes.
        local_rank: Its number on its machine, which is the GPU it uses.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


def world_from_environment() -> World:
    """Read this process's place from the environment that torchrun sets; by default, that of a single process."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World()
    return World(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def process_group(world: World, device: torch.device) -> Iterator[None]:
    """Join the other processes inside the block; do nothing for a single process or inside another such block.

    Args:
        world: This process's place among all.
        device: Where it computes: gloo connects CPUs, NCCL connects GPUs.

    Raises:
        RunError: Another process has ended.
    """
    if world.size == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, RunError) or not _LOST.search(str(error)):
            raise
        raise RunError(
            f"rank {world.rank} of {world.size} stopped because another rank failed; see that rank's error."
        ) from None
    finally:
        # a replica that outlives its group can end the process with an abort, so none may be left in a cycle
        gc.collect()
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Add up a tensor over all processes.

    Args:
        tensor: Of the same shape in every process; changed in place.

    Returns:
        The same tensor, which now holds the sum in every process.
    """
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def any_rank(flag: bool, device: torch.device) -> bool:
    """Return whether a flag is set in any process; all processes get the same result.

    Args:
        flag: This process's flag.
        device: Where this process computes.
    """
    if not dist.is_initialized():
        return flag
    return bool(sum_over_ranks(torch.tensor(int(flag), device=device)).item())


def gather_lists(values: list[Any]) -> list[list[Any]]:
    """Collect the lists of all processes.

    Args:
        values: This process's list.

    Returns:
        The list of each rank, in every process.
    """
    if not dist.is_initialized():
        return [values]
    lists: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(lists, values)
    return lists


def barrier() -> None:
    """Wait until every process has reached this point."""
    if dist.is_initialized():
        dist.barrier()


def replicate(model: nn.Module) -> nn.Module:
    """Return the model with its gradients averaged over all processes.

    Running statistics are averaged after each step (`average_running_statistics`) instead of being broadcast before it.
    """
    is_new = "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
    keyword = "forward_sync_buffers" if is_new else "broadcast_buffers"  # renamed in torch 2.13
    options: dict[str, Any] = {keyword: False}
    return DistributedDataParallel(model, **options)


@torch.no_grad()
def average_running_statistics(model: nn.Module) -> None:
    """Give every process the mean of all processes' batch-norm running statistics, in one message.

    Running statistics are linear in the batch statistics, so this equals one process that takes the mean over groups
    (`bn_group_size`); replicas stay equal after every step, and any of them can be saved. Only modules in training mode
    take part.
    """
    if not dist.is_initialized():
        return
    # a module in eval mode while the model trains is frozen and equal everywhere; a mean could round its last bit
    moving = [module for module in model.modules() if module.training]
    buffers = [buffer for module in moving for buffer in module.buffers(recurse=False) if buffer.is_floating_point()]
    if not buffers:
        return
    flat = torch.cat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for buffer, values in zip(buffers, flat.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(values.view_as(buffer))


def check_batch(batch_size: int, world_size: int, accumulation: int) -> None:
    """Check that the global batch divides among the processes and their micro-batches.

    Args:
        batch_size: Images of one optimizer step, over all processes.
        world_size: Number of processes.
        accumulation: Micro-batches of each process.

    Raises:
        UsageError: It does not; the message names the nearest sizes that do.
    """
    micro_batches = world_size * accumulation
    if batch_size % micro_batches:
        lower = batch_size // micro_batches * micro_batches
        nearest = [str(size) for size in (lower, lower + micro_batches) if size > 0]
        raise UsageError(
            f"train.batch_size is {batch_size}, which cannot be divided equally among "
            f"{counted(world_size, 'process')} with {counted(accumulation, 'micro-batch')} each "
            f"(train.accumulation_steps). Nearest allowed: {' or '.join(nearest)}."
        )
