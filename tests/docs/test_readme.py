"""What the README says can be done, can be done."""

import re
import shlex
from pathlib import Path

import pytest

from reslab.cli.config_args import parse_overrides
from reslab.cli.main import app
from reslab.config import override
from reslab.recipes import RECIPES, recipe

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _commands() -> list[str]:
    found: set[str] = set()
    for page in PAGES:
        for block in re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(), re.S):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.split("#")[0].strip()
                if command.startswith(("reslab ", "torchrun ")):
                    found.add(command)
    return sorted(found)


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(code[1].replace('"iterations": 510', '"iterations": 3'), {})
    said = capsys.readouterr().out
    assert "total=359" in said
    assert "ResNet-20 (option A)" in said


@pytest.mark.parametrize("command", _commands())
def test_every_command_shown_is_understood(command: str, tmp_path: Path) -> None:
    words = shlex.split(command.partition("reslab ")[2])
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    if words[0] in ("train", "train-folder") and "overrides" in bound.arguments:
        name = bound.arguments.get("recipe", "folder")
        override(
            recipe(name if name in RECIPES else "digits-resnet20"),
            parse_overrides(bound.arguments["overrides"]),
            {"weights": bound.arguments.get("weights")},
        )


def test_there_are_commands_to_check() -> None:
    assert len(_commands()) > 15
