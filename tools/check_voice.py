"""Check how the project writes: banned words, docstrings, commit subjects.

    python tools/check_voice.py                  check source, pages and the commits since the voice was agreed on
    python tools/check_voice.py --message FILE   check a commit message before it is written

voice.toml holds the banned words. Each finding is printed as file:line; exit code 1 when there is one.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
RULES = Path(__file__).with_name("voice.toml")
# the newest commit from before the voice was agreed on
BASE = "ebf7f61b39db7501b05b67d23df0203c4b340d8d"
MAX_SUBJECT, MAX_SUMMARY = 72, 25
PYTHON = ("src/**/*.py", "tools/**/*.py", "benchmarks/**/*.py")
TEXT = ("*.md", "docs/**/*.md", "src/**/*.html", "src/**/*.js", "Makefile")
EXCEPT = "docs/examples/"  # pages that the package wrote
# a subject that begins like this states something instead of naming what the commit does
_STATEMENT = re.compile(r"(an?|the|one|two|no|this|that|these|what|there|it|every|each|all|only)\b", re.I)
_NOT_IMPERATIVE = re.compile(r"(?!(embed|feed|seed|shed|speed|bring|string)$)\w+(ed|ing|[^su]s)$", re.I)

_SECTION = r"(?m)^(?:Args|Attributes|Returns|Yields|Raises):$"
# an error that opens a clause ("RunError names the file"), not one in passing ("make a RunError of it")
_RAISES = re.compile(r"(?:^|\n\s*|[.;:] |\bRaises? )(?:an? )?(\w+Error|Interrupted)\b")


@dataclass(frozen=True)
class Rule:
    """Banned words.

    Attributes:
        words: Matches what is banned.
        unless: Matches longer phrases in which the words are right.
        instead: What to write.
    """

    words: re.Pattern[str]
    unless: tuple[re.Pattern[str], ...]
    instead: str

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the banned words in a text, except those inside of a right phrase."""
        right = [match.span() for pattern in self.unless for match in pattern.finditer(text)]
        for match in self.words.finditer(text):
            if not any(start <= match.start() and match.end() <= end for start, end in right):
                yield match


class Passage(NamedTuple):
    """Text that people read, with the number of its first line; `lines` are those of the file for code."""

    text: str
    line: int
    lines: Sequence[str] = ()


def read_rules(path: Path = RULES) -> list[Rule]:
    """Read the banned words."""
    rules = tomllib.loads(path.read_text(encoding="utf-8"))["rule"]
    return [
        Rule(_pattern(rule["words"]), tuple(map(_pattern, rule.get("unless", ()))), rule["instead"]) for rule in rules
    ]


def _pattern(words: str) -> re.Pattern[str]:
    gap = r"(?:\\s|#|<[^>]*>)+"  # words may be parted by a line end, a comment's sign or a tag
    return re.compile(rf"(?<![\w-])(?:{re.sub(' ', gap, words)})(?![\w-])", re.I)


def word_findings(path: Path, rules: Sequence[Rule]) -> Iterator[str]:
    """Yield `line: finding` for each banned word in a file."""
    text = path.read_text(encoding="utf-8")
    passages = python_passages(text) if path.suffix == ".py" else [Passage(text, 1)]
    for passage in passages:
        for rule in rules:
            for match in rule.matches(passage.text):
                yield f"{_line(passage, match)}: {' '.join(match[0].split())!r}; write: {rule.instead}"


def _line(passage: Passage, match: re.Match[str]) -> int:
    """Return the line of a match; a string of several pieces is searched for the match's first word."""
    counted = passage.line + passage.text.count("\n", 0, match.start())
    first = match[0].split()[0]
    here = (number for number, line in enumerate(passage.lines, passage.line) if number >= counted and first in line)
    return next(here, counted)


def python_passages(source: str) -> Iterator[Passage]:
    """Yield the strings and the comments of a module; comments on consecutive lines are one text."""
    lines = source.splitlines()
    for node, text in _strings(ast.parse(source)):
        yield Passage(text, node.lineno, lines[node.lineno - 1 : node.end_lineno])
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    starts = [index for index, (line, _) in enumerate(comments) if not index or comments[index - 1][0] != line - 1]
    for start, end in pairwise([*starts, len(comments)]):
        yield Passage("\n".join(text for _, text in comments[start:end]), comments[start][0])


