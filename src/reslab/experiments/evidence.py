"""What an experiment found, as JSON: the records of its runs, and what was measured on their networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.artifacts.record import RecordedRun
from reslab.config import from_dict
from reslab.errors import RunError
from reslab.evaluation.metrics import error_percent
from reslab.spec import ModelSpec
from reslab.system.files import read_json, to_json, write_atomically

from .arms import Size

FORMAT_VERSION = 2
_KEYS = ("made", "models", "measured", "how", "of_runs")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on a run's network. made: when and where, {"date": ..., "environment": ...}."""

    value: Any
    made: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to judge by, all of it JSON values but the records.

    records: for each arm, its runs in the order of seeds; where they were trained stands in them.
    measured: what the experiment measured beside its runs, at `made`.
    of_runs: what it measured on its runs' networks, for each arm in the order of seeds; how: with which constants.
    """

    experiment: str
    size: Size
    records: Mapping[str, Sequence[RecordedRun]]
    measured: dict[str, Any]
    of_runs: Mapping[str, Sequence[Measured]]
    made: dict[str, Any]
    how: dict[str, Any]

    def errors(self, arm: str, split: str) -> tuple[float, ...]:
        """Return the final error in %, one for each seed. split: "train" (clean images, eval mode), "test", ..."""
        counts = [record.values["final"][split] for record in self.records[arm]]
        return tuple(error_percent(count["correct"], count["total"]) for count in counts)

    def reported(self, arm: str) -> tuple[float, ...]:
        """Return the final error on the split that the runs report, one for each seed."""
        return self.errors(arm, self.records[arm][0].values["reported_split"])

    def found(self, arm: str) -> list[Any]:
        """Return what was measured on the networks of an arm, one value for each seed."""
        return [one.value for one in self.of_runs[arm]]

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
        "made": evidence.made,
        "arms": {arm: [record.values["seed"] for record in records] for arm, records in evidence.records.items()},
        "models": {arm: _models(records) for arm, records in evidence.records.items()},
        "measured": evidence.measured,
        "how": evidence.how,
        "of_runs": {arm: [_to_values(one, evidence.made) for one in found] for arm, found in evidence.of_runs.items()},
    }
    write_atomically(path, to_json(document))
    return path


def load_evidence(path: Path) -> Evidence:
    """Read what `save_evidence` wrote, with the records it names.

    RunError for a record that is missing, damaged, or of other networks than were measured for this evidence.
    """
    document = read_document(path)
    records = {
        arm: [RecordedRun.open(records_folder(path.parent) / arm / f"{seed}.json") for seed in seeds]
        for arm, seeds in document["arms"].items()
    }
    for arm, models in document["models"].items():
        if any(None not in pair and pair[0] != pair[1] for pair in zip(models, _models(records[arm]), strict=True)):
            raise RunError(
                f"{path} was made of other networks than the records of {arm} are beside it; make it anew with: "
                f"{_command(document)}"
            )
    return Evidence(
        document["experiment"],
        document["size"],
        records,
        document["measured"],
        of_runs_in(document),
        document["made"],
        document["how"],
    )


def seeds_in(path: Path) -> int:
    """Return how many seeds of each network an evidence has, without reading its records."""
    return max((len(seeds) for seeds in read_document(path)["arms"].values()), default=0)


def read_document(path: Path) -> dict[str, Any]:
    """Return an evidence's JSON values as they are, without its records; RunError for what is none."""
    try:
        document = read_json(path)
    except RunError as error:
        raise RunError(
            f"{error} If it is damaged, remove it: 'reslab experiment' makes it anew where its runs are."
        ) from None
    if not isinstance(document, dict) or not {"experiment", "size", "arms"} <= document.keys():
        raise RunError(f"{path}: not the evidence of an experiment; 'reslab experiment' writes one.")
    if document.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{path} has format version {document.get('format_version')}, this reslab reads {FORMAT_VERSION}; remove "
            f"it and make it anew, where its runs are, with: {_command(document)}"
        )
    if missing := [key for key in _KEYS if key not in document]:
        raise RunError(f"{path}: not whole, without {', '.join(missing)}; remove it and make it anew.")
    if wrong := [key for key in ("arms", "models", "of_runs", "how") if not isinstance(document[key], dict)]:
        raise RunError(f"{path}: damaged: {wrong[0]!r} is no object; remove it and make it anew.")
    sizes = {arm: len(seeds) for arm, seeds in document["arms"].items()}
    for key in ("models", "of_runs"):
        if any(sizes.get(arm) != len(values) for arm, values in document[key].items()):
            raise RunError(
                f"{path}: not whole: {key!r} has other seeds or arms than 'arms'; remove it and make it anew, where "
                f"its runs are, with: {_command(document)}"
            )
    return document


def of_runs_in(document: dict[str, Any]) -> dict[str, list[Measured]]:
    """Return `Evidence.of_runs` of an evidence's JSON values."""
    made = document["made"]
    return {
        arm: [Measured(one["value"], one.get("made", made)) for one in found]
        for arm, found in document["of_runs"].items()
    }


def _to_values(measured: Measured, made: dict[str, Any]) -> dict[str, Any]:
    """What was measured at another time than the rest says so itself."""
    return {"value": measured.value, **({} if measured.made == made else {"made": measured.made})}


def _command(document: dict[str, Any]) -> str:
    count = max((len(seeds) for seeds in document["arms"].values()), default=0)
    seeds = f" --seeds {count}" if count else ""
    return f"reslab experiment {document['experiment']} --size {document['size']}{seeds}"


def _models(records: Sequence[RecordedRun]) -> list[str | None]:
    """The hash of each run's model file; None in older records."""
    return [record.values.get("model_sha256") for record in records]


def nets(evidence: Evidence, kind: str) -> dict[str, str]:
    """Return the arms of plain or residual nets by depth: name -> "20 layers"."""
    chosen = [arm for arm in evidence.records if evidence.spec(arm).is_plain is (kind == "plain")]
    return {arm: f"{evidence.spec(arm).depth} layers" for arm in sorted(chosen, key=lambda a: evidence.spec(a).depth)}
