"""Verbs and flags of earlier versions are answered with their new names, and nothing is done."""

from pathlib import Path

import pytest

from reslab.cli.main import app, run
from reslab.cli.renamed import RENAMED_FLAGS, RENAMED_VERBS

_FLAGS = [(verb, flag, answer) for verb, flags in RENAMED_FLAGS.items() for flag, answer in flags.items()]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert not list(Path.cwd().iterdir())
    return printed.err


@pytest.mark.parametrize(("old", "new"), RENAMED_VERBS.items())
def test_a_renamed_verb_is_answered_with_the_new_command(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new in app
    assert old not in app
    answer = _answer(capsys, old, "depth", "--size", "small")
    assert answer == f"reslab: 'reslab {old}' is now 'reslab {new}'; use: reslab {new} depth --size small\n"


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (["folder", "--data", "my photos", "--epochs", "3"], "reslab train-folder --data 'my photos' --epochs 3"),
        (["folder"], "reslab train-folder DATA"),
        (["--seed", "1", "folder"], "reslab train-folder DATA"),
    ],
)
def test_training_on_a_folder_is_a_verb_of_its_own(
    words: list[str], new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"use: {new}\n" in _answer(capsys, "train", *words)


@pytest.mark.parametrize(("verb", "flag", "answer"), _FLAGS)
def test_a_renamed_flag_is_answered_with_what_to_write_instead(
    verb: str, flag: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not any(flag in argument.names for argument in app[verb].assemble_argument_collection())
    for words in ([flag, "crop"], [f"{flag}=crop"]):
        assert _answer(capsys, verb, "something", *words) == f"reslab: 'reslab {verb}' has no {flag}: {answer}\n"


def test_a_setting_that_begins_like_a_renamed_flag_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert "model.shortcut is 'D'" in _answer(capsys, "train", "digits-resnet20", "--model.shortcut", "D")