def _strings(node: ast.AST) -> Iterator[tuple[ast.Constant | ast.JoinedStr, str]]:
    match node:
        case ast.JoinedStr(values=values):
            yield node, "".join(value.value if isinstance(value, ast.Constant) else "{}" for value in values)  # type: ignore[misc]
            inside = [value for value in values if not isinstance(value, ast.Constant)]
        case ast.Constant(value=str(text)):
            yield node, text
            inside = []
        case _:
            inside = ast.iter_child_nodes(node)
    for child in inside:
        yield from _strings(child)


def summary_findings(path: Path) -> Iterator[str]:
    """Yield `line: finding` for each public object whose docstring begins with a long summary."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    named = [] if path.stem.startswith("_") and path.stem != "__init__" else [("the module", module)]
    for name, node in (*named, *_public(module)):
        summary = (ast.get_docstring(node) or "").split("\n\n")[0]
        if (words := len(summary.split())) > MAX_SUMMARY:
            line = node.lineno if not isinstance(node, ast.Module) else 1
            yield f"{line}: the summary of {name} has {words} words; {MAX_SUMMARY} are allowed"


def section_findings(path: Path) -> Iterator[str]:
    """Yield `line: finding` for each docstring that describes arguments, fields or errors outside of their section."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            prose = re.split(_SECTION, ast.get_docstring(node) or "", maxsplit=1)[0]
            for name in _arguments(node):
                if re.search(rf"(?:^|\n\s*|[.;] )`?{name}`?: ", prose):
                    section = "Attributes" if isinstance(node, ast.ClassDef) else "Args"
                    yield f"{node.lineno}: {node.name} describes {name!r} in its prose; write a section {section}"
            if match := _RAISES.search(prose):
                yield f"{node.lineno}: {node.name} names {match[1]} in its prose; write a section Raises"


def _arguments(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the parameters of a function, or the fields of a class and the parameters of its __init__."""
    if not isinstance(node, ast.ClassDef):
        return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    names = [
        line.target.id for line in node.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    ]
    inits = [line for line in node.body if isinstance(line, ast.FunctionDef) and line.name == "__init__"]
    return [*names, *(name for init in inits for name in _arguments(init))]


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[tuple[str, _Documented]]:
    for node in parent.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", method) for name, method in _public(node))


def message_findings(subject: str) -> Iterator[str]:
    """Yield what is wrong with the subject of a commit that is not written yet."""
    yield from length_findings(subject)
    first = re.sub(r"^[\w ,./*-]+: ", "", subject).partition(" ")[0].strip(",;")
    if _STATEMENT.match(first) or _NOT_IMPERATIVE.match(first):
        yield f"{first!r} is not an imperative; write what the commit does: 'add', 'keep', 'split'"


def length_findings(subject: str) -> Iterator[str]:
    """Yield what is wrong with the length and the end of a commit's subject."""
    if len(subject) > MAX_SUBJECT:
        yield f"the subject has {len(subject)} characters; {MAX_SUBJECT} are allowed"
    if subject.endswith("."):
        yield "the subject ends with a full stop"


def commits(root: Path, base: str = BASE) -> list[tuple[str, str]]:
    """Return hash and subject of the commits after a base, or of all there are in a shallow clone; [] without git."""
    if _git(root, "rev-parse", "--show-toplevel") != str(root.resolve()):
        return []
    known = _git(root, "rev-parse", "--verify", "-q", f"{base}^{{commit}}")
    log = _git(root, "log", "--no-merges", "--format=%h%x09%s", f"{base}..HEAD" if known else "HEAD") or ""
    return [(commit, subject) for commit, _, subject in (line.partition("\t") for line in log.splitlines())]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _files(root: Path, patterns: Iterable[str]) -> list[Path]:
    paths = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(path for path in paths if not path.relative_to(root).as_posix().startswith(EXCEPT))


def findings(root: Path = ROOT) -> Iterator[str]:
    """Yield every finding in a checkout."""
    rules, python = read_rules(), _files(root, PYTHON)
    for path in (*python, *_files(root, TEXT)):
        yield from (f"{path.relative_to(root)}:{finding}" for finding in word_findings(path, rules))
    for path in python:
        for finding in (*summary_findings(path), *section_findings(path)):
            yield f"{path.relative_to(root)}:{finding}"
    for commit, subject in commits(root):
        yield from (f"commit {commit}: {finding}" for finding in length_findings(subject))


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Print the findings; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--message", type=Path, help="check only this commit message")
    options = parser.parse_args(arguments)
    if options.message:
        found = list(message_findings(options.message.read_text(encoding="utf-8").partition("\n")[0]))
    else:
        found = list(findings(root))
    for finding in found:
        print(finding)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
