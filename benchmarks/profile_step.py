"""Where the time of a training step goes, and which part of the machine's matrix rate it reaches."""

import time
from collections import defaultdict
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from reslab import model_spec
from reslab.analysis.complexity import measure_complexity
from reslab.engines.training import candidates, make_step
from reslab.system.memory import keep_freed_memory

from .contest import save
from .machine import product_rate

_NETS = (("cifar_resnet20", 32, 128), ("resnet18", 112, 64), ("resnet50_v1_5", 224, 32))
_STEPS = 5
_PARTS = {
    "convolutions": ("conv",),
    "batch norm, addition, ReLU": ("fusednorm", "batch_norm", "clamp_min", "threshold", "relu"),
    "additions of gradients": ("add_",),
    "copies and casts": ("copy_", "fill_", "zero_"),
}


def _part_of(operation: str) -> str:
    name = operation.lower()
    return next((part for part, words in _PARTS.items() if any(word in name for word in words)), "the rest")


def _seconds_by_part(step: Callable[[], object]) -> dict[str, float]:
    for _ in range(2):  # the first profile is slower than any step: its own memory is new
        with profile(activities=[ProfilerActivity.CPU]) as found:
            for _ in range(_STEPS):
                step()
    seconds: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        seconds[_part_of(event.key)] += event.self_cpu_time_total / 1e6 / _STEPS
    return dict(seconds)


def _row(name: str, size: int, batch: int, peak: float) -> dict[str, object]:
    spec, device = model_spec(name), torch.device("cpu")
    engine = candidates(
        precision="auto", fused_norm="auto", compile="off", device=device, iterations=1, has_blocks=True
    )[0]
    step = make_step(engine, spec, (batch, spec.in_channels, size, size), device)
    for _ in range(2):
        step()
    start = time.perf_counter()
    for _ in range(_STEPS):
        step()
    took = (time.perf_counter() - start) / _STEPS
    parts = _seconds_by_part(step)
    total = sum(parts.values())
    # forward, and two products of the same size backward; two operations in a multiply-add
    operations = 6 * measure_complexity(spec, size).multiply_adds * batch
    return {
        "network": spec.label,
        "size": size,
        "batch_size": batch,
        "engine": engine.label,
        "parts": {part: round(seconds / total, 3) for part, seconds in sorted(parts.items(), key=lambda p: -p[1])},
        "step_of_machine": round(operations / took / 1e9 / peak, 3),
        "convolutions_of_machine": round(operations / parts["convolutions"] / 1e9 / peak, 3),
    }


def main() -> None:
    """Profile every network and write results/bench/profile.json."""
    keep_freed_memory()
    peak = product_rate(torch.bfloat16)
    rows = [_row(*net, peak) for net in _NETS]
    save("profile", {"title": "Where a training step's time goes", "gflops_bfloat16": peak, "rows": rows})


if __name__ == "__main__":
    main()
