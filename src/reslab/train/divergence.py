"""Training that diverged: detect it in the weights, and say what to do."""

import torch
from torch import nn

from reslab.artifacts.checkpoint import CheckpointFolder
from reslab.errors import RunError


@torch.no_grad()
def has_finite_weights(model: nn.Module) -> bool:
    """Return whether every parameter is finite; running statistics are not checked, as training does not read them."""
    finite = [parameter.isfinite().all() for parameter in model.parameters()]
    return bool(torch.stack(finite).all())  # one wait for the device, not one for each parameter


def divergence_error(what: str, learning_rate: float, checkpoints: CheckpointFolder | None) -> RunError:
    """Make the error of a training that diverged.

    A checkpoint's weights are checked before it is written, so they are finite. Still the update before it may have
    been the bad one, and a resumed run has the same settings. So the message does not promise that resuming works.

    Args:
        what: What is not finite, and at which step.
        learning_rate: The rate of that step.
        checkpoints: Those of the run; None for a training that writes none.

    Returns:
        The error to raise.
    """
    steps = checkpoints.steps() if checkpoints else []
    kept = (
        f"The newest checkpoint is of step {steps[-1]} and has finite weights, but a run resumed from it keeps these "
        "settings and would most likely diverge again."
        if steps
        else "There is no checkpoint yet."
    )
    return RunError(
        f"{what} (learning rate {learning_rate:g}). {kept} Start a new run with a lower optim.lr, a warm-up "
        "(warmup.kind linear), train.grad_clip_norm 1 or compute.precision fp32."
    )
