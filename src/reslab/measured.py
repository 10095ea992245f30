"""Rates that were measured on this machine, kept for the next start."""

import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import torch

from reslab.environment import cpu_flags, cpu_name
from reslab.errors import Failure
from reslab.files import write_atomically
from reslab.kernels.compiler import cache_folder

log = logging.getLogger(__name__)


def kept_rates(
    kind: str, facts: list[Any], device: torch.device, measure: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """Return what `measure` returned for the same facts on this machine before; else call it, and keep its answer.

    kind: a folder of the cache; facts: JSON values that decide what is measured. An empty answer is not kept.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    machine = [name, sorted(cpu_flags()), torch.get_num_threads(), torch.__version__]
    key = hashlib.sha256(json.dumps([facts, machine], sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / kind / f"{key}.json"
    try:
        return {str(label): float(rate) for label, rate in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        pass  # not there, or damaged: it is only a cache
    rates = measure()
    if not rates:
        return rates
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(rates))
    except (OSError, Failure) as error:
        log.warning("the measurement could not be kept for next time: %s", error)
    return rates
