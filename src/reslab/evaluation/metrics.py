"""Exact counts, summed over samples and over processes; never averages of averages."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reslab.distributed import sum_over_ranks


def error_percent(correct: int, total: int) -> float:
    """Return the top-1 error in %: 100 - accuracy, as the paper prints it."""
    return 100.0 * (total - correct) / total


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation counted. confusion: int64 [num_classes, num_classes], row: true class, column: predicted."""

    correct: int
    total: int
    loss: float
    confusion: Tensor

    @property
    def error(self) -> float:
        """Top-1 error in %."""
        return error_percent(self.correct, self.total)

    def cells(self) -> tuple[tuple[int, ...], ...]:
        """Return the confusion matrix as rows of numbers."""
        return tuple(tuple(row) for row in self.confusion.tolist())

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values, without the confusion matrix; a loss that is not finite is None.

        A healthy network's logits may overflow early in its training, when running statistics lag behind the weights.
        """
        return {"correct": self.correct, "total": self.total, "loss": self.loss if math.isfinite(self.loss) else None}


class Meter:
    """Sums of loss, errors and samples on the device, read only when a window is over (no wait in between)."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take in one batch: its mean loss (scalar), logits [n, num_classes] and labels [n]."""
        wrong = (logits.argmax(1) != labels).sum()
        count = torch.full_like(self._sums[0], len(labels))
        self._sums += torch.stack([loss.detach().double() * len(labels), wrong.double(), count])

    def read(self) -> tuple[float, float]:
        """Return (mean loss, error in %) over all processes since the last `reset`."""
        loss, wrong, total = sum_over_ranks(self._sums.clone()).tolist()
        return loss / total, 100.0 * wrong / total

    def is_finite(self) -> bool:
        """Whether the losses since the last `reset` are finite in all processes; so they are where there are none."""
        return math.isfinite(sum_over_ranks(self._sums.clone())[0].item())

    def reset(self) -> None:
        self._sums.zero_()

    def state_dict(self) -> tuple[float, float, float]:
        """Return the sums of all processes; JSON keeps every bit of a float."""
        loss, wrong, total = sum_over_ranks(self._sums.clone()).tolist()
        return loss, wrong, total

    def load_state_dict(self, sums: tuple[float, float, float], *, is_main: bool) -> None:
        """Take back what `state_dict` returned."""
        # the sums of all processes go to one of them, so that the next total is right again
        self._sums.copy_(torch.tensor(sums if is_main else (0.0, 0.0, 0.0), dtype=torch.float64))
