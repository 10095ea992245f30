"""The results folder as a cache: records by arm and seed, measurements by model file and constants."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.config import from_dict
from reslab.errors import RunError, UsageError
from reslab.runs.record import record_run

from .arms import ArmRun, Size
from .evidence import Evidence, EvidenceDocument, Measured, NetworkT, OnceT, read_evidence, write_evidence
from .experiment import Experiment


@dataclass(frozen=True, slots=True)
class NotReusable:
    """Why a record cannot be used instead of its run."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordStore(Generic[NetworkT, OnceT]):
    """What a results folder holds of one experiment at one size.

    Attributes:
        results: The folder; records are its records/ARM/SEED.json.
        experiment: What the records are judged for.
        size: The size of its arms.
        document: The evidence file; None where there is none yet.
    """

    results: Path
    experiment: Experiment[NetworkT, OnceT]
    size: Size
    document: EvidenceDocument[NetworkT, OnceT] | None

    @classmethod
    def open(cls, results: Path, experiment: Experiment[NetworkT, OnceT], size: Size) -> "RecordStore[NetworkT, OnceT]":
        """Open the records of an experiment at a size, with its evidence if there is any.

        Args:
            results: The folder of records and evidence.
            experiment: The experiment.
            size: The size.

        Raises:
            RunError: The evidence is damaged.
        """
        path = evidence_path(results, experiment.name, size)
        document = read_evidence(path, experiment.document_form) if path.exists() else None
        return cls(results, experiment, size, document)

    @property
    def path(self) -> Path:
        """Where the evidence file is, or will be."""
        return evidence_path(self.results, self.experiment.name, self.size)

    def record_path(self, run: ArmRun) -> Path:
        """Return where a run's record is, or will be."""
        return self.results / "records" / run.arm.name / f"{run.seed}.json"

    def add_record(self, folder: RunFolder) -> RecordedRun:
        """Write the record of a finished run.

        Raises:
            UsageError: The record of another result is in its place.
        """
        return RecordedRun.open(record_run(folder, self.results / "records", with_model=False))

    def find(self, run: ArmRun) -> RecordedRun | NotReusable | None:
        """Look for a record that can be used instead of training a run.

        A run that starts from another run's weights can only be reused if the evidence has both: records do not name
        the network that training started from.

        Args:
            run: The run.

        Returns:
            The record, or why it cannot be used; None without a record.

        Raises:
            RunError: The record is damaged.
        """
        path = self.record_path(run)
        if not path.exists():
            return None
        record = RecordedRun.open(path)
        if reason := other_run(record, run):
            return NotReusable(reason)
        if run.source is not None and not (self._is_judged(run) and self._is_judged(run.source)):
            return NotReusable("it does not say from which network its training started")
        is_measured = run.arm.name in [arm.name for arm in self.experiment.measured_arms(self.size)]
        if is_measured and self.measurement(record) is None:
            return NotReusable(f"its network is to be measured{self._constants()}, and a record holds no weights")
        return record

    def measurement(self, record: RecordedRun) -> Measured[NetworkT] | None:
        """Return what was measured on a run's network with this version's constants; None where nothing was."""
        if self.document is None or self.document.constants != self.experiment.constants(self.size):
            return None
        return self.document.networks.get(model_hash(record))

    def save(self, document: EvidenceDocument[NetworkT, OnceT]) -> Evidence[NetworkT, OnceT]:
        """Write an evidence file, and return the evidence as it is read again."""
        write_evidence(self.path, document)
        return RecordStore.open(self.results, self.experiment, self.size).load()

    def load(self) -> Evidence[NetworkT, OnceT]:
        """Return the evidence with the records that it names.

        Raises:
            RunError: The evidence is not that of this version's experiment, or a record is missing, damaged,
                or not of the network that the evidence is made of.
        """
        arms = {arm.name: arm for arm in self.experiment.arms(self.size)}
        if self.document is None or arms.keys() != self.document.models.keys():
            raise self._misfit("it is not of the same networks as this version's experiment")
        records = {
            name: [
                self._load(ArmRun(arms[name], seed), model)
                for seed, model in enumerate(models, start=self.document.first_seed)
            ]
            for name, models in self.document.models.items()
        }
        measured = [record for arm in self.experiment.measured_arms(self.size) for record in records[arm.name]]
        if missing := [record.path for record in measured if self.measurement(record) is None]:
            raise self._misfit(f"the network of {missing[0]} was not measured{self._constants()}")
        return Evidence(self.document, records)

    def _load(self, run: ArmRun, model: str) -> RecordedRun:
        record = RecordedRun.open(self.record_path(run))
        if reason := other_run(record, run):
            raise RunError(f"{record.path} is not of this version's {self.experiment.name}: {reason}.")
        if model_hash(record) != model:
            raise self._misfit(f"{record.path} is of another network")
        return record

    def _misfit(self, reason: str) -> RunError:
        seeds = self.document.num_seeds if self.document else 0
        command = f"reslab reproduce {self.experiment.name} --size {self.size}{f' --seeds {seeds}' if seeds else ''}"
        return RunError(f"{self.path} cannot be used: {reason}. Where its runs are, '{command}' writes it again.")

    def _is_judged(self, run: ArmRun) -> bool:
        """Return whether the evidence holds the network of a run's record."""
        path = self.record_path(run)
        if self.document is None or not path.exists():
            return False
        place = run.seed - self.document.first_seed
        models = self.document.models.get(run.arm.name, [])
        return 0 <= place < len(models) and models[place] == model_hash(RecordedRun.open(path))

    def _constants(self) -> str:
        constants = self.experiment.constants(self.size)
        return f" with {', '.join(f'{name} {value}' for name, value in constants.items())}" if constants else ""


AnyStore = RecordStore[Any, Any]


def evidence_path(results: Path, experiment: str, size: str) -> Path:
    """Return where an experiment's evidence is, or will be."""
    return results / f"{experiment}-{size}.json"


def model_hash(record: RecordedRun) -> str:
    """Return the hash of a recorded run's model file, as training left it; "" where the record does not name it."""
    return record.document.model_sha256 or ""


def other_run(record: RecordedRun, run: ArmRun) -> str:
    """Return in words why a record is not of this run; "" if it is."""
    if record.document.seed != run.seed:
        return f"it is of seed {record.document.seed}"
    try:
        changes = run.arm.changes(from_dict(record.config()))
    except UsageError as error:
        return f"its settings are not those of this reslab: {str(error).rstrip('.')}"
    return f"it was trained with other settings ({changes})" if changes else ""
