"""One experiment from its arms to its evidence: train, write down, measure."""

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reslab import environment
from reslab.errors import UsageError
from reslab.record import RecordedRun, write_record
from reslab.runfolder import RunFolder

from .archive import Archive
from .arms import Size
from .evidence import Evidence, load_evidence, records_folder, save_evidence
from .experiment import Bench, Experiment
from .plan import Plan, make_plan
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

    What has a record there is not trained again: the record stands for its run, and what was measured on its network
    still holds. A run's record is written as soon as the run is finished, whatever becomes of the later ones. Raises
    UsageError for fewer seeds than the evidence there has and for a record that cannot stand for its run; and what
    training raises.
    """
    runner = Runner(setup.runs, setup.jobs, setup.observe)
    archive = Archive.open(setup.results, experiment.name, size)
    plan = make_plan(experiment, size, setup.data, setup.seeds, runner, archive)
    trained = runner.train(plan.here, _Recorder(setup.results, plan.records))
    folders = {(arm.name, seed): folder for (arm, seed), folder in zip(plan.here, trained, strict=True)}
    records = {arm.name: [archive.record(arm, seed) for seed in plan.seeds] for arm in plan.arms}
    bench = Bench(size, setup.data, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    measured, of_runs = _measure(experiment, plan, folders, bench, archive)
    evidence = Evidence(experiment.name, size, records, measured, of_runs, _made(experiment, plan, bench, archive))
    return load_evidence(save_evidence(evidence, setup.results))


def _measure(
    experiment: Experiment, plan: Plan, folders: Mapping[tuple[str, int], RunFolder], bench: Bench, archive: Archive
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return `Evidence.measured` and `Evidence.of_runs`: anew where the run is here, else as it was measured before."""
    if _measures_anew(experiment, plan):
        log.info("%s (%s): measuring.", experiment.name, bench.size)
    measured = experiment.measure(bench) if experiment.measure is not None else {}
    of_runs: dict[str, list[Any]] = {}
    for arm in plan.measured:
        assert experiment.measure_run is not None
        for seed in plan.seeds:
            folder = folders.get((arm.name, seed))
            value = archive.value(arm, seed) if folder is None else experiment.measure_run(folder, bench)
            of_runs.setdefault(arm.name, []).append(value)
    return measured, of_runs


def _made(experiment: Experiment, plan: Plan, bench: Bench, archive: Archive) -> list[dict[str, Any]]:
    """Return `Evidence.made`."""
    if archive.made and not _measures_anew(experiment, plan):
        return list(archive.made)  # a repetition that finds all there leaves the evidence as it is
    before = archive.made if plan.takes_values else ()
    now = {
        "date": datetime.date.today().isoformat(),
        "environment": {"device": bench.device.type, **environment.collect()},
    }
    return [*(one for one in before if one != now), now]


def _measures_anew(experiment: Experiment, plan: Plan) -> bool:
    return experiment.measure is not None or plan.measures_here


class _Recorder:
    """Writes the record of each finished run, and warns as soon as one was not computed like those before it."""

    def __init__(self, results: Path, others: Sequence[RecordedRun]) -> None:
        self._folder = records_folder(results)
        self._engines = engines(others[-1]) if others else frozenset()

    def __call__(self, folder: RunFolder) -> None:
        found = engines(RecordedRun.open(write_record(folder, self._folder, with_model=False)))
        if self._engines and found != self._engines:
            log.warning(
                "%s was computed in %s, the run before it in %s: unlike runs are compared, and the page says so.",
                folder.path, " and ".join(sorted(found)), " and ".join(sorted(self._engines)),
            )  # fmt: skip
        self._engines = found
