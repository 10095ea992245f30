"""The optimizer of the paper, with weight decay where it is asked for."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from torch import nn
from torch.optim import SGD, Optimizer


def make_sgd(
    model: nn.Module,
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    decay_norm_and_bias: bool,
    lr_multipliers: Mapping[nn.Parameter, float] | None = None,
) -> Optimizer:
    """Return SGD with momentum over all parameters of `model` that train.

    lr_multipliers: what the learning rate of each parameter is multiplied by (`lr_scale` of its group); 1 by default.

    `v = momentum * v + g + weight_decay * w; w -= lr * v`, as torch and fb.resnet.torch have it. The paper's Caffe
    multiplies the gradient by lr inside v, which differs for some steps after each change of lr.
    """
    scales = lr_multipliers or {}

    def kind(parameter: nn.Parameter) -> tuple[float, bool]:
        # scales, shifts and biases are the parameters with one dimension
        return scales.get(parameter, 1.0), not decay_norm_and_bias and parameter.ndim <= 1

    parameters = sorted((parameter for parameter in model.parameters() if parameter.requires_grad), key=kind)
    groups: list[dict[str, Any]] = []
    for (scale, is_free), members in groupby(parameters, kind):
        groups.append({"params": list(members), "lr": lr * scale, "lr_scale": scale})
        if is_free:
            groups[-1]["weight_decay"] = 0.0
    is_cuda = parameters[0].is_cuda
    return SGD(
        groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=True if is_cuda else None
    )
