"""The paper's optimizer: SGD with momentum and weight decay."""

from collections.abc import Mapping
from itertools import groupby

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
    """Return SGD with momentum over all trainable parameters of `model` (paper Sec. 3.4 and 4.2).

    The update is v = momentum * v + g + weight_decay * w; w -= lr * v, as in torch and fb.resnet.torch. The paper's
    Caffe multiplies the gradient by lr inside v, which differs for some steps after each change of lr.

    Args:
        model: The network; parameters with `requires_grad` False are left out.
        lr: Learning rate.
        momentum: Momentum.
        nesterov: Use Nesterov's momentum (not in the paper).
        weight_decay: Weight decay.
        decay_norm_and_bias: Decay scales, shifts and biases too.
        lr_multipliers: Factor on the learning rate of each parameter, 1 by default.

    Returns:
        The optimizer; each group's `lr_scale` is the factor on the schedule's learning rate.
    """
    multipliers = lr_multipliers or {}

    def group_key(parameter: nn.Parameter) -> tuple[float, bool]:
        # scales, shifts and biases are the parameters with one dimension
        return multipliers.get(parameter, 1.0), not decay_norm_and_bias and parameter.ndim <= 1

    parameters = sorted((parameter for parameter in model.parameters() if parameter.requires_grad), key=group_key)
    groups = [
        {
            "params": list(members),
            "lr": lr * multiplier,
            "lr_scale": multiplier,
            "weight_decay": 0.0 if is_free_of_decay else weight_decay,
        }
        for (multiplier, is_free_of_decay), members in groupby(parameters, group_key)
    ]
    is_cuda = parameters[0].is_cuda
    return SGD(
        groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=True if is_cuda else None
    )
