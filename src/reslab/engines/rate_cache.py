"""Rates that were measured on this machine, kept for the next start."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from reslab.errors import RunError
from reslab.system.environment import cpu_flags, cpu_name, onednn_limit
from reslab.system.files import write_atomically
from reslab.system.paths import cache_folder

log = logging.getLogger(__name__)


def cached_rates(
    kind: str, facts: list[Any], device: torch.device, measure: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """Return the rates that were measured for the same facts on this machine before, or measure and cache them.

    When several processes want the same rates at once, one measures and the others wait for its result. Measuring at
    the same time, they would disturb each other, and the seeds of one table could be computed in different ways.

    Args:
        kind: The folder of the cache.
        facts: JSON values that decide what is measured.
        device: Where the measured calls compute; its name is part of the cache's key.
        measure: Called when nothing is cached; empty results are not cached.

    Returns:
        Images per second by name.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    machine = [name, sorted(cpu_flags()), torch.get_num_threads(), torch.__version__]
    if limit := onednn_limit():
        machine.append(limit)  # held to it, this processor computes as another one would
    key = hashlib.sha256(json.dumps([facts, machine], sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / kind / f"{key}.json"
    if (kept := _read(path)) is not None:
        return kept
    with _one_at_a_time(path):
        if (kept := _read(path)) is not None:  # the process that held the lock has measured
            return kept
        rates = measure()
        if rates:
            _keep(path, rates)
        return rates


def _read(path: Path) -> dict[str, float] | None:
    try:
        return {str(label): float(rate) for label, rate in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None  # missing or damaged: it is only a cache


def _keep(path: Path, rates: dict[str, float]) -> None:
    try:
        write_atomically(path, json.dumps(rates))
    except RunError as error:
        log.warning("the measured rates could not be cached, so the next run measures again: %s", error)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of a cached file; without a lock where the cache cannot be written."""
    lock = FileLock(path.with_suffix(".lock"))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
