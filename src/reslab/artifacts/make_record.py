"""Turning a finished run into its record, and writing that where it replaces no other result."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from reslab.artifacts.metrics_log import MetricsRow, Row
from reslab.artifacts.record import RecordDocument, RecordedRun, is_same_result, save_record
from reslab.artifacts.run_folder import RunFolder
from reslab.errors import RunError, UsageError
from reslab.system.files import write_atomically

MAX_CURVE_POINTS = 700
MAX_MODEL_BYTES = 12_000_000  # of a small network, whose model file goes next to the record


def make_record(folder: RunFolder, config: dict[str, JsonValue], rate_drops: Sequence[int]) -> RecordDocument:
    """Return the record of a finished run, without any path.

    Args:
        folder: The run.
        config: Its configuration as a JSON document, without the paths of data and weights.
        rate_drops: Steps after which the learning rate was lower at once.

    Raises:
        RunError: The run is not finished, or a log does not reach its end.
    """
    result, environment = folder.result(), folder.environment()
    if result is None:
        raise RunError(f"{folder.path} is not finished: only a finished run has a record.")
    rows = {split: found for split in ("train", "validation", "test") if (found := folder.rows(split))}
    timing = folder.timing.read()
    _check_reaches(result.iterations, rows.get("train", []), folder.metrics.path)
    _check_reaches(result.iterations, timing, folder.timing.path)
    return RecordDocument(
        recipe=result.recipe,
        network=result.model,
        dataset=environment.data,
        weights=environment.weights,
        seed=result.seed,
        iterations=result.iterations,
        train_size=environment.data.sizes["train"],
        selection=result.selection,
        monitor=result.monitor,
        protocol=result.protocol,
        reported_split=result.reported_split,
        final=result.final,
        model_sha256=result.model_sha256,  # as training left it: a temperature fitted later is not another training
        rate_drops=tuple(rate_drops),
        curve={split: _error_curve(found) for split, found in rows.items()},
        loss_curve={split: _loss_curve(found) for split, found in rows.items()},
        config=config,
        environment=environment.sessions,
        minutes=result.minutes,
        seconds=_thinned([(row.step, row.seconds) for row in timing]),
    )


def write_record(
    folder: RunFolder, record: RecordDocument, results: Path, *, replace: bool = False, with_model: bool = True
) -> Path:
    """Write `RESULTS/RECIPE/SEED.json`, and a small network's model file next to it.

    Runs on image files have a folder for each data set: `RESULTS/RECIPE-DATA/`.

    Args:
        folder: The run.
        record: Its record.
        results: The folder of all records.
        replace: Overwrite the record of another result.
        with_model: Write the model file too.

    Returns:
        The record's path.

    Raises:
        UsageError: The record of another result is there, and `replace` is not given.
        RunError: The folder cannot be written, or something is there that is not a record.
    """
    path = results / _name(record, folder) / f"{record.seed}.json"
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
    save_record(path, record)
    return path


def _is_of(path: Path, record: RecordDocument) -> bool:
    """Whether the record that lies there is of the same weights."""
    try:
        return is_same_result(RecordedRun.open(path).document, record)
    except RunError:  # there is none, or it is damaged
        return False


def _check_is_of_same_result(path: Path, record: RecordDocument, folder: RunFolder) -> None:
    try:
        there = RecordedRun.open(path)
    except RunError as error:  # something else, or damaged: not to be overwritten unasked either
        raise RunError(f"{error} If it is of {folder.path}, remove it, and it is written again.") from None
    if not is_same_result(there.document, record):
        raise UsageError(
            f"{path} holds the result of a training other than {folder.path}. Choose another folder for records; or "
            "remove that record, and run every experiment that uses it again."
        )


def _name(record: RecordDocument, folder: RunFolder) -> str:
    is_of_files = folder.split_path.exists()
    return f"{record.recipe}-{record.dataset.name}" if is_of_files else record.recipe


def _check_reaches(iterations: int, rows: Sequence[Row], path: Path) -> None:
    last = rows[-1].step if rows else 0
    if last != iterations:
        raise RunError(
            f"{path} is not complete: its last row of training is of step {last}, but the run has {iterations} "
            "iterations. A record needs all rows; put the complete file back."
        )


def _error_curve(rows: Sequence[MetricsRow]) -> tuple[tuple[int, float], ...]:
    """Return [step, error] points; long curves as means over equal numbers of neighbouring windows."""
    return tuple((group[-1].step, round(_mean([row.error for row in group]), 4)) for group in _groups(rows))


def _loss_curve(rows: Sequence[MetricsRow]) -> tuple[tuple[int, float | None], ...]:
    """Return [step, loss] points as `_error_curve` does."""
    return tuple((group[-1].step, _mean_loss(group)) for group in _groups(rows))


def _mean_loss(rows: Sequence[MetricsRow]) -> float | None:
    """The mean loss; None where one is not finite."""
    losses = [row.loss for row in rows if row.loss is not None]
    # significant digits, as a loss falls over orders of magnitude
    return float(f"{_mean(losses):.5g}") if len(losses) == len(rows) else None


def _groups(rows: Sequence[MetricsRow]) -> list[Sequence[MetricsRow]]:
    width = _width(len(rows))
    return [rows[start : start + width] for start in range(0, len(rows), width)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _thinned(points: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Every n-th point: the same steps as those of a curve of the same rows."""
    width = _width(len(points))
    return tuple(points[width - 1 :: width] + (points[-1:] if len(points) % width else []))


def _width(count: int) -> int:
    """Neighbouring windows that become one point."""
    return -(-count // MAX_CURVE_POINTS)
