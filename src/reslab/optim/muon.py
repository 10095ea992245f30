"""Muon for convolutions followed by batch norm: steps of equal size in every direction of a layer's matrix."""

# torch's own optimizers are made of torch._foreach_*, which has no public name
# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false

from collections import defaultdict
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# the quintic a x + b x^3 + c x^5 that drives singular values towards 1 fastest (Jordan et al. 2024, "Muon")
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Move the singular values of matrices to 0.7 to 1.2 and keep the singular vectors, by Newton-Schulz iterations.

    Every iterate X_k = Q_k ... Q_1 X has a polynomial of X X^T in front. The iteration therefore runs on that small
    square matrix alone, where a step costs rows^3 instead of rows^2 columns; X itself is multiplied only twice.

    Args:
        matrices: float32 [n, rows, columns].

    Returns:
        float32 [n, rows, columns].
    """
    a, b, c = _COEFFICIENTS
    x = matrices / (_norms(matrices) + 1e-7)
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.mT
    gram = x @ x.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = None
    for iteration in range(_ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c).add_(identity, alpha=a)
        product = factor if product is None else factor @ product
        if iteration < _ITERATIONS - 1:
            gram = factor @ gram @ factor  # they commute: polynomials of one symmetric matrix
    assert product is not None
    x = product @ x
    return x.mT if is_tall else x


def _norms(matrices: Tensor) -> Tensor:
    """The Frobenius norm of each matrix, [n, 1, 1]."""
    norm = cast("Callable[..., Tensor]", torch.linalg.vector_norm)  # pyright: ignore[reportUnknownMemberType]
    return norm(matrices.flatten(1), dim=1)[:, None, None]


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) on a network's inner convolutions, SGD with Nesterov momentum on everything else.

    A convolution [out, in, k, k] is read as a matrix [out, in k k]. Its momentum is made orthogonal, and its weight
    keeps the norm sqrt(out), so `lr` is the size of a step relative to the weight. This leaves the network's function
    unchanged only where batch norm follows the convolution; the caller refuses `norm="none"`.

    `torch.optim.Muon` (from torch 2.9) takes only matrices, one at a time, and lets their norm drift.

    Args:
        inner: Weights of convolutions, float32 [out, in, k, k].
        others: Parameters that SGD trains.
        lr: Learning rate of `inner`. A group's `lr_scale` is the factor on the schedule's learning rate.
        momentum: Momentum of `inner`.
        sgd_lr: Learning rate of `others`.
        sgd_momentum: Momentum of `others`.
        weight_decay: Weight decay of `others`; a weight of fixed norm needs none.
    """

    def __init__(
        self,
        inner: list[Tensor],
        others: list[Tensor],
        *,
        lr: float,
        momentum: float,
        sgd_lr: float,
        sgd_momentum: float,
        weight_decay: float,
    ) -> None:
        groups = [
            {"params": inner, "is_inner": True, "lr": lr, "lr_scale": 1.0, "momentum": momentum, "weight_decay": 0.0},
            {
                "params": others,
                "is_inner": False,
                "lr": sgd_lr,
                "lr_scale": sgd_lr / lr,
                "momentum": sgd_momentum,
                "weight_decay": weight_decay,
            },
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Args:
            closure: Part of torch's interface; not supported.
        """
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            updates = self._nesterov(parameters, group["momentum"], group["weight_decay"])
            if group["is_inner"]:
                _step_inner(parameters, updates, group["lr"])
            else:
                torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _nesterov(self, parameters: list[Tensor], momentum: float, weight_decay: float) -> list[Tensor]:
        """Update the momenta and return the steps; whole lists at once, because the tensors are small."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if weight_decay:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=weight_decay))
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        velocities = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients)
        return list(torch._foreach_add(gradients, velocities, alpha=momentum))


def _step_inner(parameters: list[Tensor], updates: list[Tensor], lr: float) -> None:
    # layers of one shape go through the iteration together
    by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for parameter, update in zip(parameters, updates, strict=True):
        by_shape[parameter.shape].append((parameter, update))
    for shape, pairs in by_shape.items():
        weights = torch.stack([parameter.reshape(shape[0], -1) for parameter, _ in pairs])
        directions = orthogonalize(torch.stack([update.reshape(shape[0], -1) for _, update in pairs]))
        weights *= shape[0] ** 0.5 / _norms(weights)
        weights.sub_(directions, alpha=lr)
        torch._foreach_copy_([parameter for parameter, _ in pairs], [weight.view(shape) for weight in weights])


def make_muon(
    model: nn.Module,
    *,
    lr: float,
    momentum: float,
    sgd_lr: float,
    sgd_momentum: float,
    weight_decay: float,
) -> Optimizer:
    """Return Muon for the convolutions of `model` except its first; SGD for the first, the norms and the last layer.

    Args:
        model: The network; parameters with `requires_grad` False are left out.
        lr: Learning rate of the convolutions.
        momentum: Momentum of the convolutions.
        sgd_lr: Learning rate of what SGD trains.
        sgd_momentum: Momentum of what SGD trains.
        weight_decay: Weight decay of what SGD trains.

    Returns:
        The optimizer; each group's `lr_scale` is the factor on the schedule's learning rate.
    """
    convolutions = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    inner = {id(weight) for weight in convolutions[1:]}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Muon(
        [parameter for parameter in trained if id(parameter) in inner],
        [parameter for parameter in trained if id(parameter) not in inner],
        lr=lr,
        momentum=momentum,
        sgd_lr=sgd_lr,
        sgd_momentum=sgd_momentum,
        weight_decay=weight_decay,
    )
