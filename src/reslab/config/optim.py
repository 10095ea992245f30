"""How the weights change: the optimizer, its learning rate over the run, and the beginning of it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator

from .checks import require

_LARGEST = 1e30  # learning rate: far beyond any use, and still a number in float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Sgd:
    """Stochastic gradient descent with momentum; `v = momentum * v + g + weight_decay * w; w -= lr * v`.

    decay_norm_and_bias: whether weight decay also acts on batch-norm scales, shifts and biases. The paper does not say.
    layer_decay: the head has the learning rate; each stage below it, down to the stem, has it times this once more.
    """

    kind: Literal["sgd"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_norm_and_bias: bool = True
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.lr <= _LARGEST, "lr", self.lr, f"a number above 0, at most {_LARGEST}")
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "0 < layer_decay <= 1")
        require(0 <= self.momentum < 1, "momentum", self.momentum, "0 <= momentum < 1")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        require(not self.nesterov or self.momentum > 0, "nesterov", self.nesterov, "true only with momentum above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Muon:
    """Muon on the convolutions inside the network, SGD with Nesterov momentum on the rest (Jordan et al. 2024).

    lr: size of a step of an inner convolution, relative to its weight, which is held at a fixed norm.
    other_lr, other_momentum, weight_decay: of the rest: the stem, batch norm, the last layer.
    """

    kind: Literal["muon"] = "muon"
    lr: float = 0.1
    momentum: float = 0.6
    other_lr: float = 0.1
    other_momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        for name in ("lr", "other_lr"):
            require(
                0 < getattr(self, name) <= _LARGEST, name, getattr(self, name), f"a number above 0, at most {_LARGEST}"
            )
        for name in ("momentum", "other_momentum"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 <= momentum < 1")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")


Optim = Annotated[Sgd | Muon, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """The learning rate stays where it is."""

    kind: Literal["constant"] = "constant"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDecay:
    """Multiply the learning rate by `factor` at each milestone, in iterations (paper Sec. 4.2)."""

    kind: Literal["step"] = "step"
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in zip((0, *self.milestones), self.milestones, strict=False))
        require(ascending, "milestones", self.milestones, "iterations above 0 in ascending order")
        require(0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plateau:
    """Multiply by `factor` when the validation error has not improved for a while (paper Sec. 3.4).

    patience_evaluations: evaluations without improvement before a drop.
    min_improvement: how many points of error (in %) count as an improvement.
    max_drops: drop at most this often.
    """

    kind: Literal["plateau"] = "plateau"
    factor: float = 0.1
    patience_evaluations: int = 5
    min_improvement: float = 0.1
    max_drops: int = 3

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")
        require(self.patience_evaluations >= 1, "patience_evaluations", self.patience_evaluations, "1 or more")
        require(self.min_improvement >= 0, "min_improvement", self.min_improvement, "0 or more")
        require(self.max_drops >= 1, "max_drops", self.max_drops, "1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosine:
    """Fall along half a cosine from the learning rate to `final_factor` times it over the whole run."""

    kind: Literal["cosine"] = "cosine"
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.final_factor <= 1, "final_factor", self.final_factor, "0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class OneCycle:
    """Rise linearly from `start_factor` to 1 over the part `rise` of the run, then fall linearly to `final_factor`."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = 0.3
    start_factor: float = 0.1
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        require(0 < self.rise < 1, "rise", self.rise, "a part of the run, 0 < rise < 1")
        require(0 <= self.start_factor <= 1, "start_factor", self.start_factor, "0 to 1")
        require(0 <= self.final_factor <= 1, "final_factor", self.final_factor, "0 to 1")


Schedule = Annotated[Constant | StepDecay | Plateau | Cosine | OneCycle, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoWarmup:
    """Start at the schedule's learning rate."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearWarmup:
    """Rise linearly to the schedule's learning rate over `iterations`."""

    kind: Literal["linear"] = "linear"
    iterations: int = 500

    def __post_init__(self) -> None:
        require(self.iterations >= 1, "iterations", self.iterations, "1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class UntilTrainingError:
    """Use `factor` times the learning rate until the training error is below a bound (paper Sec. 4.2, 110 layers).

    The training error is that of the augmented batches, averaged over each `window_iterations` iterations.
    """

    kind: Literal["until_error"] = "until_error"
    factor: float = 0.1
    below_percent: float = 80.0
    window_iterations: int = 100

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")
        require(0 < self.below_percent < 100, "below_percent", self.below_percent, "0 < below_percent < 100")
        require(self.window_iterations >= 1, "window_iterations", self.window_iterations, "1 or more")


Warmup = Annotated[NoWarmup | LinearWarmup | UntilTrainingError, Discriminator("kind")]
