"""Exact counts, summed over samples and over processes; never averages of averages."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reslab.distributed import sum_over_ranks


def error_percent(correct: int, total: int) -> float:
    """Return the top-1 error in %, which is 100 minus the accuracy, as the paper prints it.

    Args:
        correct: Samples whose most probable class is their label.
        total: Samples in all.
    """
    return 100.0 * (total - correct) / total


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation counted.

    Attributes:
        correct: Samples whose most probable class is their label.
        total: Samples in all.
        loss: Mean cross-entropy.
        confusion: int64 [num_classes, num_classes]; row: true class, column: predicted.
    """

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

    @property
    def finite_loss(self) -> float | None:
        """The loss, or None for one that JSON cannot hold.

        A healthy network's logits may overflow early in its training, when running statistics lag behind the weights.
        """
        return self.loss if math.isfinite(self.loss) else None


class Meter:
    """Sums of loss, errors and samples on the device, read only when a window is over (no wait in between)."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add one batch.

        Args:
            loss: The batch's mean loss, a scalar.
            logits: [n, num_classes].
            labels: int64 [n].
        """
        wrong = (logits.argmax(1) != labels).sum()
        count = torch.full_like(self._sums[0], len(labels))
        self._sums += torch.stack([loss.detach().double() * len(labels), wrong.double(), count])

    def read(self) -> tuple[float, float]:
        """Return (mean loss, error in %) over all processes since the last `reset`."""
        loss, wrong, total = sum_over_ranks(self._sums.clone()).tolist()
        return loss / total, 100.0 * wrong / total

    def is_finite(self) -> bool:
        """Whether the losses since the last `reset` are finite in all processes; true where there are none."""
        return math.isfinite(sum_over_ranks(self._sums.clone())[0].item())

    def reset(self) -> None:
        """Start a new window."""
        self._sums.zero_()

    def state_dict(self) -> tuple[float, float, float]:
        """Return the sums of all processes; JSON keeps every bit of a float."""
        loss, wrong, total = sum_over_ranks(self._sums.clone()).tolist()
        return loss, wrong, total

    def load_state_dict(self, sums: tuple[float, float, float], *, is_main: bool) -> None:
        """Restore what `state_dict` returned.

        Args:
            sums: The sums of all processes.
            is_main: Whether this is the main process, which alone takes them.
        """
        # the sums of all processes go to one of them, so that the next total is right again
        self._sums.copy_(torch.tensor(sums if is_main else (0.0, 0.0, 0.0), dtype=torch.float64))
