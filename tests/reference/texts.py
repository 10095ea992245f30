"""Two texts compared by their numbers, or by every word."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

from tests.reference.comparison import Comparison
from tests.reference.renamed import CLOCK_TEXT, Renames

_NUMBER = re.compile(r"(?:(?<=[\s(\[])[-+−])?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")


def read_text(path: Path) -> str:
    """Return a file's text, in which the two sides' own folders have one name."""
    return re.sub(r"(/[^\s\"':]*)/(?:reference|current)/", r"\1/SIDE/", path.read_text(encoding="utf-8"))


def numbers_in(text: str) -> list[str]:
    """Return the numbers in a text, in order, without those of the clock."""
    return _NUMBER.findall(_without_clock(text))


def _without_clock(text: str) -> str:
    for pattern in CLOCK_TEXT:
        text = re.sub(pattern, " ", text)
    return text


def reword(text: str, renames: Renames) -> str:
    """Return a text with what both sides are known to say otherwise replaced."""
    for pattern, replacement, _ in renames.reworded:
        text = re.sub(pattern, replacement, text)
    return text


def compare_text(old: str, new: str, file: str, renames: Renames) -> Comparison:
    """Compare the numbers of two texts, in order; all words where nothing has been renamed."""
    old, new = _without_clock(reword(old, renames)), _without_clock(reword(new, renames))
    token = re.compile(r"\S+") if renames.strict else _NUMBER
    ours, theirs = list(token.finditer(old)), list(token.finditer(new))
    words = [match[0] for match in ours], [match[0] for match in theirs]
    differences = []
    if words[0] != words[1]:
        for kind, a, b, c, d in SequenceMatcher(None, *words, autojunk=False).get_opcodes():
            if kind != "equal":
                differences.append(f"reference {_around(old, ours, a, b)}, current {_around(new, theirs, c, d)}")
    return Comparison(file, len(ours), tuple(differences))


def _around(text: str, matches: Sequence[re.Match[str]], start: int, end: int) -> str:
    """The tokens that differ, with what stands around them."""
    values = " ".join(match[0] for match in matches[start:end][:8]) or "nothing"
    first = matches[min(start, len(matches) - 1)].start() if matches else 0
    last = matches[end - 1].end() if end > start else first
    context = " ".join(text[max(0, first - 40) : last + 20][:120].split())
    return f"{values} in '...{context}...'"


def compare_printed(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    return compare_text(read_text(old), read_text(new), name, renames)
