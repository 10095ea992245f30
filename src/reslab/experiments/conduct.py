"""One experiment from its arms to its evidence: train, write down, measure."""

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from reslab import environment
from reslab.errors import UsageError
from reslab.record import RecordedRun, write_record
from reslab.runfolder import RunFolder

from .arms import Arm, Size
from .evidence import Evidence, load_evidence, path_of, records_folder, save_evidence, seeds_in
from .experiment import Bench, Experiment
from .provenance import engines
from .runner import ObserverMaker, Runner

log = logging.getLogger(__name__)

_MOST_JOBS = 8  # each takes about half a gigabyte


@dataclass(frozen=True, slots=True)
class Setup:
    """Where and how experiments run. runs: run folders go below it; results: JSON records and evidence do.

    data: where CIFAR-10 lies, None to look for it; seeds: of each network, None for the experiment's own number;
    jobs: trainings side by side; observe: makes the progress display. UsageError for less than one seed or job.
    """

    runs: Path
    results: Path
    data: str | None
    seeds: int | None
    jobs: int
    observe: ObserverMaker

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 1:
            raise UsageError(f"seeds is {self.seeds}; allowed: 1 or more.")
        if self.jobs < 1:
            raise UsageError(f"jobs is {self.jobs}; allowed: 1 or more.")


def default_jobs(size: Size) -> int:
    """Return how many trainings to run side by side: the digits' networks are too small to gain from a second core."""
    return min(_MOST_JOBS, torch.get_num_threads()) if size == "digits" else 1


def conduct(experiment: Experiment, size: Size, setup: Setup) -> Evidence:
    """Train what is missing, measure, and write records and evidence below `setup.results`; return the evidence.

    A run's record is written as soon as the run is finished, whatever becomes of the later ones. Raises UsageError for
    fewer seeds than the evidence there has and for records of other trainings there; and what training raises.
    """
    arms = [arm.at(setup.data) for arm in experiment.arms(size)]
    runner = Runner(setup.runs, setup.jobs, setup.observe)
    seeds = range(_num_seeds(experiment, size, arms, runner, setup))
    _check_records(arms, seeds, runner, setup)
    folders = runner.train(arms, seeds, _Recorder(setup.results))
    measured = {}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if experiment.measure is not None:
        log.info("%s (%s): measuring.", experiment.name, size)
        measured = experiment.measure(Bench(size, setup.data, folders, device))
    records = {arm.name: [RecordedRun.open(_record_path(setup, arm, seed)) for seed in seeds] for arm in arms}
    made = {
        "date": datetime.date.today().isoformat(),
        "environment": {"device": device.type, **environment.collect()},
    }
    return load_evidence(save_evidence(Evidence(experiment.name, size, records, measured, made), setup.results))


def _record_path(setup: Setup, arm: Arm, seed: int) -> Path:
    return records_folder(setup.results) / arm.name / f"{seed}.json"


def _num_seeds(experiment: Experiment, size: Size, arms: Sequence[Arm], runner: Runner, setup: Setup) -> int:
    """As many as asked for, or as the evidence has where that is more: a repetition may not make it weaker."""
    asked = experiment.seeds if setup.seeds is None else setup.seeds
    path = path_of(setup.results, experiment.name, size)
    known = seeds_in(path) if path.exists() else 0
    if known <= asked:
        return asked
    if all(runner.is_finished(arm, seed) for arm in arms for seed in range(known)):
        log.info("%s holds %d seeds, and their runs are there: all of them count, not only %d.", path, known, asked)
        return known
    raise UsageError(f"{path} holds {known} seeds; give --seeds {known} or another --results.")


def _check_records(arms: Sequence[Arm], seeds: Sequence[int], runner: Runner, setup: Setup) -> None:
    """Refuse, before anything is trained, to train what has a record already: it might end otherwise."""
    for arm in arms:
        for seed in seeds:
            path = _record_path(setup, arm, seed)
            if path.exists() and not runner.is_finished(arm, seed):
                raise UsageError(
                    f"{path} is the record of a run that is not below {setup.runs} with the settings of now, and other "
                    "experiments may be made of it. Give the --run-dir that the run is in, or another --results; or "
                    "remove the record, and run every experiment again that was made of it."
                )


class _Recorder:
    """Writes the record of each finished run, and warns as soon as one was not computed like those before it."""

    def __init__(self, results: Path) -> None:
        self._folder = records_folder(results)
        self._engines: frozenset[str] = frozenset()

    def __call__(self, folder: RunFolder) -> None:
        found = engines(RecordedRun.open(write_record(folder, self._folder, with_model=False)))
        if self._engines and found != self._engines:
            log.warning(
                "%s was computed in %s, the run before it in %s: unlike runs are compared, and the page says so.",
                folder.path, " and ".join(sorted(found)), " and ".join(sorted(self._engines)),
            )  # fmt: skip
        self._engines = found
