"""The optimizer of the paper, with weight decay where it is asked for."""

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
) -> Optimizer:
    """Return SGD with momentum over all parameters of `model`.

    `v = momentum * v + g + weight_decay * w; w -= lr * v`, as torch and fb.resnet.torch have it. The paper's Caffe
    multiplies the gradient by lr inside v, which differs for some steps after each change of lr.
    """
    parameters = list(model.parameters())
    if decay_norm_and_bias:
        groups = [{"params": parameters}]
    else:
        # scales, shifts and biases are the parameters with one dimension
        groups = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    is_cuda = parameters[0].is_cuda
    return SGD(
        groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=True if is_cuda else None
    )
