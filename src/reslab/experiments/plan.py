"""Which runs of an experiment are trained, and which records are used instead of runs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_splits
from reslab.errors import UsageError

from .arms import FIRST_SEED, ArmRun
from .record_store import AnyStore, NotReusable
from .runner import Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """Where the evidence of an experiment comes from.

    Attributes:
        runs: All runs that it is made of. Seeds come in the outer loop: a stop leaves whole rounds to compare.
        recorded: The records that are used instead of runs.
    """

    runs: Sequence[ArmRun]
    recorded: Mapping[ArmRun, RecordedRun]

    @property
    def to_train(self) -> list[ArmRun]:
        """The runs that are finished on this machine or have to be trained."""
        return [run for run in self.runs if run not in self.recorded]


def make_plan(store: AnyStore, data: str | None, seeds: int | None, runner: Runner) -> ExperimentPlan:
    """Decide what to train, before anything is trained.

    Args:
        store: The experiment and what the results hold of it.
        data: Where CIFAR-10 is.
        seeds: How many of each arm; None for the experiment's own number.
        runner: What trains.

    Raises:
        UsageError: A record cannot be used instead of its run (training again might end differently), or runs or
            records are of different data.
    """
    experiment = store.experiment
    arms = [arm.at(data) for arm in experiment.arms(store.size)]
    first = FIRST_SEED[store.size]
    numbers = range(first, first + _num_seeds(store, seeds))
    plan = ExperimentPlan([ArmRun(arm, seed) for seed in numbers for arm in arms], {})
    recorded = {run: record for run in plan.runs if (record := _record(store, run, runner)) is not None}
    plan = ExperimentPlan(plan.runs, recorded)
    for source in runner.sources(plan.to_train):
        if not runner.is_finished(source) and store.find(source) is not None:
            raise _refusal(store, source, runner, "another run starts from its weights, and a record holds no weights")
    finished = [run for run in plan.to_train if runner.is_finished(run)]
    unfinished = [run for run in plan.to_train if run not in finished]
    # what is measured next to the runs is of the data at hand, though nothing may be left to train
    on_data = plan.runs if experiment.once is not None else unfinished
    fingerprint = build_splits(on_data[0].arm.config.data).train.fingerprint() if on_data else None
    check_same_data([*recorded.values(), *map(runner.finished, finished)], fingerprint)
    if recorded:
        log.info(
            "%s (%s): uses the records of %d of %d runs.", experiment.name, store.size, len(recorded), len(plan.runs)
        )
    return plan


def check_same_data(runs: Sequence[RunFolder | RecordedRun], fingerprint: str | None = None) -> None:
    """Check that all runs were trained on the same data.

    Args:
        runs: Finished runs and records of runs.
        fingerprint: Of the data that further runs will be trained or measured on; None without any.

    Raises:
        UsageError: They were not.
    """
    first = fingerprint
    for run in runs:
        recorded = run.environment().data.fingerprint
        first = first or recorded
        if recorded != first:
            other = f"the data at hand has {fingerprint}" if fingerprint else f"{runs[0].path} has {first}"
            raise UsageError(
                f"{run.path} was trained on different data (recorded fingerprint {recorded}, {other}). Pass the "
                "original data, or choose another run folder and another results folder."
            )


def _num_seeds(store: AnyStore, seeds: int | None) -> int:
    """As many as asked for, or as the evidence has: repeating an experiment never makes its evidence weaker."""
    asked, document = seeds or store.experiment.seeds(store.size), store.document
    judged = document.num_seeds if document and document.first_seed == FIRST_SEED[store.size] else 0
    if judged > asked:
        log.info("%s holds %d seeds, and they all count, not only %d.", store.path, judged, asked)
    return max(asked, judged)


def _record(store: AnyStore, run: ArmRun, runner: Runner) -> RecordedRun | None:
    """The record of a run that is not finished on this machine."""
    record = None if runner.is_finished(run) else store.find(run)
    if isinstance(record, NotReusable):
        raise _refusal(store, run, runner, record.reason)
    return record


def _refusal(store: AnyStore, run: ArmRun, runner: Runner, reason: str) -> UsageError:
    return UsageError(
        f"{store.record_path(run)} cannot be used instead of its run, which is not in {runner.path}: {reason}. Choose "
        "the run folder that the run is in, or another results folder; or remove the record, and run every experiment "
        "again that was made of it."
    )
