"""Training a part of a network: frozen stages, frozen batch norm, a rate for each stage."""

from torch import nn

from reslab.errors import UsageError

from .build import Network
from .normalization import freeze_batch_norm


def freeze(model: Network, *, num_stages: int = 0, batch_norm: bool = False) -> None:
    """Keep the stem and the first `num_stages` stages as they are in training: weights, and batch norm in eval mode.

    batch_norm: keep the running statistics of every batch norm, and normalise by them; scales and shifts still train.
    Modules decide this themselves (`model.train()` leaves frozen batch norms in eval mode), so any loop may train it.

    Raises UsageError for more stages than there are.
    """
    stem, *stages, _ = model.parts().values()
    if not 0 <= num_stages <= len(stages):
        raise UsageError(f"freeze_stages is {num_stages}; {model.spec.label} has {len(stages)} stages: 0 to that.")
    if num_stages:
        for module in (*stem, *(module for stage in stages[:num_stages] for module in stage)):
            module.requires_grad_(False)
            freeze_batch_norm(module)
    if batch_norm:
        freeze_batch_norm(model)


def lr_multipliers(model: Network, decay: float) -> dict[nn.Parameter, float]:
    """Return what each parameter's learning rate is multiplied by: 1 for the head, `decay` once more for each stage.

    With n stages, the last stage has `decay`, the first decay^n, and the stem decay^(n + 1).
    """
    scales = {}
    for distance, modules in enumerate(reversed(model.parts().values())):
        for module in modules:
            scales |= dict.fromkeys(module.parameters(), decay**distance)
    return scales
