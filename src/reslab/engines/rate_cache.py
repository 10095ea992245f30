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
    """Return what `measure` returned for the same facts on this machine before; else call it, and keep its answer.

    kind: a folder of the cache; facts: JSON values that decide what is measured. An empty answer is not kept.
    Of processes that want the same at once, one measures and the others wait for its answer: at the same time they
    would disturb each other, and seeds of one table be computed in different ways.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    machine = [name, sorted(cpu_flags()), torch.get_num_threads(), torch.__version__]
    if limit := onednn_limit():
        machine.append(limit)  # it computes as another processor would
    key = hashlib.sha256(json.dumps([facts, machine], sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / kind / f"{key}.json"
    if (kept := _read(path)) is not None:
        return kept
    with _one_at_a_time(path):
        if (kept := _read(path)) is not None:  # by the process that was waited for
            return kept
        rates = measure()
        if rates:
            _keep(path, rates)
        return rates


def _read(path: Path) -> dict[str, float] | None:
    try:
        return {str(label): float(rate) for label, rate in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None  # not there, or damaged: it is only a cache


def _keep(path: Path, rates: dict[str, float]) -> None:
    try:
        write_atomically(path, json.dumps(rates))
    except RunError as error:
        log.warning("the measurement could not be kept for next time: %s", error)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of a file of the cache, where the cache can be written."""
    lock = FileLock(path.with_suffix(".lock"))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
