"""How far something is, on a terminal and in a pipe."""

import io
import re

import pytest
from rich.console import Console

from reslab.progress import LiveCount, PlainCount, PlainProgress, make_count


def test_a_count_in_a_pipe_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainCount("reading", 4, every_seconds=0.0) as count:
        for _ in range(4):
            count.on_one()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"reading: {number} of 4" for number in (1, 2, 3, 4)]
    assert lines[-1].endswith(", 0:00 left")
    with PlainCount("reading", 4) as count:
        count.on_one()
    assert capsys.readouterr().err == ""


def test_a_count_on_a_terminal_is_a_bar() -> None:
    screen = io.StringIO()
    with LiveCount("reading", 4, Console(file=screen, force_terminal=True)) as count:
        for _ in range(4):
            count.on_one()
    assert "4/4" in screen.getvalue()


def test_without_a_terminal_the_count_is_plain() -> None:
    assert isinstance(make_count("reading", 4), PlainCount)


@pytest.mark.parametrize(
    ("total", "said"), [(4, r"reading: 1 of 4, \d+:\d\d left\n"), (None, r"reading: 1, \d+ a second\n")]
)
def test_a_count_says_how_far_it_is_and_what_is_known_of_the_rest(
    total: int | None, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 16.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    PlainCount("reading", total).on_one()
    monkeypatch.undo()
    assert re.fullmatch(said, capsys.readouterr().err)


def test_an_evaluation_loss_that_is_not_finite_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    PlainProgress("run", 10, 128).on_row({"step": 5, "split": "validation", "loss": None, "error": 90.0})
    assert capsys.readouterr().err == "run 5/10 validation: loss not finite, error 90.00 %\n"
