"""A finished run as one small JSON file, to be committed: what was done, on what, and what came out."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from reslab.artifacts.documents import Counts, DataFacts, Environment, Session, WeightsFacts
from reslab.artifacts.reader import checked, current
from reslab.artifacts.upgrade import FORMAT_VERSION
from reslab.errors import RunError
from reslab.system.files import read_json, to_json, write_atomically

ErrorCurve = dict[str, tuple[tuple[int, float], ...]]
LossCurve = dict[str, tuple[tuple[int, float | None], ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDocument:
    """`results/RECIPE/SEED.json`: a finished run, without any path of the machine that it ran on.

    Attributes:
        recipe: The recipe's name.
        network: The network's label.
        dataset: The data.
        weights: The model file that the run started from; None for a random initialisation.
        seed: The run's seed.
        iterations: Optimizer steps that were made.
        train_size: Training images.
        selection: Which weights are the result, in words.
        monitor: The split that was evaluated along the way, or "none".
        protocol: Which view of each image was evaluated, in words.
        reported_split: The split whose error is the result; None where there is neither a test nor a validation part.
        final: The counts on each split.
        model_sha256: SHA-256 of the model file as training left it; None where it was not recorded.
        rate_drops: Steps after which the learning rate was lower at once.
        curve: By split, [step, error in %]; at most 700 points, longer curves as means over equal numbers of
            neighbouring windows.
        loss_curve: The same with the loss, None where it is not finite; None where it was not recorded.
        config: The configuration, a document of `reslab.config`.
        environment: Where each start of the run ran.
        minutes: Time spent in training.
        seconds: [step, seconds of training until then]; None where it was not recorded.
    """

    recipe: str
    network: str
    dataset: DataFacts
    weights: WeightsFacts | None
    seed: int
    iterations: int
    train_size: int
    selection: str
    monitor: str
    protocol: str
    reported_split: str | None
    final: dict[str, Counts]
    model_sha256: str | None
    rate_drops: tuple[int, ...]
    curve: ErrorCurve
    loss_curve: LossCurve | None
    config: dict[str, JsonValue]
    environment: tuple[Session, ...]
    minutes: float
    seconds: tuple[tuple[int, float], ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """A point of a recorded curve.

    Attributes:
        step: Finished training steps.
        error: Top-1 error in %.
        loss: The loss; None where it is not finite or was not recorded.
    """

    step: int
    error: float
    loss: float | None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A record with the methods of a run folder, so that either can be compared or reported.

    Attributes:
        path: The file.
        document: What it holds.
    """

    path: Path
    document: RecordDocument

    @classmethod
    def open(cls, path: Path) -> "RecordedRun":
        """Read a record.

        Raises:
            RunError: The file is not a record, or is damaged.
        """
        values = read_json(path)
        if not isinstance(values, dict) or "curve" not in values:
            raise RunError(f"{path}: not a record; 'reslab record RUN' writes one.")
        return cls(path, checked(current(values, "record", path), RecordDocument, path))

    def config(self) -> dict[str, JsonValue]:
        """Return the configuration as a JSON document, which `reslab.config.from_dict` reads."""
        return self.document.config

    def environment(self) -> Environment:
        """Return which data the run saw, and where each of its starts ran."""
        record = self.document
        return Environment(data=record.dataset, weights=record.weights, sessions=record.environment)

    def result(self) -> RecordDocument:
        """Return the run's result."""
        return self.document

    def rows(self, split: str) -> list[CurvePoint]:
        """Return the points of a split's curve; none for a split that was not evaluated along the way."""
        errors = self.document.curve.get(split, ())
        losses = (self.document.loss_curve or {}).get(split) or [(step, None) for step, _ in errors]
        pairs = zip(errors, losses, strict=True)
        return [CurvePoint(step=step, error=error, loss=loss) for (step, error), (_, loss) in pairs]

    def rate_drops(self) -> tuple[int, ...]:
        """Return the steps after which the learning rate was lower at once."""
        return self.document.rate_drops


def is_same_result(record: RecordDocument, other: RecordDocument) -> bool:
    """Return whether two records are of the same weights.

    Args:
        record: A record.
        other: Another one. Where one of the two has no hash of its model file, curves and counts are compared.
    """
    has_hashes = None not in (record.model_sha256, other.model_sha256)
    names = ("model_sha256",) if has_hashes else ("iterations", "curve", "final")
    return all(getattr(record, name) == getattr(other, name) for name in names)


def save_record(path: Path, record: RecordDocument) -> None:
    """Write a record, atomically.

    Args:
        path: The file.
        record: The record.

    Raises:
        RunError: The file cannot be written.
    """
    write_atomically(path, _to_json(record))


def _to_json(record: RecordDocument) -> str:
    """Return JSON with every [step, value] pair of a curve on one line."""
    series: dict[str, str] = {}
    for name, curve in (("curve", record.curve), ("loss_curve", record.loss_curve)):
        if curve is not None:
            splits = (f"    {to_json(split).strip()}: {_pairs(points, 4)}" for split, points in curve.items())
            series[name] = "{\n" + ",\n".join(splits) + "\n  }"
    if record.seconds is not None:
        series["seconds"] = _pairs(record.seconds, 2)
    text = to_json({"format_version": FORMAT_VERSION, **asdict(record), **dict.fromkeys(series, "@")})
    for name, lines in series.items():
        text = text.replace(f'"{name}": "@"', f'"{name}": {lines}')
    return text


def _pairs(points: Sequence[Sequence[float | None]], indent: int) -> str:
    lines = ",\n".join(f"{' ' * indent}  [{step}, {json.dumps(value)}]" for step, value in points)
    return f"[\n{lines}\n{' ' * indent}]"
