"""Time and memory of one training step by depth, with and without activation checkpoints."""

from dataclasses import asdict

from reslab import override, recipe
from reslab.experiments.step_cost import step_cost
from reslab.spec.families import CIFAR_PAPER_DEPTHS

from .contest import save

BATCH = 128


def main() -> None:
    """Measure every depth with and without checkpoints, each in a process of its own, in turn."""
    rows = []
    for depth in CIFAR_PAPER_DEPTHS:
        for checkpoints in (False, True):
            settings = {
                "train": {"iterations": 1000, "batch_size": BATCH},
                "compute": {"checkpoint_activations": checkpoints},
                "evaluation": {"monitor": "none"},
                "schedule": {"kind": "constant"},
            }
            config = override(recipe(f"cifar-resnet{depth}"), settings)
            rows.append(asdict(step_cost(config, steps=max(2, 600 // depth))))
            print(rows[-1], flush=True)
    save("depth", {"title": f"One training step of CIFAR ResNets by depth, batch {BATCH}", "rows": rows})
