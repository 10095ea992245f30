"""How far a training is: a live view on a terminal, plain lines elsewhere. Both only look on."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from torch import Tensor

_SMOOTHING = 0.95


class MetricsRow(Protocol):
    """A row of a run's metrics: of a window of training, or of an evaluation."""

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
    """A window of training, which had a learning rate."""

    @property
    def lr(self) -> float: ...


class _Rate:
    """How long a step takes, from the first step seen on, with the newest steps counting most.

    Of the time of a step are not: what is done before the first one (reading data, measuring the engine), which only
    sets the clock, and evaluations with what follows them up to the next step.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._last: float | None = None
        self._seconds_per_step = math.nan

    def step(self) -> None:
        now = time.monotonic()
        if self._last is not None:
            taken, old = now - self._last, self._seconds_per_step
            self._seconds_per_step = taken if math.isnan(old) else _SMOOTHING * old + (1 - _SMOOTHING) * taken
        self._last = now

    def row(self, row: MetricsRow) -> None:
        if row.split != "train":
            # with an evaluation after every step, what follows it is all there is to go by
            self._last = time.monotonic() if math.isnan(self._seconds_per_step) else None

    def in_words(self, steps_left: int) -> str:
        """Return "1818 images/s, 0:05 left"; "? left" where no whole step was seen."""
        rate = self._batch_size / self._seconds_per_step if self._seconds_per_step else math.nan
        left = f"{_duration(steps_left * self._seconds_per_step)} left"
        return left if math.isnan(rate) else f"{rate:.0f} images/s, {left}"


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class PlainProgress:
    """One line per logged row, for pipes and log files."""

    def __init__(self, name: str, iterations: int, batch_size: int) -> None:
        self._name, self._iterations = name, iterations
        self._rate = _Rate(batch_size)

    def on_step(self, step: int, loss: "Tensor") -> None:
        self._rate.step()

    def on_row(self, row: MetricsRow) -> None:
        self._rate.row(row)
        loss = "not finite" if row.loss is None else f"{row.loss:.4f}"
        line = f"{self._name} {row.step}/{self._iterations} {row.split}: loss {loss}, error {row.error:.2f} %"
        if isinstance(row, _WithRate):
            line += f", lr {row.lr:g}, {self._rate.in_words(self._iterations - row.step)}"
        print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *_: object) -> None: ...


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields.get("figures", ""), style="cyan")


class LiveProgress:
    """A bar with time left, images per second, and the newest loss and errors."""

    def __init__(self, name: str, iterations: int, batch_size: int, console: Console) -> None:
        self._iterations, self._rate = iterations, _Rate(batch_size)
        self._errors: dict[str, str] = {}
        columns = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
        ]
        self._progress = Progress(*columns, _Figures(), console=console)  # rich's own time left counts evaluations
        self._task = self._progress.add_task(name, total=iterations, figures="")

    def on_step(self, step: int, loss: "Tensor") -> None:
        self._rate.step()
        figures = " · ".join([self._rate.in_words(self._iterations - step), *self._errors.values()])
        self._progress.update(self._task, completed=step, figures=figures)

    def on_row(self, row: MetricsRow) -> None:
        self._rate.row(row)
        if row.split == "train":
            self._errors["loss"] = f"loss {row.loss:.3f}"
        self._errors[row.split] = f"{row.split} error {row.error:.2f} %"

    def __enter__(self) -> "LiveProgress":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def make_progress(name: str, iterations: int, batch_size: int) -> PlainProgress | LiveProgress:
    """Return the live view when standard error is a terminal, plain lines otherwise. Use it as a context manager."""
    console = Console(stderr=True)
    if console.is_terminal:
        return LiveProgress(name, iterations, batch_size, console)
    return PlainProgress(name, iterations, batch_size)


class PlainCount:
    """A line now and then while many things are done, for pipes and log files. total: None where it is not known."""

    def __init__(self, name: str, total: int | None, every_seconds: float = 15.0) -> None:
        self._name, self._total, self._every = name, total, every_seconds
        self._done, self._start = 0, time.monotonic()
        self._last = self._start

    def on_one(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            print(f"{self._name}: {self._done}{self._rest(now - self._start)}", file=sys.stderr, flush=True)

    def _rest(self, seconds: float) -> str:
        if self._total is None:
            return f", {self._done / seconds:.0f} a second"
        left = _duration(seconds * (self._total - self._done) / self._done)
        return f" of {self._total}, {left} left"

    def __enter__(self) -> "PlainCount":
        return self

    def __exit__(self, *_: object) -> None: ...


class LiveCount:
    """A bar with the time left, on a terminal. total: None where it is not known."""

    def __init__(self, name: str, total: int | None, console: Console) -> None:
        columns = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}" if total is None else "{task.completed}/{task.total}"),
        ]
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._task = self._progress.add_task(name, total=total)

    def on_one(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)

    def __enter__(self) -> "LiveCount":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def make_count(name: str, total: int | None) -> PlainCount | LiveCount:
    """Return a bar when standard error is a terminal, plain lines otherwise. Use it as a context manager."""
    console = Console(stderr=True)
    return LiveCount(name, total, console) if console.is_terminal else PlainCount(name, total)


@contextmanager
def counting(name: str, total: int) -> Iterator[Callable[..., None]]:
    """Show how far something is that says how many are done in all: a function of (done) or (done, total)."""
    told = 0
    with make_count(name, total) as count:

        def on_progress(done: int, _total: int = 0) -> None:
            nonlocal told
            for _ in range(told, done):
                count.on_one()
            told = done

        yield on_progress
