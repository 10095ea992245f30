"""What an experiment found, as JSON: the records of its runs, and what was measured on their networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.config import from_dict
from reslab.errors import Failure
from reslab.files import read_json, to_json, write_atomically
from reslab.metrics import error_percent
from reslab.record import RecordedRun
from reslab.spec import ModelSpec

from .arms import Size

FORMAT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to judge by, all of it JSON values but the records.

    records: for each arm, its runs in the order of seeds; where they were trained stands in them.
    measured: what the experiment measured on no run's network.
    of_runs: what it measured on its runs' networks; for each arm that it measures, a value for each seed.
    made: [{"date": ..., "environment": ...}, ...], when and where it was measured; several if not all at once.
    """

    experiment: str
    size: Size
    records: Mapping[str, Sequence[RecordedRun]]
    measured: dict[str, Any]
    of_runs: Mapping[str, Sequence[Any]]
    made: Sequence[dict[str, Any]]

    def errors(self, arm: str, split: str) -> tuple[float, ...]:
        """Return the final error in %, one for each seed. split: "train" (clean images, eval mode), "test", ..."""
        counts = [record.values["final"][split] for record in self.records[arm]]
        return tuple(error_percent(count["correct"], count["total"]) for count in counts)

    def reported(self, arm: str) -> tuple[float, ...]:
        """Return the final error on the split that the runs report, one for each seed."""
        return self.errors(arm, self.records[arm][0].values["reported_split"])

    def spec(self, arm: str) -> ModelSpec:
        """Return what network an arm trains."""
        return ModelSpec.from_dict(self.records[arm][0].config()["model"])

    def iterations(self, arm: str) -> int:
        return from_dict(self.records[arm][0].config()).train.iterations

    @property
    def num_seeds(self) -> int:
        """The seeds that every arm has; 0 where nothing was trained."""
        return min((len(records) for records in self.records.values()), default=0)


def path_of(results: Path, experiment: str, size: str) -> Path:
    """Return where an experiment's evidence lies; the records that it names lie in `results`/records."""
    return results / f"{experiment}-{size}.json"


def records_folder(results: Path) -> Path:
    """Return where the records of the experiments' runs lie: ARM/SEED.json."""
    return results / "records"


def save_evidence(evidence: Evidence, results: Path) -> Path:
    """Write which records it is made of and what was measured; the records themselves are there already."""
    path = path_of(results, evidence.experiment, evidence.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "format_version": FORMAT_VERSION,
        "experiment": evidence.experiment,
        "size": evidence.size,
        "made": list(evidence.made),
        "arms": {arm: [record.values["seed"] for record in records] for arm, records in evidence.records.items()},
        "models": {arm: _models(records) for arm, records in evidence.records.items()},
        "measured": evidence.measured,
        "of_runs": dict(evidence.of_runs),
    }
    write_atomically(path, to_json(document))
    return path


def load_evidence(path: Path) -> Evidence:
    """Read what `save_evidence` wrote, with the records it names.

    Failure for a record that is missing, damaged, or of other networks than were measured for this evidence.
    """
    document = _read(path)
    records = {
        arm: [RecordedRun.open(records_folder(path.parent) / arm / f"{seed}.json") for seed in seeds]
        for arm, seeds in document["arms"].items()
    }
    for arm, models in document["models"].items():
        if any(None not in pair and pair[0] != pair[1] for pair in zip(models, _models(records[arm]), strict=True)):
            raise Failure(
                f"{path} was made of other networks than the records of {arm} are beside it; make it anew with: "
                f"{_command(document)}"
            )
    keys = ("measured", "of_runs", "made")
    return Evidence(document["experiment"], document["size"], records, *(document[key] for key in keys))


def seeds_in(path: Path) -> int:
    """Return how many seeds of each network an evidence has, without reading its records."""
    return max((len(seeds) for seeds in _read(path)["arms"].values()), default=0)


def measured_before(path: Path) -> tuple[dict[tuple[str, str], Any], list[dict[str, Any]]]:
    """Return what an evidence holds of its runs' networks, by (arm, hash of the model file), and its `made`."""
    document = _read(path)
    values = {
        (arm, model): value
        for arm, found in document["of_runs"].items()
        for model, value in zip(document["models"][arm], found, strict=True)
        if model is not None
    }
    return values, document["made"]


def _read(path: Path) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict) or "experiment" not in document:
        raise Failure(f"{path}: not the evidence of an experiment; 'reslab experiment' writes one.")
    if document.get("format_version") != FORMAT_VERSION:
        raise Failure(
            f"{path} has format version {document.get('format_version')}, this reslab reads {FORMAT_VERSION}; remove "
            f"it and make it anew with: {_command(document)}"
        )
    return document


def _command(document: dict[str, Any]) -> str:
    return f"reslab experiment {document['experiment']} --size {document['size']}"


def _models(records: Sequence[RecordedRun]) -> list[str | None]:
    """The hash of each run's model file; None in older records."""
    return [record.values.get("model_sha256") for record in records]
