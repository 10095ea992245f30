"""Checks of decoded files: unusable, unusual and identical ones."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from reslab.data.sources.inventory import Item
from reslab.errors import first_few

from .file_facts import FileFacts
from .findings import Finding

TINY = 16  # pixels of the shorter side
ELONGATED = 5  # times as long as wide
OUTLIER = 8  # times larger or smaller than the median of the shorter sides
RARE = 0.05  # of all images, at most, for a format or mode to be odd

_FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG", "MPO")),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), ("PPM",)),
    **dict.fromkeys((".bmp", ".dib"), ("BMP", "DIB")),
    ".png": ("PNG",), ".webp": ("WEBP",), ".tif": ("TIFF",), ".tiff": ("TIFF",), ".gif": ("GIF",), ".npy": ("NPY",),
}  # fmt: skip

Inspected = Sequence[tuple[Item, FileFacts]]


def find_bad(inspected: Inspected) -> list[Finding]:
    """List the files that cannot be used.

    Args:
        inspected: Every file of the set with its facts.

    Returns:
        One finding for each file.
    """
    return [
        Finding(facts.problem[0], f"{item.path}: {facts.problem[1]}.", (item.path,))
        for item, facts in inspected
        if facts.problem is not None
    ]


def find_odd(inspected: Inspected) -> list[Finding]:
    """List usable files that differ from the others or from their name.

    Args:
        inspected: Every file of the set with its facts.

    Returns:
        One finding for each file and kind of difference.
    """
    usable = [facts for _, facts in inspected if facts.problem is None]
    if not usable:
        return []
    median = statistics.median(min(facts.size) for facts in usable)
    modes, formats = (Counter(getattr(facts, name) for facts in usable) for name in ("mode", "format"))
    usual_mode, usual_format = modes.most_common(1)[0][0], formats.most_common(1)[0][0]
    checks: tuple[tuple[str, Callable[[Item, FileFacts], str | None]], ...] = (
        ("damaged-part", lambda _, facts: facts.complaint),
        ("wrong-extension", _misnamed),
        ("odd-format", lambda _, facts: _rare(facts.format, formats, usual_format)),
        ("odd-mode", lambda _, facts: _rare(facts.mode, modes, usual_mode)),
        ("sixteen-bit", lambda _, facts: facts.mode if facts.mode.startswith("I;16") else None),
        ("transparent", lambda _, facts: "parts of it are transparent" if facts.is_transparent else None),
        ("animated", lambda _, facts: f"{facts.num_frames} frames" if facts.num_frames > 1 else None),
        ("tiny", lambda _, facts: _pixels(facts) if min(facts.size) < TINY else None),
        ("elongated", lambda _, facts: _pixels(facts) if max(facts.size) > ELONGATED * min(facts.size) else None),
        ("odd-size", lambda _, facts: _outlier(facts, median)),
        ("blank", lambda _, facts: "a single colour" if facts.is_blank else None),
    )
    return [
        Finding(kind, f"{item.path}: {text}.", (item.path,))
        for kind, check in checks
        for item, facts in inspected
        if facts.problem is None and (text := check(item, facts))
    ]


def _misnamed(item: Item, facts: FileFacts) -> str | None:
    matches = facts.format in _FORMATS.get(item.path.suffix.lower(), ())
    return None if matches else f"is {facts.format} by its content"


def _rare(value: str, counts: Counter[str], usual: str) -> str | None:
    is_rare = value != usual and counts[value] <= RARE * counts.total()
    return f"{value}, where {counts[usual]} of {counts.total()} are {usual}" if is_rare else None


def _pixels(facts: FileFacts) -> str:
    return f"{facts.size[0]}x{facts.size[1]} pixels"


def _outlier(facts: FileFacts, median: float) -> str | None:
    side = min(facts.size)
    is_usual = median / OUTLIER <= side <= median * OUTLIER
    return None if is_usual else f"{_pixels(facts)}, where the shorter side's median is {median:g}"


def find_identical(inspected: Inspected) -> list[Finding]:
    """List groups of files with the same bytes: in several splits, under several classes, or only repeated.

    Args:
        inspected: Every file of the set with its facts.

    Returns:
        One or two findings for each group.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item, facts in inspected:
        if facts.problem is None:
            groups[facts.digest].append(item)
    return [finding for items in groups.values() if len(items) > 1 for finding in _identical(items)]


def _identical(items: list[Item]) -> list[Finding]:
    paths = tuple(item.path for item in items)
    names = ", ".join(map(str, paths))
    splits, labels = list(dict.fromkeys(item.split for item in items)), sorted({item.label for item in items})
    findings = []
    if len(splits) > 1:
        findings.append(Finding("leakage", f"in {' and '.join(splits)}: {names}.", paths))
    if len(labels) > 1:
        findings.append(Finding("contradiction", f"{first_few(map(repr, labels))}: {names}.", paths))
    if len(splits) < len(items) and len(labels) == 1 and len(splits) == 1:
        findings.append(Finding("duplicate", f"{len(items)} times: {names}.", paths))
    return findings
