"""What the documentation names exists: files of this project, and modules and functions of the package."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HISTORY = {"CHANGELOG.md", "lab-notes.md"}  # of days when other names held


def _quoted(pattern: str) -> list[str]:
    texts = (page.read_text(encoding="utf-8") for page in PAGES if page.name not in HISTORY)
    return sorted({name for text in texts for name in re.findall(rf"`({pattern})`", text)})


@pytest.mark.parametrize("path", _quoted(r"(?:src|tests|tools|benchmarks|docs)/[\w./-]+"))
def test_every_file_that_the_documentation_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", _quoted(r"reslab(?:\.\w+)+"))
def test_every_name_of_the_package_in_the_documentation_exists(name: str) -> None:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if error.name != ".".join(parts[:count]):
                raise  # the module exists, and what it imports is not installed
            continue
        reduce(getattr, parts[count:], module)
        return


def test_there_are_names_to_check() -> None:
    assert len(_quoted(r"reslab(?:\.\w+)+")) > 20
