"""Run one experiment, from its arms to its evidence: train, record, measure."""

import datetime
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.engines.hardware import collect_environment, pick_device
from reslab.errors import RunError, UsageError
from reslab.system.files import to_json
from reslab.system.memory import explain_out_of_memory

from .arms import FIRST_SEED, ArmRun, Size
from .evidence import Evidence, EvidenceDocument, Made, Measured, NetworkT, OnceT
from .experiment import Bench, Experiment
from .plan import check_same_data, make_plan
from .record_store import AnyStore, RecordStore, model_hash
from .runner import ObserverMaker, Runner
from .wording import engines

log = logging.getLogger(__name__)

_MOST_JOBS = 8  # each takes about half a gigabyte


@dataclass(frozen=True, slots=True)
class Setup:
    """Where and how experiments run.

    Attributes:
        runs: Run folders go below it.
        results: JSON records and evidence go below it.
        data: Where CIFAR-10 is; None to look for it.
        seeds: Seeds of each network; None for the experiment's own number.
        jobs: Trainings side by side.
        observe: Makes the progress display.

    Raises:
        UsageError: There would be no seed, or no job.
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


def run_experiment(experiment: Experiment[NetworkT, OnceT], size: Size, setup: Setup) -> Evidence[NetworkT, OnceT]:
    """Train and measure what the results do not hold yet, and return the evidence.

    Every run's record is written as soon as the run is finished, whatever becomes of the later ones; the evidence is
    written at the end.

    Args:
        experiment: The claim.
        size: The size of its arms.
        setup: Where and how it runs.

    Raises:
        UsageError: A record in the results cannot be used instead of its run.
        RunError: A training or a measurement fails.
    """
    store = RecordStore.open(setup.results, experiment, size)
    runner = Runner(setup.runs, setup.jobs, setup.observe)
    plan = make_plan(store, setup.data, setup.seeds, runner)
    recorder = _Recorder(store, dict(plan.recorded))
    folders = dict(zip(plan.to_train, runner.train(plan.to_train, recorder), strict=True))
    bench = Bench(size, setup.data, pick_device())
    made = Made(date=datetime.date.today().isoformat(), device=bench.device.type, machine=collect_environment())
    records = {run: recorder.records[run] for run in plan.runs}
    measured_arms = [arm.name for arm in experiment.measured_arms(size)]
    models: dict[str, list[str]] = {}
    for run, record in records.items():
        models.setdefault(run.arm.name, []).append(model_hash(record))
    with explain_out_of_memory(
        f"{experiment.name}: what is measured", "The runs are kept; the same command measures again."
    ):
        document = EvidenceDocument(
            experiment=experiment.name,
            size=size,
            models=models,
            constants=experiment.constants(size),
            networks={
                model_hash(record): store.measurement(record) or _measure(experiment, folders[run], bench, made)
                for run, record in records.items()
                if run.arm.name in measured_arms
            },
            once=experiment.once and Measured(experiment.once.measure(bench), made),
            first_seed=FIRST_SEED[size],
        )
    return store.save(document)


def _measure(
    experiment: Experiment[NetworkT, OnceT], folder: RunFolder, bench: Bench, made: Made
) -> Measured[NetworkT]:
    """Measure a finished run's network; fail if a number has overflowed."""
    assert experiment.networks is not None
    log.info("%s (%s): measures %s.", experiment.name, bench.size, folder.path)
    measured = Measured(experiment.networks.measure(folder, bench), made)
    try:
        to_json(asdict(measured))
    except ValueError:  # JSON has no word for it
        raise RunError(
            f"{folder.path}: what was measured on its network is not finite. The network did not learn, so this "
            "experiment says nothing about it; 'reslab report' shows its curves."
        ) from None
    return measured


class _Recorder:
    """Writes the record of each finished run, and warns if a run was computed in another way than the run before.

    Attributes:
        records: By run, including those that are used instead of training.
    """

    def __init__(self, store: AnyStore, records: dict[ArmRun, RecordedRun]) -> None:
        self._store = store
        self.records = records

    def __call__(self, run: ArmRun, folder: RunFolder) -> None:
        before = next(reversed(self.records.values()), None)
        if before is not None:
            check_same_data([before, folder])
        record = self.records[run] = self._store.add_record(folder)
        if before is not None and engines(record) != engines(before):
            log.warning(
                "%s was computed in %s, but %s in %s: the page says that not all runs were computed alike.",
                folder.path, " and ".join(sorted(engines(record))), before.path, " and ".join(sorted(engines(before))),
            )  # fmt: skip
