"""How far something is, on a terminal and in a pipe."""

import io
import re

import pytest
import torch
from rich.console import Console

from reslab.artifacts.metrics_log import EvaluationRow, TrainRow
from reslab.system.progress import Count, TrainProgress, counting


def test_a_count_in_a_pipe_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Count("reading", 4, every_seconds=0.0) as count:
        for _ in range(4):
            count.advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"reading: {number} of 4" for number in (1, 2, 3, 4)]
    assert lines[-1].endswith(", 0:00 left")
    with Count("reading", 4) as count:
        count.advance()
    assert capsys.readouterr().err == ""


def test_a_count_on_a_terminal_is_a_bar() -> None:
    screen = io.StringIO()
    with Count("reading", 4, console=Console(file=screen, force_terminal=True)) as count:
        for _ in range(4):
            count.advance()
    assert "4/4" in screen.getvalue()


def test_a_count_that_is_not_live_is_lines_on_a_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True)
    with Count("reading", 4, is_live=False, every_seconds=0.0, console=terminal) as count:
        count.advance()
    assert screen.getvalue() == ""
    assert capsys.readouterr().err.startswith("reading: 1 of 4, ")


def test_a_job_that_reports_all_that_is_done_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    monkeypatch.setattr(Count, "advance", lambda self, number: added.append(number))
    with counting("images", 10) as on_progress:
        for done in (4, 4, 10):
            on_progress(done, 10)
    assert added == [4, 6]


@pytest.mark.parametrize(
    ("total", "said"), [(4, r"reading: 1 of 4, \d+:\d\d left\n"), (None, r"reading: 1, \d+ a second\n")]
)
def test_a_count_says_how_far_it_is_and_what_is_known_of_the_rest(
    total: int | None, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 16.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    Count("reading", total).advance()
    monkeypatch.undo()
    assert re.fullmatch(said, capsys.readouterr().err)


def test_an_evaluation_loss_that_is_not_finite_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    TrainProgress("run", 10, 128).on_row(_evaluated(5, loss=None, correct=1))
    assert capsys.readouterr().err == "run 5/10 validation: loss not finite, error 90.00 %\n"


class _Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("reslab.system.progress.time.monotonic", lambda: self.now)


def _train_row(step: int) -> TrainRow:
    return TrainRow(step=step, loss=1.0, error=50.0, lr=0.1)


def _evaluated(step: int, loss: float | None = 1.0, correct: int = 5) -> EvaluationRow:
    return EvaluationRow(
        step=step, split="validation", correct=correct, total=10, loss=loss, error=10.0 * (10 - correct)
    )


def _make(kind: str, screen: io.StringIO) -> TrainProgress:
    # 640 steps of 64 images in all
    if kind == "plain":
        return TrainProgress("run", 640, 64)
    return TrainProgress("run", 640, 64, Console(file=screen, force_terminal=True, width=120))


@pytest.mark.parametrize("kind", ["plain", "live"])
def test_rate_and_time_left_are_those_of_steps_alone(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, screen = _Clock(monkeypatch), io.StringIO()
    progress = _make(kind, screen)
    clock.now += 3.0  # data is read, the engine is measured
    with progress:
        for step in range(1, 21):
            clock.now += 0.05
            progress.on_step(step, torch.zeros(()))
            if step == 10:
                clock.now += 7.0
                progress.on_row(_evaluated(step))
                clock.now += 2.0  # a checkpoint
        progress.on_row(_train_row(20))
    said = capsys.readouterr().err if kind == "plain" else screen.getvalue()
    assert "1280 images/s, 0:31 left" in said


def test_before_a_whole_step_was_seen_no_rate_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(monkeypatch)
    progress = TrainProgress("run", 640, 64)
    clock.now += 3.0
    progress.on_step(1, torch.zeros(()))
    progress.on_row(_train_row(1))
    assert capsys.readouterr().err.endswith("lr 0.1, ? left\n")


def test_with_an_evaluation_after_every_step_there_is_a_rate_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(monkeypatch)
    progress = TrainProgress("run", 640, 64)
    for step in (1, 2, 3):
        clock.now += 0.05
        progress.on_step(step, torch.zeros(()))
        progress.on_row(_train_row(step))
        clock.now += 7.0
        progress.on_row(_evaluated(step))
    assert "3/640 train: loss 1.0000, error 50.00 %, lr 0.1, 1280 images/s, 0:32 left" in capsys.readouterr().err
