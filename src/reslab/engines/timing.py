"""How long one call takes on a device."""

import time
from collections.abc import Callable

import torch


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its queued work; on a CPU, return at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Time one call, up to the end of its work on the device.

    Args:
        call: What to time; its result is dropped.
        device: Where it computes.

    Returns:
        Seconds.
    """
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start
