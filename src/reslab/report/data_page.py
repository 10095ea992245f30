"""The findings of `reslab data check` as a page, with pictures of what is wrong."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from reslab.analysis import enlarged, picture_of, thumbnail_uri
from reslab.data.checks.findings import KINDS, Finding, readable
from reslab.data.images.decode import decode
from reslab.data.sources.inventory import Inventory
from reslab.errors import RunError, counted

from .html import write_page

_PICTURES = 12  # of each kind of finding
_FINDINGS = 500  # of each kind, in words
_SIDE = 160


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on the page: a data URI, and the image's name."""

    uri: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingKind:
    """The findings of one kind.

    Attributes:
        name: What the kind is called.
        severity: "error" or "warning".
        meaning: What it means for a training.
        count: How many findings.
        texts: What each says; at most 500.
        pictures: The first dozen images that can be decoded.
    """

    name: str
    severity: str
    meaning: str
    count: int
    texts: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How many images of a class each split has."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPage:
    """What `data.html` shows.

    Attributes:
        title: The folder's name.
        verdict: The sentence at the top.
        kinds: What is wrong.
        splits: The splits, in the order of the counts.
        classes: The images of each class.
        totals: The images of each split.
        command: What writes the page again.
    """

    title: str
    verdict: str
    kinds: tuple[FindingKind, ...]
    splits: tuple[str, ...]
    classes: tuple[ClassCounts, ...]
    totals: tuple[int, ...]
    command: str


def write_data_report(inventory: Inventory, findings: list[Finding], path: Path, *, command: str) -> Path:
    """Write a page about a folder of images. Images that cannot be decoded are named, the others are shown.

    Args:
        inventory: The images.
        findings: From `reslab.data.checks.all_checks.check_images`.
        path: The file to write.
        command: What writes the page again.

    Returns:
        The path.
    """
    counts = {split: Counter(item.label for item in inventory.of_split(split)) for split in inventory.classes}
    names = sorted({name for split in inventory.classes.values() for name in split})
    errors = sum(finding.severity == "error" for finding in findings)
    page = DataPage(
        title=readable(inventory.root.name or inventory.root),
        verdict=_verdict(len(inventory.items), len(names), errors, len(findings) - errors),
        kinds=tuple(
            _kind(kind, findings, inventory.root) for kind in dict.fromkeys(finding.kind for finding in findings)
        ),
        splits=tuple(inventory.classes),
        classes=tuple(
            ClassCounts(readable(name), tuple(counts[split][name] for split in inventory.classes)) for name in names
        ),
        totals=tuple(counts[split].total() for split in inventory.classes),
        command=readable(command),
    )
    return write_page("data.html", path, page, is_interactive=True)


def _verdict(images: int, classes: int, errors: int, warnings: int) -> str:
    found = f"{counted(images, 'image')} in {counted(classes, 'class')}: "
    if not errors and not warnings:
        return f"{found}nothing is wrong."
    return (
        f"{found}{counted(errors, 'error')} and {counted(warnings, 'warning')}. Errors make results wrong or stop a "
        "training; warnings are worth a look."
    )


def _kind(kind: str, findings: list[Finding], root: Path) -> FindingKind:
    severity, meaning = KINDS[kind]
    same = [finding for finding in findings if finding.kind == kind]
    paths = [path for finding in same for path in finding.paths]
    pictures: list[Picture] = []
    for path in paths:
        if len(pictures) == _PICTURES:
            break
        if uri := _picture(path):
            name = path.relative_to(root) if path.is_relative_to(root) else path
            pictures.append(Picture(uri, readable(name)))
    return FindingKind(
        name=kind,
        severity=severity,
        meaning=meaning,
        count=len(same),
        texts=tuple(readable(finding.text) for finding in same[:_FINDINGS]),
        pictures=tuple(pictures),
    )


def _picture(path: Path) -> str | None:
    """Return a data URI of an image; None for what is not an image, or cannot be decoded."""
    if not path.is_file():
        return None
    try:
        return thumbnail_uri(enlarged(picture_of(decode(path, 3)), _SIDE), _SIDE)
    except RunError:
        return None
