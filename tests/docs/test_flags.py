"""The library names settings and arguments in its errors; only the commands know command-line flags."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import reslab

_ROOT = Path(reslab.__file__).parent
_FLAG = re.compile(r"(?<![\w-])--[a-z]")
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
ALLOWED = {
    "experiments/chapters.py": "a page shows the command that repeats an experiment",
    "experiments/record_store.py": "experiments are run by a command, which repairs their evidence",
    "experiments/runner.py": "starts 'reslab train' for each run",
    "recipes/deviations.py": "pages and 'reslab recipes show' name the flag of each other reading of the paper",
    "report/run_page.py": "a page shows the command that repeats a run",
    "system/environment.py": "git's flags",
}


def _strings(source: str) -> Iterator[str]:
    """Yield the strings of a module without its docstrings."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, _DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _names_flags(source: str) -> bool:
    return any(_FLAG.search(text) for text in _strings(source))


def test_a_flag_in_a_string_is_seen_and_one_in_a_docstring_or_a_word_is_not() -> None:
    assert _names_flags('raise ValueError(f"{x}: set --jobs")')
    assert not _names_flags('def f():\n    """Like --jobs."""\n    return "a--b, -- c, ---"')


def test_no_error_of_the_library_names_a_flag_of_the_command() -> None:
    modules = {path.relative_to(_ROOT).as_posix(): path for path in _ROOT.rglob("*.py")}
    naming = {name for name, path in modules.items() if _names_flags(path.read_text(encoding="utf-8"))}
    assert {name for name in naming if not name.startswith("cli/")} == set(ALLOWED)
