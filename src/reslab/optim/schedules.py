"""Learning-rate factors: pure functions of the step, and the two that must watch the error."""

import math
from collections.abc import Callable
from typing import Any, Protocol

Factor = Callable[[int], float]


def constant() -> Factor:
    """Always 1."""
    return lambda step: 1.0


def step_decay(milestones: tuple[int, ...], factor: float) -> Factor:
    """`factor` to the power of the milestones passed; a milestone counts from its own step on (paper Sec. 4.2)."""
    return lambda step: factor ** sum(step >= milestone for milestone in milestones)


def cosine(iterations: int, final_factor: float) -> Factor:
    """Half a cosine from 1 at step 0 to `final_factor` at step `iterations`."""

    def at(step: int) -> float:
        progress = min(step / iterations, 1.0)
        return final_factor + (1 - final_factor) * (1 + math.cos(math.pi * progress)) / 2

    return at


def one_cycle(iterations: int, rise: float, start_factor: float, final_factor: float) -> Factor:
    """A line from `start_factor` up to 1 at `rise * iterations`, then a line down to `final_factor` at the end."""
    peak = rise * iterations

    def at(step: int) -> float:
        if step < peak:
            return start_factor + (1 - start_factor) * step / peak
        return 1 + (final_factor - 1) * min((step - peak) / (iterations - peak), 1.0)

    return at


def linear_warmup(iterations: int) -> Factor:
    """A line that reaches 1 at step `iterations`; the first step already moves (1 / (iterations + 1))."""
    return lambda step: min((step + 1) / (iterations + 1), 1.0)


class Watcher(Protocol):
    """A factor that depends on what was measured, and so has state."""

    def factor(self) -> float: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ErrorWarmup:
    """`reduced` until a window's training error is below a bound, then 1 for good (paper Sec. 4.2, 110 layers).

    The paper starts ResNet-110 at 0.01 until the training error is below 80 % and then goes back to 0.1.
    """

    def __init__(self, reduced: float, below_percent: float, window_iterations: int) -> None:
        self.reduced, self.below_percent, self.window_iterations = reduced, below_percent, window_iterations
        self.is_over = False

    def factor(self) -> float:
        return 1.0 if self.is_over else self.reduced

    def observe(self, training_error: float) -> None:
        """Take the training error, in %, of one whole window."""
        self.is_over = self.is_over or training_error < self.below_percent

    def state_dict(self) -> dict[str, Any]:
        return {"is_over": self.is_over}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.is_over = state["is_over"]


class PlateauDecay:
    """Multiply by `decay` when the validation error has not improved for `patience` evaluations (paper Sec. 3.4)."""

    def __init__(self, decay: float, patience: int, min_improvement: float, max_drops: int) -> None:
        self.decay, self.patience, self.min_improvement, self.max_drops = decay, patience, min_improvement, max_drops
        self.best_error, self.num_bad, self.num_drops = math.inf, 0, 0

    def factor(self) -> float:
        return self.decay**self.num_drops

    def observe(self, validation_error: float) -> None:
        """Take the validation error, in %, of one evaluation."""
        if validation_error < self.best_error - self.min_improvement:
            self.best_error, self.num_bad = validation_error, 0
            return
        self.num_bad += 1
        if self.num_bad >= self.patience and self.num_drops < self.max_drops:
            self.num_drops, self.num_bad = self.num_drops + 1, 0

    def state_dict(self) -> dict[str, Any]:
        best = None if math.isinf(self.best_error) else self.best_error  # JSON has no infinity
        return {"best_error": best, "num_bad": self.num_bad, "num_drops": self.num_drops}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_error = math.inf if state["best_error"] is None else state["best_error"]
        self.num_bad, self.num_drops = state["num_bad"], state["num_drops"]


class LearningRate:
    """The learning rate at each step: base x schedule x warm-up."""

    def __init__(
        self,
        base: float,
        schedule: Factor | PlateauDecay,
        warmup: Factor | ErrorWarmup,
    ) -> None:
        self.base, self.schedule, self.warmup = base, schedule, warmup

    def at(self, step: int) -> float:
        """Return the learning rate of a step, as far as the errors observed so far decide it."""
        factors = (part(step) if callable(part) else part.factor() for part in (self.schedule, self.warmup))
        return self.base * math.prod(factors)

    def _watchers(self) -> dict[str, Watcher]:
        parts = {"schedule": self.schedule, "warmup": self.warmup}
        return {name: part for name, part in parts.items() if not callable(part)}

    def state_dict(self) -> dict[str, Any]:
        return {name: watcher.state_dict() for name, watcher in self._watchers().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, watcher in self._watchers().items():
            watcher.load_state_dict(state[name])
