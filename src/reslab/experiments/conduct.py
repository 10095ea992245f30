"""One experiment from its arms to its evidence: train, measure, write down."""

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from reslab import environment
from reslab.errors import UsageError
from reslab.record import RecordedRun, write_record
from reslab.runfolder import RunFolder

from .arms import Size
from .evidence import Evidence, load_evidence, records_folder, save_evidence
from .experiment import Bench, Experiment
from .runner import ObserverMaker, Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Setup:
    """Where experiments run. runs: run folders go below it; results: JSON records and evidence do.

    data: where CIFAR-10 lies, None to look for it; jobs: trainings side by side; observe: makes the progress display.
    """

    runs: Path
    results: Path
    data: str | None
    jobs: int
    observe: ObserverMaker


def conduct(experiment: Experiment, size: Size, seeds: int | None, setup: Setup) -> Evidence:
    """Train what is missing, measure, and write records and evidence below `setup.results`; return the evidence.

    seeds: None for the experiment's own number. Raises UsageError for less than one, and what training raises.
    """
    count = experiment.seeds if seeds is None else seeds
    if count < 1:
        raise UsageError(f"seeds is {count}; allowed: 1 or more.")
    if setup.jobs < 1:
        raise UsageError(f"jobs is {setup.jobs}; allowed: 1 or more.")
    arms = [arm.at(setup.data) for arm in experiment.arms(size)]
    folders = Runner(setup.runs, setup.jobs, setup.observe).train(arms, range(count))
    records = _record(folders, setup.results)
    measured = {}
    if experiment.measure is not None:
        log.info("%s (%s): measuring.", experiment.name, size)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        measured = experiment.measure(Bench(size, setup.data, folders, device))
    made = {"date": datetime.date.today().isoformat(), "environment": environment.collect()}
    return load_evidence(save_evidence(Evidence(experiment.name, size, records, measured, made), setup.results))


def _record(folders: Mapping[str, Sequence[RunFolder]], results: Path) -> dict[str, list[RecordedRun]]:
    return {
        name: [
            RecordedRun.open(write_record(folder, records_folder(results), replace=True, with_model=False))
            for folder in runs
        ]
        for name, runs in folders.items()
    }
