"""Learning-rate schedules: pure functions of the step, and two that depend on the measured error."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Factor = Callable[[int], float]


def constant() -> Factor:
    """Keep the factor at 1."""
    return lambda step: 1.0


def step_decay(milestones: tuple[int, ...], gamma: float) -> Factor:
    """Multiply by `gamma` at each milestone (paper Sec. 4.2: ÷10 at 32k and 48k iterations).

    Args:
        milestones: Steps; each counts from its own step on.
        gamma: Factor of one milestone.

    Returns:
        The factor on the learning rate as a function of the step.
    """
    return lambda step: gamma ** sum(step >= milestone for milestone in milestones)


def cosine(iterations: int, final_factor: float) -> Factor:
    """Fall along half a cosine, from 1 at step 0 to `final_factor` at step `iterations`.

    Args:
        iterations: Length of the training in steps.
        final_factor: Factor at the end.

    Returns:
        The factor on the learning rate as a function of the step.
    """

    def at(step: int) -> float:
        progress = min(step / iterations, 1.0)
        return final_factor + (1 - final_factor) * (1 + math.cos(math.pi * progress)) / 2

    return at


def one_cycle(iterations: int, pct_start: float, start_factor: float, final_factor: float) -> Factor:
    """Rise in a line to 1, then fall in a line to the end.

    Args:
        iterations: Length of the training in steps.
        pct_start: Fraction of the training, in (0, 1), at which the factor reaches 1.
        start_factor: Factor at step 0.
        final_factor: Factor at the end.

    Returns:
        The factor on the learning rate as a function of the step.
    """
    peak = pct_start * iterations

    def at(step: int) -> float:
        if step < peak:
            return start_factor + (1 - start_factor) * step / peak
        return 1 + (final_factor - 1) * min((step - peak) / (iterations - peak), 1.0)

    return at


def linear_warmup(iterations: int) -> Factor:
    """Rise in a line from 1 / (iterations + 1) at step 0 to 1 at step `iterations`.

    Args:
        iterations: Length of the warm-up in steps.

    Returns:
        The factor on the learning rate as a function of the step.
    """
    return lambda step: min((step + 1) / (iterations + 1), 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorWarmupState:
    """What a checkpoint keeps of an `ErrorWarmup`."""

    is_over: bool


class ErrorWarmup:
    """A reduced learning rate until the training error falls below a bound (paper Sec. 4.2, 110 layers).

    The paper starts ResNet-110 at 0.01 until the training error is below 80 %, then returns to 0.1.

    Args:
        reduced: Factor on the learning rate during the warm-up.
        below_percent: Training error, in %, that ends the warm-up.
        window_iterations: Steps over which one training error is measured.

    Attributes:
        is_over: Whether the warm-up has ended.
    """

    def __init__(self, reduced: float, below_percent: float, window_iterations: int) -> None:
        self.reduced, self.below_percent, self.window_iterations = reduced, below_percent, window_iterations
        self.is_over = False

    def factor(self) -> float:
        """Return the current factor on the learning rate."""
        return 1.0 if self.is_over else self.reduced

    def observe(self, training_error: float) -> None:
        """End the warm-up if an error is low enough.

        Args:
            training_error: Training error, in %, over one whole window.
        """
        self.is_over = self.is_over or training_error < self.below_percent

    def state_dict(self) -> ErrorWarmupState:
        """Return the state for a checkpoint."""
        return ErrorWarmupState(is_over=self.is_over)

    def load_state_dict(self, state: ErrorWarmupState) -> None:
        """Restore a state from `state_dict()`."""
        self.is_over = state.is_over


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateauState:
    """What a checkpoint keeps of a `PlateauDecay`.

    Attributes:
        best_error: Lowest validation error so far, in %; None before the first evaluation.
        num_bad: Evaluations since the last improvement or drop.
        num_drops: Drops so far.
    """

    best_error: float | None
    num_bad: int
    num_drops: int


class PlateauDecay:
    """A decay each time the validation error has stopped improving (paper Sec. 3.4: "when the error plateaus").

    Args:
        decay: Factor of one drop.
        patience: Evaluations without an improvement before a drop.
        min_delta: Improvement of the error, in percentage points, that counts as one.
        max_drops: Largest number of drops.

    Attributes:
        best_error: Lowest validation error so far, in %.
        num_bad: Evaluations since the last improvement or drop.
        num_drops: Drops so far.
    """

    def __init__(self, decay: float, patience: int, min_delta: float, max_drops: int) -> None:
        self.decay, self.patience, self.min_delta, self.max_drops = decay, patience, min_delta, max_drops
        self.best_error, self.num_bad, self.num_drops = math.inf, 0, 0

    def factor(self) -> float:
        """Return the current factor on the learning rate."""
        return self.decay**self.num_drops

    def observe(self, validation_error: float) -> None:
        """Count an evaluation, and drop the learning rate if the error has not improved for long enough.

        Args:
            validation_error: Validation error, in %.
        """
        if validation_error < self.best_error - self.min_delta:
            self.best_error, self.num_bad = validation_error, 0
            return
        self.num_bad += 1
        if self.num_bad >= self.patience and self.num_drops < self.max_drops:
            self.num_drops, self.num_bad = self.num_drops + 1, 0

    def state_dict(self) -> PlateauState:
        """Return the state for a checkpoint."""
        best = None if math.isinf(self.best_error) else self.best_error  # JSON has no infinity
        return PlateauState(best_error=best, num_bad=self.num_bad, num_drops=self.num_drops)

    def load_state_dict(self, state: PlateauState) -> None:
        """Restore a state from `state_dict()`."""
        self.best_error = math.inf if state.best_error is None else state.best_error
        self.num_bad, self.num_drops = state.num_bad, state.num_drops


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningRateState:
    """What a checkpoint keeps of a `LearningRate`; None for a part that is a function of the step."""

    schedule: PlateauState | None = None
    warmup: ErrorWarmupState | None = None


class LearningRate:
    """The learning rate at each step: base x schedule x warm-up.

    Args:
        base: Learning rate that the factors multiply.
        schedule: Factor over the whole training.
        warmup: Factor at its start.
    """

    def __init__(
        self,
        base: float,
        schedule: Factor | PlateauDecay,
        warmup: Factor | ErrorWarmup,
    ) -> None:
        self.base, self.schedule, self.warmup = base, schedule, warmup

    def at(self, step: int) -> float:
        """Return the learning rate of a step, given the errors observed so far.

        Args:
            step: Optimizer steps made before this one.

        Returns:
            The learning rate.
        """
        factors = (part(step) if callable(part) else part.factor() for part in (self.schedule, self.warmup))
        return self.base * math.prod(factors)

    def state_dict(self) -> LearningRateState:
        """Return the state for a checkpoint."""
        return LearningRateState(
            schedule=self.schedule.state_dict() if isinstance(self.schedule, PlateauDecay) else None,
            warmup=self.warmup.state_dict() if isinstance(self.warmup, ErrorWarmup) else None,
        )

    def load_state_dict(self, state: LearningRateState) -> None:
        """Restore a state from `state_dict()`.

        Args:
            state: The state of a learning rate with the same kinds of schedule and warm-up.
        """
        if isinstance(self.schedule, PlateauDecay):
            assert state.schedule is not None
            self.schedule.load_state_dict(state.schedule)
        if isinstance(self.warmup, ErrorWarmup):
            assert state.warmup is not None
            self.warmup.load_state_dict(state.warmup)
