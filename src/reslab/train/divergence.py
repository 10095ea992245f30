"""Detect a training that diverged, and word the error."""

import torch
from torch import nn

from reslab.artifacts.checkpoint import CheckpointFolder
from reslab.errors import RunError


@torch.no_grad()
def has_finite_weights(model: nn.Module) -> bool:
    """Return whether every parameter is finite; not running statistics, which training mode does not read."""
    found = [parameter.isfinite().all() for parameter in model.parameters()]
    return bool(torch.stack(found).all())  # one wait for the device, not one for each parameter


def diverged(what: str, learning_rate: float, checkpoints: CheckpointFolder | None) -> RunError:
    """Return the error to raise for a training that diverged.

    A checkpoint's weights are finite, because they are checked before it is written. The last update before it may
    still have been the bad one, and a resumed run has the same settings, so the message promises nothing.

    Args:
        what: What is not finite, and at which step.
        learning_rate: The rate of that step.
        checkpoints: Where the run's checkpoints are; None if it has none.
    """
    steps = checkpoints.steps() if checkpoints else []
    kept = (
        f"The newest checkpoint is of step {steps[-1]}, and its weights are finite, but a resumed run has the same "
        "settings and would most likely diverge again."
        if steps
        else "There is no checkpoint yet."
    )
    return RunError(
        f"{what} (learning rate {learning_rate:g}). {kept} Start a new run with a lower optim.lr, "
        "warmup.kind 'linear', train.grad_clip_norm 1 or compute.precision 'fp32'."
    )
