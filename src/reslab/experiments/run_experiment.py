"""One experiment from its arms to its evidence: train, write down, measure."""

import datetime
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reslab.artifacts.record import RecordedRun, write_record
from reslab.artifacts.run_folder import RunFolder
from reslab.engines.hardware import collect_environment, pick_device
from reslab.errors import RunError, UsageError
from reslab.system.files import to_json
from reslab.system.memory import failing_for_memory

from .arms import Size
from .evidence import Evidence, Measured, load_evidence, records_folder, save_evidence
from .experiment import Bench, Experiment
from .plan import Plan, check_data, make_plan
from .provenance import engines
from .record_store import Archive, Reusable
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
    archive = Archive.open(setup.results, experiment.name, size)
    runner = Runner(setup.runs, setup.jobs, setup.observe)
    plan = make_plan(experiment, size, setup.data, setup.seeds, runner, archive)
    recorder = _Recorder(setup.results, plan.standing)
    trained = runner.train(plan.here, recorder)
    folders = {(arm.name, seed): folder for (arm, seed), folder in zip(plan.here, trained, strict=True)}
    records = {arm.name: [recorder.records[arm.name, seed] for seed in plan.seeds] for arm in plan.arms}
    bench = Bench(size, setup.data, pick_device())
    with failing_for_memory(
        f"{experiment.name}: what is measured", "The runs are kept; the same command measures again."
    ):
        measured, of_runs, made = _measure(experiment, plan, folders, bench)
    if made is None:  # a repetition that finds all there leaves the evidence as it is
        made = archive.made or _now(bench)
    evidence = Evidence(experiment.name, size, records, measured, of_runs, made, experiment.how(size))
    return load_evidence(save_evidence(evidence, setup.results))


def _measure(
    experiment: Experiment, plan: Plan, folders: Mapping[tuple[str, int], RunFolder], bench: Bench
) -> tuple[dict[str, Any], dict[str, list[Measured]], dict[str, Any] | None]:
    """Return `Evidence.measured`, `of_runs`, and `made`: None if nothing was measured now.

    Runs that are here are measured; of the others stands what was measured before.
    """
    runs = [(arm.name, seed) for arm in plan.measured for seed in plan.seeds]
    if experiment.measure is None and folders.keys().isdisjoint(runs):
        made = None
    else:
        made = _now(bench)
        log.info("%s (%s): measuring.", experiment.name, bench.size)
    measured = {} if experiment.measure is None else experiment.measure(bench)
    of_runs: dict[str, list[Measured]] = {}
    for name, seed in runs:
        if (name, seed) in folders:
            assert experiment.measure_run is not None
            assert made is not None
            found = Measured(_finite(experiment.measure_run(folders[name, seed], bench), folders[name, seed]), made)
        else:
            found = plan.standing[name, seed].found
            assert found is not None
        of_runs.setdefault(name, []).append(found)
    return measured, of_runs, made


def _finite(value: Any, folder: RunFolder) -> Any:
    """Return what was measured; RunError, naming the run, where a number overflowed: JSON has no word for it."""
    try:
        to_json(value)
    except ValueError:
        raise RunError(
            f"{folder.path}: what was measured on its network is not finite; it did not learn, so that this experiment "
            "says nothing with it. 'reslab report' shows its curves."
        ) from None
    return value


def _now(bench: Bench) -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "environment": {"device": bench.device.type, **collect_environment()},
    }


class _Recorder:
    """Writes the record of each finished run, and warns as soon as one was not computed like those before it.

    records: by arm and seed, with those that stand for runs which are not here.
    """

    def __init__(self, results: Path, standing: Mapping[tuple[str, int], Reusable]) -> None:
        self._folder = records_folder(results)
        self.records = {key: one.record for key, one in standing.items()}

    def __call__(self, folder: RunFolder) -> None:
        before = next(reversed(self.records.values()), None)
        if before is not None:
            check_data([before, folder])
        record = RecordedRun.open(write_record(folder, self._folder, with_model=False))
        self.records[record.path.parent.name, record.values["seed"]] = record
        if before is not None and engines(record) != engines(before):
            log.warning(
                "%s was computed in %s, %s in %s: unlike runs are compared, and the page says so.",
                folder.path, " and ".join(sorted(engines(record))), before.path, " and ".join(sorted(engines(before))),
            )  # fmt: skip
