"""Evaluation during a run and at its end: what is monitored, and which weights are the result."""

from dataclasses import dataclass
from typing import Literal

from reslab.errors import UsageError

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """Configure what is evaluated, and what is chosen by it.

    Attributes:
        every: Iterations between two evaluations of the monitored split.
        monitor: Split that is evaluated during training. "test" only draws a curve: nothing may depend on it.
        select: Which checkpoint is the result; "best" is the one with the lowest validation error.
        patience: Stop after this many evaluations without a better validation error; None trains to the end.
        final_training_error: At the end, also evaluate the training images without augmentation, in eval mode.
    """

    every: int = 1000
    monitor: Literal["none", "validation", "test"] = "none"
    select: Literal["last", "best"] = "last"
    patience: int | None = None
    final_training_error: bool = True

    def __post_init__(self) -> None:
        require(self.every >= 1, "evaluation.every", self.every, "1 or more")
        patience = self.patience
        require(patience is None or patience >= 1, "evaluation.patience", patience, "1 or more, or none")
        if self.monitor != "validation" and (self.select == "best" or patience is not None):
            chooser = "evaluation.select='best'" if self.select == "best" else "evaluation.patience"
            raise UsageError(
                f"{chooser} chooses by the validation error, but evaluation.monitor is {self.monitor!r}; "
                "use evaluation.monitor='validation'. Nothing may be selected on the test set."
            )
