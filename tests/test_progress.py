"""Counts on standard error, with and without a known total."""

import re

import pytest

from reslab.progress import PlainCount


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
