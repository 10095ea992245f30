"""A run as a comparison reads it, from its folder or from its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.artifacts.documents import Environment, RunResult
from reslab.artifacts.metrics_log import Row, TrainRow, rate_drops
from reslab.artifacts.record import RecordDocument, RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.config import RunConfig, from_dict
from reslab.errors import RunError, UsageError

from .figures.curves import HasError


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run that is compared with others.

    Attributes:
        path: Its folder, or its record.
        config: Its configuration.
        environment: Its data, weights and starts.
        result: What it came to; None while it is not finished.
        train: Its training curve.
        monitored: The curve of the split that was evaluated along the way; empty without one.
        rate_drops: Steps after which the learning rate was lower at once.
    """

    path: Path
    config: RunConfig
    environment: Environment
    result: RunResult | RecordDocument | None
    train: Sequence[HasError]
    monitored: Sequence[HasError]
    rate_drops: tuple[int, ...]


def read_run(run: RunFolder | RecordedRun) -> ReadRun:
    """Read what is compared of a run.

    Raises:
        RunError: A file of the run is damaged, or its config is not one of this reslab.
    """
    try:
        config = from_dict(run.config())
    except UsageError as error:
        raise RunError(f"{run.path}: its config is not one of this reslab: {error}") from None
    monitored = run.rows(config.evaluation.monitor)
    if isinstance(run, RecordedRun):
        train, drops = run.rows("train"), run.rate_drops()
    else:
        train = run.train_rows()
        drops = drops_of_run(config, train, monitored)
    return ReadRun(run.path, config, run.environment(), run.result(), train, monitored, drops)


def drops_of_run(config: RunConfig, train: Sequence[TrainRow], monitored: Sequence[Row]) -> tuple[int, ...]:
    """Return the steps after which a run's learning rate was lower at once.

    Args:
        config: The run's configuration.
        train: Its training curve.
        monitored: The curve of the split that was evaluated along the way.
    """
    schedule = config.schedule
    return rate_drops(
        train,
        monitored,
        milestones=schedule.milestones if schedule.kind == "step" else (),
        plateau_gamma=schedule.factor if schedule.kind == "plateau" else None,
    )
