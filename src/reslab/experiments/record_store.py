"""What results hold already of runs that are not on this machine: their records, and what was measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.artifacts.record import RecordedRun
from reslab.errors import UsageError

from .arms import Arm
from .evidence import Measured, of_runs_in, path_of, read_document, records_folder
from .runner import changes


@dataclass(frozen=True, slots=True)
class Reusable:
    """What stands for a run that is not here. found: what was measured on its network; None where nothing is to be."""

    record: RecordedRun
    found: Measured | None


@dataclass(frozen=True, slots=True)
class NotReusable:
    """Why a record cannot stand for its run. is_in_run: whether it can where the run is."""

    reason: str
    is_in_run: bool


@dataclass(frozen=True, slots=True)
class Archive:
    """Records below `results`, and an experiment's evidence there, if there is one.

    models: hash of the model file by arm and seed, None in older evidence; found: what was measured on it; how: with
    which constants; made: when and where the evidence was made, None without one.
    """

    results: Path
    models: Mapping[tuple[str, int], str | None]
    found: Mapping[tuple[str, int], Measured]
    how: dict[str, Any]
    made: dict[str, Any] | None

    @classmethod
    def open(cls, results: Path, experiment: str, size: str) -> "Archive":
        """Read the evidence of an experiment at a size; RunError for one that is damaged."""
        path = path_of(results, experiment, size)
        if not path.exists():
            return cls(results, {}, {}, {}, None)
        document = read_document(path)
        models, found = document["models"], of_runs_in(document)
        keys = {arm: [(arm, seed) for seed in seeds] for arm, seeds in document["arms"].items()}
        return cls(
            results,
            dict(pair for arm in models for pair in zip(keys[arm], models[arm], strict=True)),
            dict(pair for arm in found for pair in zip(keys[arm], found[arm], strict=True)),
            document["how"],
            document["made"],
        )

    def path(self, arm: Arm, seed: int) -> Path:
        """Return where a run's record lies, or would lie."""
        return records_folder(self.results) / arm.name / f"{seed}.json"

    def look_up(self, arm: Arm, seed: int, how: dict[str, Any] | None) -> Reusable | NotReusable:
        """Return what stands for a run whose record is there, or why nothing can; RunError for a damaged record.

        how: with which constants its network is measured; None if it is not.
        """
        record = RecordedRun.open(self.path(arm, seed))
        if lack := other_training(record, arm, seed):
            return NotReusable(lack, is_in_run=False)
        is_known = self._is_of_evidence(arm, seed, record)
        if arm.start is not None and not (is_known and self._is_of_evidence(arm.start.arm, seed)):
            return NotReusable("it does not say of which network it goes on with the training", is_in_run=True)
        if how is None:
            return Reusable(record, None)
        if not is_known or (arm.name, seed) not in self.found:
            return NotReusable("its network is to be measured, and a record does not hold that", is_in_run=True)
        if self.how != how:
            return NotReusable(f"its network was measured in another way ({self.how} there, {how} now)", is_in_run=True)
        return Reusable(record, self.found[arm.name, seed])

    def _is_of_evidence(self, arm: Arm, seed: int, record: RecordedRun | None = None) -> bool:
        """Whether the evidence was made of the network that the record is of; older records do not say which it is."""
        path = self.path(arm, seed)
        if record is None and not path.exists():
            return False
        model = (record or RecordedRun.open(path)).values.get("model_sha256")
        return model is not None and self.models.get((arm.name, seed)) == model


def other_training(record: RecordedRun, arm: Arm, seed: int) -> str:
    """In what a record is not of this run, in words; "" if it is."""
    if record.values["seed"] != seed:
        return f"it is of seed {record.values['seed']}"
    try:
        found = changes(record.config(), arm)
    except UsageError as error:
        return f"its settings are not those of this reslab: {str(error).rstrip('.')}"
    listed = "; ".join(f"{key}: {there!r} there, {now!r} now" for key, (there, now) in found.items())
    return f"it was trained with other settings ({listed})" if found else ""
