"""An optimizer's memory (momentum and the like) as named tensors, for checkpoints."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def read_optimizer_state(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that an optimizer keeps for a model's parameters.

    Args:
        optimizer: The optimizer.
        model: The model whose parameters it updates.

    Returns:
        "SLOT.PARAMETER" -> tensor on the CPU; for example "momentum_buffer.conv1.weight".
    """
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{slot}.{names[parameter]}": value.detach().cpu().contiguous()
        for parameter, values in optimizer.state.items()
        for slot, value in values.items()
        if isinstance(value, Tensor)
    }


def write_optimizer_state(optimizer: Optimizer, model: nn.Module, slots: Mapping[str, Tensor]) -> None:
    """Replace all that an optimizer keeps by what `read_optimizer_state` returned.

    Args:
        optimizer: The optimizer, changed in place.
        model: The model whose parameters it updates.
        slots: "SLOT.PARAMETER" -> tensor.
    """
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for key, value in slots.items():
        slot, _, name = key.partition(".")
        # keep the parameter's memory layout, or the update would round in another order
        optimizer.state[parameters[name]][slot] = torch.empty_like(parameters[name]).copy_(value)
