"""Batch norm in training: over which images its statistics are taken."""

from dataclasses import dataclass

from reslab.errors import UsageError

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchNormConfig:
    """Configure the statistics of batch norm in training.

    Attributes:
        group_size: Take statistics over groups of this many images; None takes them over each process's part of the
            batch (its micro-batch, if gradients are accumulated).
        sync: Take statistics over all processes (CUDA only).
        frozen: Normalise by the running statistics in training too, and keep them; scales and shifts still train.
        reestimate_batches: Before the final evaluation, replace the running statistics by the plain average over
            this many training batches; 0 leaves them.
    """

    group_size: int | None = None
    sync: bool = False
    frozen: bool = False
    reestimate_batches: int = 0

    def __post_init__(self) -> None:
        size = self.group_size
        require(size is None or size >= 1, "batch_norm.group_size", size, "1 or more, or none")
        require(self.reestimate_batches >= 0, "batch_norm.reestimate_batches", self.reestimate_batches, "0 or more")
        if self.frozen:
            self._check_takes_no_statistics()
        if self.sync and size is not None:
            raise UsageError(
                f"batch_norm.group_size is {size} and batch_norm.sync is true: statistics are over groups or over all "
                "processes, not both; leave one out."
            )

    def _check_takes_no_statistics(self) -> None:
        for name in ("sync", "group_size", "reestimate_batches"):
            if value := getattr(self, name):
                raise UsageError(
                    f"batch_norm.frozen is true and batch_norm.{name} is {value}: frozen batch norm takes no "
                    "statistics; leave one out."
                )
