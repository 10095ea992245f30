"""The options and the state of a training loop, its records, its monitor and its observers."""

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
    """The numbers of the loop; everything is counted in iterations (optimizer steps)."""

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
    """Something that looks on (a progress bar, a logger) and changes nothing."""

    def on_step(self, step: int, loss: Tensor) -> None: ...
    def on_row(self, row: MetricsRow) -> None: ...


@dataclass(frozen=True, slots=True)
class Records:
    """Where a run writes: metrics that repeat to the byte, timings that do not, checkpoints. None: nowhere."""

    metrics: RowLog[MetricsRow] | None = None
    timing: RowLog[TimingRow] | None = None
    checkpoints: CheckpointFolder | None = None

    @property
    def logs(self) -> tuple[RowLog[MetricsRow] | RowLog[TimingRow], ...]:
        """Those that are written."""
        return tuple(log for log in (self.metrics, self.timing) if log)


@dataclass(frozen=True, slots=True)
class Monitor:
    """An evaluation made along the way. split: its name in the rows; may_choose: False for the test set."""

    split: str
    evaluate: Callable[[Network], Evaluation]
    may_choose: bool = field(default=True)
