"""What a run writes down as it goes: rows of JSON that a resume can cut back."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

from pydantic import JsonValue

from reslab.artifacts.reader import checked
from reslab.errors import RunError
from reslab.system.files import write_atomically


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRow:
    """A row of `metrics.jsonl`: one window of training, of the batches as they were trained on.

    Attributes:
        step: The window's last step.
        split: "train".
        loss: Mean loss over the window.
        error: Top-1 error over the window, in %.
        lr: Learning rate of the last step.
    """

    step: int
    split: Literal["train"] = "train"
    loss: float
    error: float
    lr: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRow:
    """A row of `metrics.jsonl`: one evaluation of the monitored split.

    Attributes:
        step: After which step.
        split: "validation" or "test".
        correct: Images answered correctly.
        total: Images in all.
        loss: Mean cross-entropy; None for one that is not finite.
        error: Top-1 error in %.
    """

    step: int
    split: str
    correct: int
    total: int
    loss: float | None
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingRow:
    """A row of `timing.jsonl`.

    Attributes:
        step: After which step.
        seconds: Time spent in training until then.
        waited_seconds: The part of it that was spent waiting for batches.
    """

    step: int
    seconds: float
    waited_seconds: float


MetricsRow = TrainRow | EvaluationRow


class Row(Protocol):
    """A row of any log."""

    @property
    def step(self) -> int:
        """Finished training steps."""
        ...


R = TypeVar("R", bound=Row)
Parse = Callable[[Any, str], R]


class RowLog(Generic[R]):
    """A file with one JSON object per line; every row has a `step`.

    Whatever depends on the clock goes into a file of its own, so that the metrics of two equal runs are equal bytes.

    Args:
        path: The file, which may not exist yet.
        parse: Makes a row from JSON values; its second argument names the file and the line for an error.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, parse: Parse[R]) -> None:
        self.path, self._parse = path, parse

    def append(self, row: R) -> None:
        """Append one row.

        Raises:
            RunError: The file cannot be written.
        """
        line = json.dumps(_values(row), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}.") from None

    def read(self) -> list[R]:
        """Return all rows; a last line that was cut off does not count, and a log that does not exist has none.

        Raises:
            RunError: Another line is damaged; the message names it.
        """
        return [row for row, _ in self._lines()] if self.path.exists() else []

    def sync(self) -> None:
        """Fsync the log. Called before each checkpoint: resuming needs all earlier rows."""
        if not self.path.exists():
            return
        try:
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}.") from None

    def truncate(self, step: int) -> None:
        """Drop the rows of steps after `step`, and a last line cut off in the middle."""
        if self.path.exists():
            write_atomically(self.path, "".join(f"{line}\n" for row, line in self._lines() if row.step <= step))

    def _lines(self) -> list[tuple[R, str]]:
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise RunError(f"{self.path}: cannot be read: {error.strerror or error}.") from None
        except UnicodeDecodeError as error:
            raise RunError(f"{self.path}: damaged: byte {error.start} is not UTF-8.") from None
        return [(self._row(line, number), line) for number, line in enumerate(lines[:-1], start=1)]

    def _row(self, line: str, number: int) -> R:
        place = f"{self.path}, line {number}"
        try:
            values = json.loads(line)
        except ValueError:
            raise RunError(f"{place}: not a JSON object.") from None
        return self._parse(values, place)


def _values(row: Any) -> Any:
    return asdict(row)


def _metrics_row(values: Any, place: str) -> MetricsRow:
    is_training = isinstance(values, dict) and cast("dict[str, JsonValue]", values).get("split") == "train"
    return checked(values, TrainRow if is_training else EvaluationRow, place)


def metrics_log(path: Path) -> RowLog[MetricsRow]:
    """Return the log of training and monitored errors at `path`."""
    return RowLog(path, _metrics_row)


def timing_log(path: Path) -> RowLog[TimingRow]:
    """Return the log of a run's seconds at `path`."""
    return RowLog(path, lambda values, place: checked(values, TimingRow, place))


def rate_drops(
    rows: Sequence[TrainRow],
    evaluated: Sequence[Row] = (),
    *,
    milestones: Sequence[int] = (),
    plateau_gamma: float | None = None,
) -> tuple[int, ...]:
    """Return the steps after which the learning rate was lower at once; none of a schedule that falls all the time.

    A drop at a plateau, which no config knows, is a fall of the logged rate by more than half of what `plateau_gamma`
    takes; besides drops, a warm-up may only raise the rate. It happened at its window's first evaluation.

    Args:
        rows: Of training, in order.
        evaluated: Of the split that a plateau schedule watches; without one in its window a drop is dated to the
            window's beginning.
        milestones: The steps of a step schedule.
        plateau_gamma: What a drop of a plateau schedule multiplies the learning rate by; None for other schedules.
    """
    passed = [step for step in milestones if rows and step < rows[-1].step]
    if plateau_gamma is None:
        return tuple(passed)
    least = (1 + plateau_gamma) / 2
    windows = [(before, after) for before, after in pairwise(rows) if after.lr <= least * before.lr]
    return tuple(_first_between(evaluated, before.step, after.step) for before, after in windows)


def _first_between(rows: Sequence[Row], start: int, end: int) -> int:
    """Return the first row's step from `start` to before `end`; `start` where there is none."""
    return next((row.step for row in rows if start <= row.step < end), start)
