"""Show how far along a long job is, on standard error: with a bar on a terminal, with plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from torch import Tensor

_SMOOTHING = 0.95


class MetricsRow(Protocol):
    """A row of a run's metrics: the means over a window of training steps, or the result of an evaluation."""

    @property
    def step(self) -> int: ...
    @property
    def split(self) -> str: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def error(self) -> float: ...


@runtime_checkable
class _WithRate(Protocol):
    """A row of training steps: unlike an evaluation, it has a learning rate."""

    @property
    def lr(self) -> float: ...


class _Display:
    """A context manager that shows the bar inside its block; without a bar, its subclasses print lines instead."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(console: Console, numbers: str, *columns: ProgressColumn, transient: bool = False) -> Progress | None:
    """A bar with its name and numbers; None where the console is not a terminal."""
    if not console.is_terminal:
        return None
    name = TextColumn("{task.description}")
    return Progress(name, BarColumn(24), TextColumn(numbers), *columns, console=console, transient=transient)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class TrainProgress(_Display):
    """Show how training goes: time left, images per second, and the newest loss and errors.

    Args:
        name: What is trained.
        iterations: Steps of the whole run.
        batch_size: Images in each step.
        console: Where a bar may be shown; standard error by default.
    """

    def __init__(self, name: str, iterations: int, batch_size: int, console: Console | None = None) -> None:
        figures = TextColumn("[cyan]{task.fields[figures]}")  # rich's own estimate would include evaluations
        super().__init__(_bar(console or Console(stderr=True), "{task.completed}/{task.total}", figures))
        self._name, self._iterations, self._speed = name, iterations, _Speed(batch_size)
        self._newest: dict[str, str] = {}
        self._task = None if self._bar is None else self._bar.add_task(name, total=iterations, figures="")

    def on_step(self, step: int, loss: "Tensor") -> None:
        """Count a training step.

        Args:
            step: Steps made so far.
            loss: The step's loss, which is not read: reading would wait for the device.
        """
        self._speed.add_step()
        if self._bar is not None and self._task is not None:
            figures = " · ".join([self._speed.describe(self._iterations - step), *self._newest.values()])
            self._bar.update(self._task, completed=step, figures=figures)

    def on_row(self, row: MetricsRow) -> None:
        """Show a row of the run's metrics."""
        self._speed.add_row(row)
        loss = "not finite" if row.loss is None else f"{row.loss:.4f}"
        if self._bar is not None:
            if row.split == "train":
                self._newest["loss"] = f"loss {loss}"
            self._newest[row.split] = f"{row.split} error {row.error:.2f} %"
            return
        line = f"{self._name} {row.step}/{self._iterations} {row.split}: loss {loss}, error {row.error:.2f} %"
        if isinstance(row, _WithRate):
            line += f", lr {row.lr:g}, {self._speed.describe(self._iterations - row.step)}"
        _print(line)


class Count(_Display):
    """Show how many of a job's things are done, and the time left.

    Args:
        name: What is done.
        total: How many there are; None where that is not known.
        is_live: False to print lines even on a terminal, because another bar may be shown there already.
        every_seconds: Least time between two lines.
        console: Where a bar may be shown; standard error by default.
    """

    def __init__(
        self,
        name: str,
        total: int | None,
        *,
        is_live: bool = True,
        every_seconds: float = 15.0,
        console: Console | None = None,
    ) -> None:
        numbers = "{task.completed}" if total is None else "{task.completed}/{task.total}"
        console = console or Console(stderr=True)
        super().__init__(_bar(console, numbers, TimeRemainingColumn(), transient=True) if is_live else None)
        self._task = None if self._bar is None else self._bar.add_task(name, total=total)
        self._name, self._total, self._every = name, total, every_seconds
        self._done, self._start = 0, time.monotonic()
        self._last = self._start

    def advance(self, number: int = 1) -> None:
        """Count `number` more as done."""
        self._done += number
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, number)
            return
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            _print(f"{self._name}: {self._done}{self._rest(now - self._start)}")

    def _rest(self, seconds: float) -> str:
        if self._total is None:
            return f", {self._done / seconds:.0f} a second"
        return f" of {self._total}, {_duration(seconds * (self._total - self._done) / self._done)} left"


@contextmanager
def counting(name: str, total: int) -> Iterator[Callable[..., None]]:
    """Show the progress of a job that reports how many things it has done so far.

    Args:
        name: What is done.
        total: How many there are.

    Yields:
        A function to call with the number done so far; a total given after it is ignored.
    """
    shown = 0
    with Count(name, total) as count:

        def on_progress(done: int, _total: int = 0) -> None:
            nonlocal shown
            if done > shown:
                count.advance(done - shown)
            shown = done

        yield on_progress


class _Speed:
    """Seconds per training step: a moving average in which the newest steps weigh most.

    Not timed: everything up to the end of the first step (reading data, measuring the engine), each evaluation, and
    the step after an evaluation. As long as no step has been timed, the step after an evaluation is timed too.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._last: float | None = None
        self._seconds_per_step = math.nan

    def add_step(self) -> None:
        now = time.monotonic()
        if self._last is not None:
            taken, old = now - self._last, self._seconds_per_step
            self._seconds_per_step = taken if math.isnan(old) else _SMOOTHING * old + (1 - _SMOOTHING) * taken
        self._last = now

    def add_row(self, row: MetricsRow) -> None:
        if row.split != "train":
            # if every step is followed by an evaluation, only steps right after an evaluation can be timed
            self._last = time.monotonic() if math.isnan(self._seconds_per_step) else None

    def describe(self, steps_left: int) -> str:
        """Return text like "1818 images/s, 0:05 left", or "? left" if no step has been timed yet."""
        rate = self._batch_size / self._seconds_per_step if self._seconds_per_step else math.nan
        left = f"{_duration(steps_left * self._seconds_per_step)} left"
        return left if math.isnan(rate) else f"{rate:.0f} images/s, {left}"


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
