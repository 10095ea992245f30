"""He initialization (paper ref. 13, "Delving Deep into Rectifiers")."""

import math

from torch import nn


def he_initialize(model: nn.Module) -> None:
    """Draw every weight from torch's default generator, in the order of the modules (paper Sec. 3.4, ref. 13).

    Convolutions are normal with variance 2 / fan_in (ref. 13, Eq. 10). Fully connected layers are too where a ReLU
    follows; the last one, whose output is linear, has variance 1 / fan_in. Biases start at zero, batch norm at the
    identity.

    Args:
        model: The network; changed in place.
    """
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            gain = 1.0 if module is linears[-1] else 2.0
            nn.init.normal_(module.weight, std=math.sqrt(gain / module.in_features))
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
