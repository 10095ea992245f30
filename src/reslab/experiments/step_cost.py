"""Time and peak memory of training steps, in a process of its own: `python -m reslab.experiments.step_cost`.

Peak memory is a process's, so every net needs its own: the caller starts this module with the config on standard input.
"""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from reslab.config import RunConfig, from_dict, to_dict
from reslab.errors import RunError
from reslab.runs.context import context_for_timing
from reslab.runs.train import make_trainer
from reslab.system.memory import is_out_of_memory, keep_freed_memory


class OutOfMemoryError(RunError):
    """The training steps need more memory than there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What training steps of a network cost.

    Attributes:
        depth: The network's number of weighted layers.
        checkpoint_activations: Whether its activations were recomputed.
        device: "cpu" or "cuda"; None where the steps did not fit into memory, as for all fields below.
        engine: How the steps were computed.
        seconds_per_step: Mean time.
        peak_gb: Most memory from the first step on in GB (2^30), resident on a CPU, PyTorch's allocations on a GPU.
        peak_gb_before_training: The same just before it, so that the difference is what training takes.
    """

    depth: int
    checkpoint_activations: bool
    device: str | None = None
    engine: str | None = None
    seconds_per_step: float | None = None
    peak_gb: float | None = None
    peak_gb_before_training: float | None = None


def step_cost(config: RunConfig, steps: int) -> StepCost:
    """Train for one step and then for `steps` more in a new process, and return what these cost.

    Raises:
        OutOfMemoryError: The process was killed or said that it had no memory.
        RunError: The process ended otherwise.
    """
    # -P: what lies in the working folder is not a module
    command = [sys.executable, "-P", "-m", "reslab.experiments.step_cost", str(steps)]
    done = subprocess.run(command, input=json.dumps(to_dict(config)), capture_output=True, text=True)
    if done.returncode == 0:
        return StepCost(**json.loads(done.stdout.splitlines()[-1]))
    lines = done.stderr.strip().splitlines() or ["no message"]
    was_killed = sys.platform != "win32" and done.returncode == -signal.SIGKILL
    if was_killed or is_out_of_memory(done.stderr):
        raise OutOfMemoryError(f"{config.recipe}: out of memory in the training steps: {lines[-1]}")
    raise RunError(f"{config.recipe}: the training steps could not be measured: {lines[-1]}")


def _measure(config: RunConfig, steps: int) -> StepCost:
    context = context_for_timing(config)
    device = context.device
    trainer = make_trainer(context)
    keep_freed_memory()  # not before: the steps would take, unseen, what reading the data had given back
    _forget_peak(device)
    before = peak_gb(device)
    trainer.train_step()
    start = _now(device)
    for _ in range(steps):
        trainer.train_step()
    return StepCost(
        depth=config.model.depth,
        checkpoint_activations=config.compute.checkpoint_activations,
        device=device.type,
        engine=context.engine.label,
        seconds_per_step=round((_now(device) - start) / steps, 4),
        peak_gb=peak_gb(device),
        peak_gb_before_training=before,
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_gb(device: torch.device) -> float:
    """Return the most memory that this process has had, in GB (2^30): resident, or allocated on a GPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return round(_peak_resident_kb() / 2**20, 3)


def _forget_peak(device: torch.device) -> None:
    """Let the peak count from now on: reading the data may have taken more than the steps do."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # other systems, and kernels without it, keep the peak of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def _peak_resident_kb() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # not getrusage: there, Linux begins with the peak of the process that started this one
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource  # Windows has none, and nothing but this measurement needs it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(from_dict(json.load(sys.stdin)), int(sys.argv[1])))))
