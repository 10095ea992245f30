"""Fine-tuning: frozen stages, frozen batch norm, a learning rate for each stage."""

from torch import nn

from reslab.errors import UsageError

from .build import Network
from .normalization import freeze_batch_norm


def freeze(model: Network, *, num_stages: int = 0, batch_norm: bool = False) -> None:
    """Freeze the stem and the first stages, and optionally every batch norm's statistics.

    In frozen stages no weight trains and batch norm stays in eval mode. Frozen batch norms stay in eval mode by
    themselves, also after `model.train()`, so any training loop works.

    Args:
        model: The network; changed in place.
        num_stages: How many stages to freeze, with the stem if any; 0 freezes neither.
        batch_norm: Freeze the running statistics of every batch norm and normalise by them. Scales and shifts of
            stages that are not frozen still train.

    Raises:
        UsageError: `num_stages` is negative, or more than the network has.
    """
    stem, *stages, _ = model.parts().values()
    if not 0 <= num_stages <= len(stages):
        raise UsageError(f"num_stages is {num_stages}; allowed for {model.spec.label}: 0 to {len(stages)}.")
    if num_stages:
        for module in (*stem, *(module for stage in stages[:num_stages] for module in stage)):
            module.requires_grad_(False)
            freeze_batch_norm(module)
    if batch_norm:
        freeze_batch_norm(model)


def lr_multipliers(model: Network, decay: float) -> dict[nn.Parameter, float]:
    """Return the factor on each parameter's learning rate: smaller for layers farther from the head.

    The head has 1. With n stages, the last stage has decay, the first decay^n and the stem decay^(n + 1).

    Args:
        model: The network.
        decay: Factor between one stage and the one before it.

    Returns:
        The factor of each parameter.
    """
    multipliers = {}
    for distance, modules in enumerate(reversed(model.parts().values())):
        for module in modules:
            multipliers |= dict.fromkeys(module.parameters(), decay**distance)
    return multipliers
