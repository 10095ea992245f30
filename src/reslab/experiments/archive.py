"""What results hold already of runs that are not on this machine: their records, and what was measured on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.record import RecordedRun

from .arms import Arm
from .evidence import measured_before, path_of, records_folder
from .runner import changes


@dataclass(frozen=True, slots=True)
class Archive:
    """Records below `results`, and the values that an experiment measured there.

    values: by arm and hash of the model file; made: when and where they were measured (`Evidence.made`).
    """

    results: Path
    values: Mapping[tuple[str, str], Any]
    made: Sequence[dict[str, Any]]

    @classmethod
    def open(cls, results: Path, experiment: str, size: str) -> "Archive":
        """Read what is there of an experiment at a size; Failure for evidence that is damaged."""
        path = path_of(results, experiment, size)
        values, made = measured_before(path) if path.exists() else ({}, [])
        return cls(results, values, made)

    def path(self, arm: Arm, seed: int) -> Path:
        """Return where a run's record lies, or would lie."""
        return records_folder(self.results) / arm.name / f"{seed}.json"

    def record(self, arm: Arm, seed: int) -> RecordedRun:
        """Return a run's record; Failure for one that is missing or damaged."""
        return RecordedRun.open(self.path(arm, seed))

    def value(self, arm: Arm, seed: int) -> Any:
        """Return what was measured on a run's network; KeyError if nothing was."""
        return self.values[_key(arm, self.record(arm, seed))]

    def lacks(self, arm: Arm, seed: int, *, is_measured: bool) -> str:
        """Return why a record that is there cannot stand for its run, in words; "" if it can.

        is_measured: whether something is measured on the run's network, which a record does not hold.
        """
        record = self.record(arm, seed)
        if found := changes(record.config(), arm):
            return f"it was trained with other settings ({found})"
        if is_measured and _key(arm, record) not in self.values:
            return "something is to be measured on its network, which the record does not hold"
        return ""


def _key(arm: Arm, record: RecordedRun) -> tuple[str, str]:
    return arm.name, record.values.get("model_sha256") or ""
