"""Muon for convolutions that batch norm follows: steps of equal size in every direction of a layer's matrix."""

# pyright: reportPrivateImportUsage=false
# torch's own optimizers are made of torch._foreach_*, which has no public name

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# the quintic a x + b x^3 + c x^5 that drives singular values towards 1 fastest (Jordan et al. 2024, "Muon")
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return matrices with the same singular vectors and singular values near 1 (0.7 to 1.2), by Newton and Schulz.

    [n, rows, columns] -> the same shape, float32.

    Every iterate X_k = Q_k ... Q_1 X has a polynomial of X X^T before it, so the iteration runs on that small square
    matrix alone, where a step costs rows^3 instead of rows^2 columns; X itself is multiplied twice in all.
    """
    a, b, c = _COEFFICIENTS
    x = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.mT
    gram = x @ x.mT
    one = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = None
    for iteration in range(_ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c).add_(one, alpha=a)
        product = factor if product is None else factor @ product
        if iteration < _ITERATIONS - 1:
            gram = factor @ gram @ factor  # all of them commute: polynomials of one symmetric matrix
    assert product is not None
    x = product @ x
    return x.mT if is_tall else x


class Muon(Optimizer):
    """Muon on the convolutions inside the network, SGD with Nesterov momentum on everything else.

    A convolution [out, in, k, k] is taken as a matrix [out, in k k]. Its momentum is made orthogonal, and the weight is
    held at the norm sqrt(out), so that `lr` is the size of a step relative to the weight. That changes no function:
    batch norm follows, and the scale of a weight before it does not matter (so `norm="none"` is refused by the caller).

    `torch.optim.Muon` (from torch 2.9) takes matrices only, one at a time, and lets their norm drift.

    inner, others: parameters; the groups' `lr_scale` is what the schedule's learning rate is multiplied by.
    """

    def __init__(
        self,
        inner: list[Tensor],
        others: list[Tensor],
        *,
        lr: float,
        momentum: float,
        other_lr: float,
        other_momentum: float,
        weight_decay: float,
    ) -> None:
        groups = [
            {"params": inner, "is_inner": True, "lr": lr, "lr_scale": 1.0, "momentum": momentum, "weight_decay": 0.0},
            {
                "params": others,
                "is_inner": False,
                "lr": other_lr,
                "lr_scale": other_lr / lr,
                "momentum": other_momentum,
                "weight_decay": weight_decay,
            },
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make one step with the gradients at hand; `closure` is torch's interface and not used."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            updates = self._nesterov(parameters, group)
            if group["is_inner"]:
                _step_inner(parameters, updates, group["lr"])
            else:
                torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _nesterov(self, parameters: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Move the momenta on, and return the updates; whole lists at a time, because the tensors are small."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        velocities = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients)
        return list(torch._foreach_add(gradients, velocities, alpha=group["momentum"]))


def _step_inner(parameters: list[Tensor], updates: list[Tensor], lr: float) -> None:
    # layers of one shape go through the iteration together
    by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for parameter, update in zip(parameters, updates, strict=True):
        by_shape[parameter.shape].append((parameter, update))
    for shape, pairs in by_shape.items():
        weights = torch.stack([parameter.reshape(shape[0], -1) for parameter, _ in pairs])
        directions = orthogonalize(torch.stack([update.reshape(shape[0], -1) for _, update in pairs]))
        weights *= shape[0] ** 0.5 / weights.flatten(1).norm(dim=1)[:, None, None]
        weights.sub_(directions, alpha=lr)
        torch._foreach_copy_([parameter for parameter, _ in pairs], [weight.view(shape) for weight in weights])


def make_muon(
    model: nn.Module,
    *,
    lr: float,
    momentum: float,
    other_lr: float,
    other_momentum: float,
    weight_decay: float,
) -> Optimizer:
    """Return Muon for the convolutions of `model` except its first; SGD for the first, the norms and the last layer.

    Parameters that do not train (`requires_grad` False) are left out.

    weight_decay: of what SGD trains; a weight whose norm is held needs none.
    """
    convolutions = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    inner = {id(weight) for weight in convolutions[1:]}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Muon(
        [parameter for parameter in trained if id(parameter) in inner],
        [parameter for parameter in trained if id(parameter) not in inner],
        lr=lr,
        momentum=momentum,
        other_lr=other_lr,
        other_momentum=other_momentum,
        weight_decay=weight_decay,
    )
