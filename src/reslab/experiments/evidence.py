"""What an experiment has to judge by: the records of its runs, and what was measured on their networks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from reslab.artifacts.reader import checked
from reslab.artifacts.record import RecordedRun
from reslab.config import RunConfig, from_dict
from reslab.errors import RunError
from reslab.spec import ModelSpec
from reslab.system.environment import Machine
from reslab.system.files import read_json, to_json, write_atomically

from .arms import Size

FORMAT_VERSION = 3
NetworkT = TypeVar("NetworkT")  # what is measured on each trained network
OnceT = TypeVar("OnceT")  # what is measured once, next to the runs
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """When and on what something was measured.

    Attributes:
        date: YYYY-MM-DD.
        device: "cpu" or "cuda".
        machine: Processor, threads, versions and source.
    """

    date: str
    device: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Measured(Generic[ValueT]):
    """A measured value, and when and on what it was measured."""

    value: ValueT
    made: Made


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceDocument(Generic[NetworkT, OnceT]):
    """An evidence file; the records that it names lie next to it.

    Attributes:
        experiment: The experiment's name.
        size: The size of its arms.
        models: For each arm, the hashes of its networks' model files in the order of seeds.
        first_seed: The seed of each arm's first network.
        constants: What the measurements on the networks depend on.
        networks: What was measured on the networks, by the hash of the model file.
        once: What was measured next to the runs; None where nothing is.
    """

    experiment: str
    size: Size
    models: dict[str, list[str]]
    constants: dict[str, int]
    networks: dict[str, Measured[NetworkT]]
    once: Measured[OnceT] | None
    first_seed: int = 0

    @property
    def num_seeds(self) -> int:
        """The seeds of each network; 0 where nothing was trained."""
        return max(map(len, self.models.values()), default=0)


@dataclass(frozen=True, slots=True)
class Evidence(Generic[NetworkT, OnceT]):
    """All that a verdict, a table and a figure are made from.

    Attributes:
        document: Which records it is made of, and what was measured.
        records: For each arm, its runs in the order of seeds.
    """

    document: EvidenceDocument[NetworkT, OnceT]
    records: Mapping[str, Sequence[RecordedRun]]

    @property
    def size(self) -> Size:
        """The size at which the experiment ran."""
        return self.document.size

    @property
    def num_seeds(self) -> int:
        """The seeds that every arm has; 0 where nothing was trained."""
        return min((len(records) for records in self.records.values()), default=0)

    def errors(self, arm: str, split: str) -> tuple[float, ...]:
        """Return the final error in %, one for each seed.

        Args:
            arm: The arm's name.
            split: "train" (clean images, eval mode), "validation" or "test".
        """
        return tuple(record.document.final[split].error for record in self.records[arm])

    def reported(self, arm: str) -> tuple[float, ...]:
        """Return the final error in % on the split that the runs report, one for each seed."""
        split = self.records[arm][0].document.reported_split
        assert split is not None
        return self.errors(arm, split)

    def on_networks(self, arm: str) -> list[NetworkT]:
        """Return what was measured on the networks of an arm, one value for each seed."""
        return [self.document.networks[model].value for model in self.document.models[arm]]

    @property
    def next_to_runs(self) -> OnceT:
        """What was measured next to the runs."""
        assert self.document.once is not None
        return self.document.once.value

    def config(self, arm: str) -> RunConfig:
        """Return the config of an arm's first run."""
        return from_dict(self.records[arm][0].config())

    def spec(self, arm: str) -> ModelSpec:
        """Return which network an arm trains."""
        return self.config(arm).model


AnyEvidence = Evidence[Any, Any]


def arms_by_depth(evidence: AnyEvidence, kind: str) -> dict[str, str]:
    """Return the arms of plain or residual nets, sorted by depth.

    Args:
        evidence: Of the experiment.
        kind: "plain" or "residual".

    Returns:
        The arm's name -> "20 layers".
    """
    specs = {arm: evidence.spec(arm) for arm in evidence.records}
    names = [arm for arm, spec in specs.items() if spec.is_plain is (kind == "plain")]
    return {arm: f"{specs[arm].depth} layers" for arm in sorted(names, key=lambda arm: specs[arm].depth)}


def write_evidence(path: Path, document: EvidenceDocument[NetworkT, OnceT]) -> None:
    """Write an evidence file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, to_json({"format_version": FORMAT_VERSION, **asdict(document)}))


def read_evidence(path: Path, form: type[ValueT]) -> ValueT:
    """Read an evidence file.

    Args:
        path: The file.
        form: `EvidenceDocument` of what the experiment measures.

    Raises:
        RunError: It is missing or damaged, or of an unknown format version.
    """
    values = read_json(path)
    version = values.pop("format_version", None) if isinstance(values, dict) else None
    if version not in (2, FORMAT_VERSION):
        raise RunError(f"{path}: format version is {version}; this reslab reads versions 2 and {FORMAT_VERSION}.")
    try:
        return checked(values if version == FORMAT_VERSION else _upgrade(values), form, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{path}: damaged: not a whole document of format version {version} ({error}).") from None


def _upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """The values of an evidence file of format version 2 (until November 2026) in today's form."""

    def measured(value: object, made: dict[str, Any]) -> dict[str, Any]:
        machine = dict(made["environment"])
        device = machine.pop("device", "cpu")
        return {"value": value, "made": {"date": made["date"], "device": device, "machine": machine}}

    return {
        "experiment": values["experiment"],
        "size": values["size"],
        "models": values["models"],
        "constants": values["how"],
        "networks": {
            model: measured(one["value"], one.get("made", values["made"]))
            for arm, measurements in values["of_runs"].items()
            for model, one in zip(values["models"][arm], measurements, strict=True)
        },
        "once": measured(values["measured"], values["made"]) if values["measured"] else None,
    }
