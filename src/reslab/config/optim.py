"""The optimizer."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator

from .checks import require

_LARGEST_LR = 1e30  # far beyond any use, and still a number in float32
_LR_ALLOWED = f"a number above 0, at most {_LARGEST_LR}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sgd:
    """Stochastic gradient descent with momentum: `v = momentum * v + g + weight_decay * w; w -= lr * v`.

    Attributes:
        kind: "sgd".
        lr: Learning rate before schedule and warm-up.
        momentum: Share of the last step's `v` that is kept.
        nesterov: Whether to look ahead by one step of momentum (Nesterov).
        weight_decay: Decay of the weights, added to the gradient.
        decay_norm_and_bias: Whether weight decay also acts on biases and on the scales and shifts of batch norm. The
            paper does not say.
        layer_decay: Factor of the learning rate from each stage to the one below it, from the head down to the stem;
            1 trains all of them at `lr`.
    """

    kind: Literal["sgd"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_norm_and_bias: bool = True
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.lr <= _LARGEST_LR, "optim.lr", self.lr, _LR_ALLOWED)
        require(0 < self.layer_decay <= 1, "optim.layer_decay", self.layer_decay, "0 < layer_decay <= 1")
        require(0 <= self.momentum < 1, "optim.momentum", self.momentum, "0 <= momentum < 1")
        require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "0 or more")
        is_possible = not self.nesterov or self.momentum > 0
        require(is_possible, "optim.nesterov", self.nesterov, "true only with momentum above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Muon:
    """Muon on the convolutions inside the network, SGD with Nesterov momentum on the rest (Jordan et al. 2024).

    Attributes:
        kind: "muon".
        lr: Learning rate of the inner convolutions, relative to their weights, which are held at a fixed norm.
        momentum: Momentum of the inner convolutions.
        sgd_lr: Learning rate of the rest: the stem, batch norm and the last layer.
        sgd_momentum: Momentum of the rest.
        weight_decay: Weight decay of the rest.
    """

    kind: Literal["muon"] = "muon"
    lr: float = 0.1
    momentum: float = 0.6
    sgd_lr: float = 0.1
    sgd_momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        for name in ("lr", "sgd_lr"):
            lr = getattr(self, name)
            require(0 < lr <= _LARGEST_LR, f"optim.{name}", lr, _LR_ALLOWED)
        for name in ("momentum", "sgd_momentum"):
            momentum = getattr(self, name)
            require(0 <= momentum < 1, f"optim.{name}", momentum, f"0 <= {name} < 1")
        require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "0 or more")


Optim = Annotated[Sgd | Muon, Discriminator("kind")]
