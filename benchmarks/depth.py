"""Time and memory of one training step by depth: `python -m benchmarks.depth N checkpoint|keep` for one of them."""

import json
import resource
import subprocess
import sys
import time
from typing import Any

from reslab.families import CIFAR_PAPER_DEPTHS

from .contest import save

BATCH = 128


def measure(depth: int, checkpoints: bool, steps: int) -> dict[str, Any]:
    """Train by the recipe of a CIFAR net in this process; say its time per step and its peak memory, data included."""
    from reslab import override, recipe
    from reslab.allocator import keep_freed_memory
    from reslab.build import choose_device
    from reslab.distributed import World
    from reslab.run import make_trainer, prepare

    keep_freed_memory()
    changes = {"iterations": 1000, "monitor": "none", "checkpoint_activations": checkpoints, "batch_size": BATCH}
    config = override(recipe(f"cifar-resnet{depth}").make(), {"train": changes, "schedule": {"kind": "constant"}})
    setting = prepare(config, choose_device(config.train, World()), World())
    trainer = make_trainer(setting)
    before = _peak_gb()
    trainer.train_step()
    start = time.perf_counter()
    for _ in range(steps):
        trainer.train_step()
    return {
        "depth": depth,
        "checkpoint_activations": checkpoints,
        "engine": setting.engine.label,
        "seconds_per_step": round((time.perf_counter() - start) / steps, 4),
        "peak_gb": _peak_gb(),
        "peak_gb_before_training": before,
    }


def _peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 3)


def main() -> None:
    """Measure every depth with and without checkpoints, each in a process of its own, in turn."""
    rows = []
    for depth in CIFAR_PAPER_DEPTHS:
        for mode in ("keep", "checkpoint"):
            command = [sys.executable, "-m", "benchmarks.depth", str(depth), mode]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    save("depth", {"title": f"One training step of CIFAR ResNets by depth, batch {BATCH}", "rows": rows})


if __name__ == "__main__":
    if len(sys.argv) == 3:
        number = int(sys.argv[1])
        print(json.dumps(measure(number, sys.argv[2] == "checkpoint", steps=max(2, 600 // number))))
    else:
        main()
