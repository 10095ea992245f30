"""Which runs of an experiment are trained here, and for which a record stands that the results hold already."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_splits
from reslab.errors import UsageError

from .arms import Arm, Size
from .evidence import path_of, seeds_in
from .experiment import Experiment
from .record_store import Archive, NotReusable, Reusable
from .runner import Run, Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """arms, seeds: of the evidence to make; measured: the arms on whose networks something is measured.

    here: the runs that are finished here or are to be trained; standing: what stands for the others, by arm and seed.
    """

    arms: Sequence[Arm]
    seeds: range
    measured: Sequence[Arm]
    here: Sequence[Run]
    standing: Mapping[tuple[str, int], Reusable]


def make_plan(
    experiment: Experiment, size: Size, data: str | None, seeds: int | None, runner: Runner, archive: Archive
) -> Plan:
    """Decide what to train, before anything is. Seeds come in the outer loop: a stop leaves whole rounds to compare.

    data: where CIFAR-10 lies; seeds: how many, None for the experiment's own number. Raises UsageError for fewer seeds
    than the evidence has, and for a record that cannot stand for its run: trained again, that might end otherwise.
    """
    arms = [arm.at(data) for arm in experiment.arms(size)]
    names = {arm.name for arm in experiment.measured_arms(size)}
    stock = _Stock(runner, archive, dict.fromkeys(names, experiment.how(size)))
    path = path_of(archive.results, experiment.name, size)
    numbers = range(_num_seeds(path, experiment.seeds if seeds is None else seeds, arms, stock))
    runs = [(arm, seed) for seed in numbers for arm in arms]
    found = [stock.look_up(run) for run in runs]
    here = [run for run, one in zip(runs, found, strict=True) if not isinstance(one, Reusable)]
    stock.check(here)
    unfinished = [run for run in here if not runner.is_finished(*run)]
    standing: dict[tuple[str, int], Reusable] = {}
    for (arm, seed), one in zip(runs, found, strict=True):
        if isinstance(one, Reusable):
            standing[arm.name, seed] = one
    there = [RunFolder.open(runner.folder(*run)) for run in here if run not in unfinished]
    # what is measured beside the runs is of the data that is found now, though nothing may be left to train
    on_data = runs if experiment.measure is not None else unfinished
    check_data([one.record for one in standing.values()] + there, _training_data(on_data))
    if standing:
        log.info("%s (%s): %d of %d runs are there as records.", experiment.name, size, len(standing), len(runs))
    return Plan(arms, numbers, [arm for arm in arms if arm.name in names], here, standing)


def _training_data(runs: Sequence[Run]) -> str | None:
    """The fingerprint of what would be found for these runs now, before any is trained; None without any.

    RunError where there is no data.
    """
    return build_splits(runs[0][0].config.data).train.fingerprint() if runs else None


def check_data(runs: Sequence[RunFolder | RecordedRun], coming: str | None = None) -> None:
    """UsageError unless all runs were trained on the same data; older records do not say on which.

    coming: the fingerprint of the data that others are to be trained on.
    """
    known = [(one, found) for one in runs if (found := one.environment()["data"].get("fingerprint")) is not None]
    for one, found in known:
        first, expected = known[0]
        if found != expected or coming not in (None, found):
            what = f"{first.path} was" if found != expected else "what is to be trained or measured would be"
            raise UsageError(
                f"{one.path} was trained on other data than {what} (fingerprints {found} and "
                f"{expected if found != expected else coming}); give the same --data, or another --run-dir and another "
                "--results."
            )


def _num_seeds(path: Path, asked: int, arms: Sequence[Arm], stock: "_Stock") -> int:
    """As many as asked for, or as the evidence has where that is more: a repetition may not make it weaker."""
    known = seeds_in(path) if path.exists() else 0
    if known <= asked:
        return asked
    if all(stock.has((arm, seed)) for arm in arms for seed in range(known)):
        log.info("%s holds %d seeds, and all of them are there: they count, not only %d.", path, known, asked)
        return known
    raise UsageError(
        f"{path} holds {known} seeds, not all of which are there; give --seeds {known} or another --results."
    )


@dataclass(frozen=True, slots=True)
class _Stock:
    """What there is already: finished runs and records. how: for each arm that is measured, with which constants."""

    runner: Runner
    archive: Archive
    how: Mapping[str, dict[str, Any]]

    def has(self, run: Run) -> bool:
        """Whether nothing is to be trained for a run."""
        return self.runner.is_finished(*run) or isinstance(self.look_up(run), Reusable)

    def look_up(self, run: Run) -> Reusable | NotReusable | None:
        """What stands for a run that is not finished here, or why its record cannot; None without a record."""
        if self.runner.is_finished(*run) or not self.archive.path(*run).exists():
            return None
        return self.archive.look_up(*run, self.how.get(run[0].name))

    def check(self, here: Sequence[Run]) -> None:
        """Refuse, before anything is trained, to train what has a record already, or to start from such a run."""
        for run in here:
            if isinstance(lack := self.look_up(run), NotReusable):
                self._refuse(run, lack)
        for run in self.runner.sources(here):
            if self.look_up(run) is not None:
                self._refuse(
                    run, NotReusable("another run goes on from its weights, and a record does not hold them", True)
                )

    def _refuse(self, run: Run, lack: NotReusable) -> None:
        way = "Give the --run-dir that the run is in, or" if lack.is_in_run else "Give"
        raise UsageError(
            f"{self.archive.path(*run)} is the record of a run that is not below {self.runner.path}, and cannot stand "
            f"for it: {lack.reason}. {way} another --results; or remove the record, and run every experiment again "
            "that was made of it."
        )
