"""Time and peak memory of training steps, in a process of its own: `python -m reslab.experiments.step_cost`.

Peak memory is a process's, so every net needs one: the caller starts this module with the config on standard input.
"""

import json
import resource
import subprocess
import sys
import time
from typing import Any

from reslab.allocator import keep_freed_memory
from reslab.build import choose_device
from reslab.config import RunConfig, from_dict, to_dict
from reslab.distributed import World
from reslab.errors import Failure
from reslab.run import make_trainer, prepare

_GB = 1024**2  # in the kilobytes that getrusage counts


def step_cost(config: RunConfig, steps: int) -> dict[str, Any]:
    """Train for one step and `steps` more in a new process; return seconds per step and peak resident memory in GB.

    Failure when the process ends without an answer, for want of memory for instance.
    """
    command = [sys.executable, "-m", "reslab.experiments.step_cost", str(steps)]
    done = subprocess.run(command, input=json.dumps(to_dict(config)), capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message; killed for want of memory?"]
        raise Failure(f"{config.recipe}: the training steps could not be measured: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(config: RunConfig, steps: int) -> dict[str, Any]:
    keep_freed_memory()
    setting = prepare(config, choose_device(config.train, World()), World())
    trainer = make_trainer(setting)
    before = _peak_gb()
    trainer.train_step()
    start = time.perf_counter()
    for _ in range(steps):
        trainer.train_step()
    return {
        "depth": config.model.depth,
        "checkpoint_activations": config.train.checkpoint_activations,
        "engine": setting.engine.label,
        "seconds_per_step": round((time.perf_counter() - start) / steps, 4),
        "peak_gb": _peak_gb(),
        "peak_gb_before_training": before,
    }


def _peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _GB, 3)


if __name__ == "__main__":
    print(json.dumps(_measure(from_dict(json.load(sys.stdin)), int(sys.argv[1]))))
