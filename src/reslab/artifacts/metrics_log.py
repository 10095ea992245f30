"""What a run writes down as it goes: rows of JSON that a resume can cut back."""

import json
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from reslab.errors import RunError
from reslab.system.files import write_atomically


class RowLog:
    """A file with one JSON object per line; every row has a `step`.

    What depends on the clock goes into a file of its own, so that the metrics of two equal runs are equal bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; RunError names the file and the reason."""
        line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}.") from None

    def sync(self) -> None:
        """Have the rows on the disk: before a checkpoint, which cannot be gone on from without those before it."""
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
            kept = [row for row in read_rows(self.path) if row["step"] <= step]
            write_atomically(self.path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a log; a last line without its end is left out, any other bad line is a RunError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: damaged: byte {error.start} is no UTF-8.") from None
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise RunError(f"{path}, line {number}: not a JSON object.") from None
    return rows


def rate_drops(
    schedule: Mapping[str, Any], rows: Sequence[dict[str, Any]], evaluated: Sequence[dict[str, Any]] = ()
) -> list[int]:
    """Return the steps after which the learning rate was lower at once; none of a schedule that falls all the time.

    schedule: the config's, as JSON values. rows: of training, in order. evaluated: of the split that the schedule
    watches. A drop at a plateau, which no config knows, is found in the "lr" of rows, exact to one logged window: it is
    a fall by more than half of what `factor` takes; beside drops a warm-up may only raise the rate. It happened at that
    window's first evaluation.
    """
    match schedule["kind"]:
        case "step":
            return [step for step in schedule["milestones"] if rows and step < rows[-1]["step"]]
        case "plateau":
            least = (1 + schedule["factor"]) / 2
            windows = [(before, after) for before, after in pairwise(rows) if after["lr"] <= least * before["lr"]]
            return [_first_between(evaluated, before["step"], after["step"]) for before, after in windows]
        case _:
            return []


def _first_between(rows: Sequence[dict[str, Any]], start: int, end: int) -> int:
    """Return the first row's step from `start` to before `end`; `start` where there is none."""
    return next((row["step"] for row in rows if start <= row["step"] < end), start)
