"""A training that diverged: how the weights show it, and what the user is told."""

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
    """Return the failure to raise. what: what is not finite, and at which step.

    A checkpoint's weights are finite, as they are checked before it is written; the last update before it may have
    been the bad one all the same, and a resume has the same settings. So the message does not promise a good one.
    """
    steps = checkpoints.steps() if checkpoints else []
    kept = (
        f"The newest checkpoint is of step {steps[-1]}, and its weights are finite; but a resumed run has the same "
        "settings and would most likely diverge again."
        if steps
        else "There is no checkpoint yet."
    )
    return RunError(
        f"{what} (learning rate {learning_rate:g}). {kept} Start a new run with a lower optim.lr, a "
        "warm-up (warmup.kind linear), train.grad_clip_norm 1 or compute.precision fp32."
    )
