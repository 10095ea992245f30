"""What a training loop is given besides its network and data: options, records, a monitor and observers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from reslab.artifacts.checkpoint import CheckpointFolder
from reslab.artifacts.metrics_log import MetricsRow, RowLog, TimingRow
from reslab.evaluation.metrics import Evaluation
from reslab.models import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """The numbers of the loop; everything is counted in iterations (optimizer steps).

    Attributes:
        iterations: Steps of the whole training.
        accumulation: Micro-batches of a step, whose gradients are added.
        use_bf16: Whether the forward pass runs in bfloat16 (autocast).
        clip_norm: Largest norm of all gradients together; None for no limit.
        label_smoothing: The probability that the loss spreads evenly over all classes.
        class_weights: The weight of each class in the loss; None for equal weights.
        log_every: Steps of a window, whose mean loss and error make one row.
        evaluate_every: Steps between two evaluations of the monitored split.
        checkpoint_every: Steps between two checkpoints.
        patience_evaluations: Stop after this many evaluations without a lower error; None to train to the end.
    """

    iterations: int
    accumulation: int = 1
    use_bf16: bool = False
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    log_every: int = 100
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    patience_evaluations: int | None = None


class Observer(Protocol):
    """Something that watches the training (a progress bar, a logger) and changes nothing."""

    def on_step(self, step: int, loss: Tensor) -> None:
        """Receive a finished step.

        Args:
            step: Its number, from 1 on.
            loss: This process's mean loss, a scalar on the device.
        """

    def on_row(self, row: MetricsRow) -> None:
        """Receive a row of the metrics as it is written."""


@dataclass(frozen=True, slots=True)
class Records:
    """Where a training writes; None leaves a part out.

    Attributes:
        metrics: Losses and errors, which equal runs write byte for byte.
        timing: Seconds, which differ from run to run.
        checkpoints: Where checkpoints go.
    """

    metrics: RowLog[MetricsRow] | None = None
    timing: RowLog[TimingRow] | None = None
    checkpoints: CheckpointFolder | None = None

    @property
    def logs(self) -> tuple[RowLog[MetricsRow] | RowLog[TimingRow], ...]:
        """The logs that are written."""
        return tuple(log for log in (self.metrics, self.timing) if log)


@dataclass(frozen=True, slots=True)
class Monitor:
    """An evaluation that the training makes every so often.

    Attributes:
        split: The name of the evaluated split, as the rows have it.
        evaluate: Evaluates the network on the split.
        may_choose: Whether the result may decide the schedule, the best weights and when to stop; False for the test
            set.
    """

    split: str
    evaluate: Callable[[Network], Evaluation]
    may_choose: bool = field(default=True)
