"""A finished run as one small JSON file, to be committed: what was done, on what, and what came out."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.artifacts.metrics_log import rate_drops, read_rows
from reslab.artifacts.run_folder import RunFolder
from reslab.artifacts.upgrade import upgrade_record
from reslab.errors import RunError, UsageError
from reslab.evaluation.metrics import error_percent
from reslab.system.files import read_json, sha256_of, to_json, write_atomically

FORMAT_VERSION = 2
MAX_CURVE_POINTS = 700
_KEYS = ("recipe", "network", "dataset", "seed", "iterations", "final", "config", "environment", "minutes")
MAX_MODEL_BYTES = 12_000_000  # of a small network, whose model file goes beside the record


def make_record(folder: RunFolder) -> dict[str, Any]:
    """Return the record of a finished run as JSON values, without any path.

    RunError for one that is not finished, or whose log does not reach its end.
    """
    result = folder.result()
    if result is None:
        raise RunError(f"{folder.path} is not finished; go on with: reslab train --resume --run-dir {folder.path}")
    config, environment = folder.config(), folder.environment()
    config["data"]["path"] = None
    if config.get("weights") is not None:
        config["weights"] = Path(config["weights"]).name  # a record names no path of the machine
    final = {split: _counts(counts, result["protocol"]) for split, counts in result["final"].items()}
    rows = {split: found for split in ("train", "validation", "test") if (found := folder.rows(split))}
    timing = read_rows(folder.timing.path)
    _check_reaches(result["iterations"], rows.get("train", []), folder.metrics.path)
    _check_reaches(result["iterations"], timing, folder.timing.path)
    return {
        "format_version": FORMAT_VERSION,
        "recipe": result["recipe"],
        "network": result["model"],
        "dataset": environment["data"],
        "weights": environment.get("weights"),
        "seed": result["seed"],
        "iterations": result["iterations"],
        "train_size": environment["data"]["sizes"]["train"],
        "selection": result["selection"],
        "monitor": result["monitor"],
        "reported_split": result["reported_split"],
        "test": final.get("test"),
        "final": final,
        # as training left it: a temperature fitted later is no other training; older runs do not say
        "model_sha256": result.get("model_sha256") or sha256_of(folder.model_path),
        "rate_drops": folder.rate_drops(),
        "curve": {split: _means(found, "error", _error_digits) for split, found in rows.items()},
        "loss_curve": {split: _means(found, "loss", _loss_digits) for split, found in rows.items()},
        "config": config,
        "environment": environment["sessions"],
        "minutes": result["minutes"],
        "seconds": _thinned([[row["step"], row["seconds"]] for row in timing]),
    }


def _check_reaches(iterations: int, rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    last = rows[-1]["step"] if rows else 0
    if last != iterations:
        raise RunError(
            f"{path} is not whole: its last row of training is of step {last}, and the run has {iterations} "
            "iterations. Without its curve there is no record; put the whole file back."
        )


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A record read again: what it holds, under the names that a run folder has."""

    path: Path
    values: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "RecordedRun":
        """Read a record; RunError when the file is none."""
        values = read_json(path)
        version = values.get("format_version") if isinstance(values, dict) else None
        if version not in (1, FORMAT_VERSION) or "curve" not in values:
            raise RunError(f"{path}: not a record; 'reslab record RUN' writes one.")
        if missing := [key for key in _KEYS if key not in values]:
            raise RunError(
                f"{path}: not a whole record, without {', '.join(missing)}; make it anew: 'reslab record RUN'."
            )
        return cls(path, upgrade_record(values) if version == 1 else values)

    def config(self) -> dict[str, Any]:
        return self.values["config"]

    def environment(self) -> dict[str, Any]:
        values = self.values
        return {"data": values["dataset"], "sessions": values["environment"], "weights": values.get("weights")}

    def result(self) -> dict[str, Any]:
        final = {
            split: {**counts, "error": error_percent(counts["correct"], counts["total"])}
            for split, counts in self.values["final"].items()
        }
        return {**self.values, "final": final}

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Return points of the curve: "step", "error" in % and, but in older records, "loss"."""
        rows = [{"step": step, "error": error} for step, error in self.values["curve"].get(split, [])]
        losses = self.values.get("loss_curve", {}).get(split, [])
        return [{**row, "loss": loss} for row, (_, loss) in zip(rows, losses, strict=True)] if losses else rows

    def rate_drops(self) -> list[int]:
        """Return the steps after which the learning rate was lower at once."""
        schedule = self.config()["schedule"]
        # older records name the windows in which the rate fell, where the schedule knows the very step
        return rate_drops(schedule, self.rows("train")) if schedule["kind"] == "step" else self.values["rate_drops"]

    def is_same_result(self, record: dict[str, Any]) -> bool:
        """Whether a record (its JSON values) is of the same weights; older records, without a hash, are of the same
        curve and counts."""
        by_hash = self.values.get("model_sha256") is not None
        keys = ("model_sha256",) if by_hash else ("iterations", "curve", "final")
        return all(self.values[key] == record[key] for key in keys)


def write_record(folder: RunFolder, results: Path, *, replace: bool = False, with_model: bool = True) -> Path:
    """Write `results/<recipe>/<seed>.json`, and a small network's model file beside it; return the record's path.

    Recipes for any folder of photos have a folder for each: `results/<recipe>-<name of the data>/`.

    UsageError when the record of another result is there and `replace` is not given.
    """
    record = make_record(folder)
    path = results / _name(record, folder) / f"{record['seed']}.json"
    content = to_json_with_short_rows(record)
    if path.exists() and not replace:
        _check_is_of_same_result(path, record, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _is_of(path, record):
            path.with_suffix(".safetensors").unlink(missing_ok=True)  # another training's weights
        if with_model and len(model := folder.model_path.read_bytes()) <= MAX_MODEL_BYTES:
            write_atomically(path.with_suffix(".safetensors"), model)
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}.") from None
    write_atomically(path, content)
    return path


def _is_of(path: Path, record: dict[str, Any]) -> bool:
    """Whether the record that lies there is of the same weights."""
    try:
        return RecordedRun.open(path).is_same_result(record)
    except RunError:  # there is none, or it is damaged
        return False


def _check_is_of_same_result(path: Path, record: dict[str, Any], folder: RunFolder) -> None:
    try:
        there = RecordedRun.open(path)
    except RunError as error:  # something else, or damaged: not to be overwritten unasked either
        raise RunError(
            f"{error} If it is of {folder.path}, remove it, and it is written anew ('reslab record --replace' "
            "overwrites it)."
        ) from None
    if not there.is_same_result(record):
        raise UsageError(
            f"{path} holds the result of another training than {folder.path}. Choose another --results; or remove that "
            "record ('reslab record --replace' overwrites it), and run every experiment again that was made of it."
        )


def _name(record: dict[str, Any], folder: RunFolder) -> str:
    is_of_files = folder.split_path.exists()
    return f"{record['recipe']}-{record['dataset']['name']}" if is_of_files else record["recipe"]


def to_json_with_short_rows(record: dict[str, Any]) -> str:
    """Return JSON in which every [step, value] pair of a curve stands on one line."""
    curves = ("curve", "loss_curve")
    text = to_json({**record, "seconds": "@", **dict.fromkeys(curves, "@")})
    for name in curves:
        splits = (f"    {to_json(split).strip()}: {_pairs(points, 4)}" for split, points in record[name].items())
        text = text.replace(f'"{name}": "@"', f'"{name}": {{\n' + ",\n".join(splits) + "\n  }")
    return text.replace('"seconds": "@"', f'"seconds": {_pairs(record["seconds"], 2)}')


def _pairs(points: Sequence[Sequence[float | None]], indent: int) -> str:
    lines = ",\n".join(f"{' ' * indent}  [{step}, {json.dumps(value)}]" for step, value in points)
    return f"[\n{lines}\n{' ' * indent}]"


def _counts(counts: dict[str, Any], protocol: str) -> dict[str, Any]:
    return {"protocol": protocol, "correct": counts["correct"], "total": counts["total"], "loss": counts["loss"]}


def _means(rows: list[dict[str, Any]], key: str, digits: Callable[[float], float]) -> list[list[float | None]]:
    """Return [step, value] points; long curves as means over equal numbers of neighbouring windows.

    None, a loss that is not finite, makes the mean None.
    """
    width = _width(rows)
    groups = [rows[start : start + width] for start in range(0, len(rows), width)]
    values = [[row[key] for row in group] for group in groups]
    means = [None if None in found else digits(sum(found) / len(found)) for found in values]
    return [[group[-1]["step"], mean] for group, mean in zip(groups, means, strict=True)]


def _error_digits(value: float) -> float:
    return round(value, 4)


def _loss_digits(value: float) -> float:
    return float(f"{value:.5g}")  # it falls over orders of magnitude


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """Every n-th point: the same steps as those of a curve of the same rows."""
    width = _width(points)
    return points[width - 1 :: width] + (points[-1:] if len(points) % width else [])


def _width(rows: Sequence[Any]) -> int:
    return -(-len(rows) // MAX_CURVE_POINTS)
