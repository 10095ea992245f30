"""The learning rate over the run, and its warm-up."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """Keep the learning rate."""

    kind: Literal["constant"] = "constant"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDecay:
    """Multiply the learning rate by `gamma` at each milestone (paper Sec. 4.2).

    Attributes:
        kind: "step".
        milestones: Iterations at which the learning rate drops, in ascending order.
        gamma: Factor of each drop.
    """

    kind: Literal["step"] = "step"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def __post_init__(self) -> None:
        is_ascending = all(a < b for a, b in zip((0, *self.milestones), self.milestones, strict=False))
        require(is_ascending, "schedule.milestones", self.milestones, "iterations above 0 in ascending order")
        require(0 < self.gamma < 1, "schedule.gamma", self.gamma, "0 < gamma < 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plateau:
    """Multiply the learning rate by `factor` whenever the validation error stops improving (paper Sec. 3.4).

    Attributes:
        kind: "plateau".
        factor: Factor of each drop.
        patience: Evaluations without improvement before a drop.
        min_delta: Smallest fall of the error that counts as an improvement, in percentage points.
        max_drops: Largest number of drops.
    """

    kind: Literal["plateau"] = "plateau"
    factor: float = 0.1
    patience: int = 5
    min_delta: float = 0.1
    max_drops: int = 3

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, "schedule.factor", self.factor, "0 < factor < 1")
        require(self.patience >= 1, "schedule.patience", self.patience, "1 or more")
        require(self.min_delta >= 0, "schedule.min_delta", self.min_delta, "0 or more")
        require(self.max_drops >= 1, "schedule.max_drops", self.max_drops, "1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosine:
    """Fall along half a cosine over the whole run.

    Attributes:
        kind: "cosine".
        final_factor: Learning rate at the end, relative to that at the start.
    """

    kind: Literal["cosine"] = "cosine"
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.final_factor <= 1, "schedule.final_factor", self.final_factor, "0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class OneCycle:
    """Rise linearly to the learning rate, then fall linearly to the end of the run.

    Attributes:
        kind: "one_cycle".
        pct_start: Fraction of the run that rises, between 0 and 1.
        start_factor: Learning rate at the start, relative to the peak.
        final_factor: Learning rate at the end, relative to the peak.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    pct_start: float = 0.3
    start_factor: float = 0.1
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        require(0 < self.pct_start < 1, "schedule.pct_start", self.pct_start, "a fraction of the run, 0 to 1")
        require(0 <= self.start_factor <= 1, "schedule.start_factor", self.start_factor, "0 to 1")
        require(0 <= self.final_factor <= 1, "schedule.final_factor", self.final_factor, "0 to 1")


Schedule = Annotated[Constant | StepDecay | Plateau | Cosine | OneCycle, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoWarmup:
    """Start at the schedule's learning rate."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearWarmup:
    """Rise linearly to the schedule's learning rate.

    Attributes:
        kind: "linear".
        iterations: Length of the warm-up.
    """

    kind: Literal["linear"] = "linear"
    iterations: int = 500

    def __post_init__(self) -> None:
        require(self.iterations >= 1, "warmup.iterations", self.iterations, "1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class UntilTrainingError:
    """Lower the learning rate until the training error is below a bound (paper Sec. 4.2, 110 layers).

    Attributes:
        kind: "until_error".
        factor: Factor of the learning rate until then.
        below_percent: Training error that ends the warm-up, in %: that of the augmented batches, averaged over a
            window.
        window_iterations: Iterations in each window.
    """

    kind: Literal["until_error"] = "until_error"
    factor: float = 0.1
    below_percent: float = 80.0
    window_iterations: int = 100

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, "warmup.factor", self.factor, "0 < factor < 1")
        require(0 < self.below_percent < 100, "warmup.below_percent", self.below_percent, "0 < below_percent < 100")
        require(self.window_iterations >= 1, "warmup.window_iterations", self.window_iterations, "1 or more")


Warmup = Annotated[NoWarmup | LinearWarmup | UntilTrainingError, Discriminator("kind")]
