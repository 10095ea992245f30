"""Which runs of an experiment are trained here, and for which a record stands that the results hold already."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import UsageError
from reslab.record import RecordedRun

from .archive import Archive
from .arms import Arm, Size
from .evidence import path_of, seeds_in
from .experiment import Experiment
from .runner import Run, Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """arms, seeds: of the evidence to make; measured: the arms on whose networks something is measured.

    here: the runs that are finished here or are to be trained; records: those that stand for the others.
    """

    arms: Sequence[Arm]
    seeds: range
    measured: Sequence[Arm]
    here: Sequence[Run]
    records: Sequence[RecordedRun]

    @property
    def measures_here(self) -> bool:
        """Whether something is measured on a run that is here."""
        return not self._to_measure.isdisjoint(_names(self.here))

    @property
    def takes_values(self) -> bool:
        """Whether there is a run that something was measured on before, and cannot be again."""
        return not self._to_measure <= _names(self.here)

    @property
    def _to_measure(self) -> set[tuple[str, int]]:
        return _names((arm, seed) for arm in self.measured for seed in self.seeds)


def _names(runs: Iterable[Run]) -> set[tuple[str, int]]:
    return {(arm.name, seed) for arm, seed in runs}


def make_plan(
    experiment: Experiment, size: Size, data: str | None, seeds: int | None, runner: Runner, archive: Archive
) -> Plan:
    """Decide what to train, before anything is. Seeds come in the outer loop: a stop leaves whole rounds to compare.

    data: where CIFAR-10 lies; seeds: how many, None for the experiment's own number. Raises UsageError for fewer seeds
    than the evidence has, and for a record that cannot stand for its run: trained again, that might end otherwise.
    """
    arms = [arm.at(data) for arm in experiment.arms(size)]
    names = frozenset(arm.name for arm in experiment.measured_arms(size))
    stock = _Stock(runner, archive, names)
    path = path_of(archive.results, experiment.name, size)
    numbers = range(_num_seeds(path, experiment.seeds if seeds is None else seeds, arms, stock))
    runs = [(arm, seed) for seed in numbers for arm in arms]
    standing = [run for run in runs if stock.stands(run)]
    here = [run for run in runs if run not in standing]
    stock.check(here)
    if standing:
        log.info("%s (%s): %d of %d runs are there as records.", experiment.name, size, len(standing), len(runs))
    records = [archive.record(*run) for run in standing]
    return Plan(arms, numbers, [arm for arm in arms if arm.name in names], here, records)


def _num_seeds(path: Path, asked: int, arms: Sequence[Arm], stock: "_Stock") -> int:
    """As many as asked for, or as the evidence has where that is more: a repetition may not make it weaker."""
    known = seeds_in(path) if path.exists() else 0
    if known <= asked:
        return asked
    if all(stock.has((arm, seed)) for arm in arms for seed in range(known)):
        log.info("%s holds %d seeds, and their runs are there: all of them count, not only %d.", path, known, asked)
        return known
    raise UsageError(f"{path} holds {known} seeds; give --seeds {known} or another --results.")


@dataclass(frozen=True, slots=True)
class _Stock:
    """What there is already: finished runs and records. measured: names of the arms that something is measured on."""

    runner: Runner
    archive: Archive
    measured: frozenset[str]

    def has(self, run: Run) -> bool:
        """Whether nothing is to be trained for a run."""
        return self.runner.is_finished(*run) or self.stands(run)

    def stands(self, run: Run) -> bool:
        """Whether a record stands for a run that is not here."""
        return self._is_recorded_elsewhere(run) and not self._lacks(run)

    def check(self, here: Sequence[Run]) -> None:
        """Refuse, before anything is trained, to train what has a record already, or to start from such a run."""
        for run in here:
            if self._is_recorded_elsewhere(run):
                self._refuse(run, self._lacks(run))
        for run in self.runner.sources(here):
            if self._is_recorded_elsewhere(run):
                self._refuse(run, "another run is to start from its weights, which the record does not hold")

    def _is_recorded_elsewhere(self, run: Run) -> bool:
        return not self.runner.is_finished(*run) and self.archive.path(*run).exists()

    def _lacks(self, run: Run) -> str:
        return self.archive.lacks(*run, is_measured=run[0].name in self.measured)

    def _refuse(self, run: Run, reason: str) -> None:
        raise UsageError(
            f"{self.archive.path(*run)} is the record of a run that is not below {self.runner.path}, and cannot stand "
            f"for it: {reason}. Give the --run-dir that the run is in, or another --results; or remove the record, and "
            "run every experiment again that was made of it."
        )
