"""Flags that take a whole number take nothing else."""

from collections.abc import Iterator

import pytest
from cyclopts import App

from reslab.cli.main import app, run

_NEEDED = {"predict": ["a.safetensors"], "evaluate": ["a"], "convert": ["a.pth", "--output", "b.safetensors"]}


def _verbs(of: App) -> Iterator[App]:
    for name in of:
        if not name.startswith("-"):
            verb = of[name]
            if verb.default_command is not None:
                yield verb
            yield from _verbs(verb)


def _flags() -> list[list[str]]:
    """Every verb with what it needs, and a flag of it whose hint is int, as arguments without the number."""
    return [
        [*verb.name, *_NEEDED.get(verb.name[0], []), argument.name]
        for verb in _verbs(app)
        for argument in verb.assemble_argument_collection()
        if argument.hint in (int, int | None)
    ]


def test_the_flags_that_take_numbers_are_found() -> None:
    assert ["reproduce", "--seeds"] in _flags()
    assert ["train-folder", "--epochs"] in _flags()


@pytest.mark.parametrize("flag", _flags(), ids=" ".join)
@pytest.mark.parametrize("text", ["1.5", "0.5", "1e2", "many"])
def test_what_is_no_whole_number_is_refused(flag: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*flag, text]) == 2
    assert f"Invalid value for {flag[-1]}: '{text}' is not a whole number." in capsys.readouterr().err
