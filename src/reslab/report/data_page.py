"""What `reslab data check` found, as a page with pictures of what is wrong."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from reslab.analysis import enlarged, picture_of, thumbnail_uri
from reslab.data.checks.findings import KINDS, Finding
from reslab.data.images.decode import decode
from reslab.data.sources.inventory import Inventory
from reslab.errors import RunError

from .html import write_page

_PICTURES = 12  # of each kind of finding
_FINDINGS = 500  # of each kind, in words
_SIDE = 160


def write_data_report(inventory: Inventory, findings: list[Finding], path: Path, *, command: str) -> Path:
    """Write a page about a folder of images and return its path.

    findings: from `reslab.data.checks.all_checks.check_images`; command: what writes the page again. Images that cannot
    be decoded are named, those that can are shown.
    """
    counts = {split: Counter(item.label for item in inventory.of_split(split)) for split in inventory.classes}
    names = sorted({name for split in inventory.classes.values() for name in split})
    errors = sum(finding.severity == "error" for finding in findings)
    return write_page(
        "data.html",
        path,
        is_interactive=True,
        title=_text(inventory.root.name or inventory.root),
        verdict=_verdict(len(inventory.items), len(names), errors, len(findings) - errors),
        kinds=[_kind(kind, findings, inventory.root) for kind in dict.fromkeys(finding.kind for finding in findings)],
        splits=list(inventory.classes),
        classes=[
            {"name": _text(name), "counts": [counts[split][name] for split in inventory.classes]} for name in names
        ],
        totals=[counts[split].total() for split in inventory.classes],
        command=_text(command),
    )


def _verdict(images: int, classes: int, errors: int, warnings: int) -> str:
    found = f"{images:,} images in {classes:,} classes: "
    if not errors and not warnings:
        return f"{found}nothing is wrong."
    return (
        f"{found}{errors:,} error(s), which make results wrong or stop a training, and {warnings:,} warning(s), "
        "which are worth a look."
    )


def _kind(kind: str, findings: list[Finding], root: Path) -> dict[str, Any]:
    severity, meaning = KINDS[kind]
    same = [finding for finding in findings if finding.kind == kind]
    paths = [path for finding in same for path in finding.paths]
    pictures = []
    for path in paths:
        if len(pictures) == _PICTURES:
            break
        if uri := _picture(path):
            name = path.relative_to(root) if path.is_relative_to(root) else path
            pictures.append({"uri": uri, "name": _text(name)})
    return {
        "name": kind,
        "severity": severity,
        "meaning": meaning,
        "count": len(same),
        "texts": [_text(finding.text) for finding in same[:_FINDINGS]],
        "pictures": pictures,
    }


def _picture(path: Path) -> str | None:
    """Return a data URI of an image; None for what is none, or cannot be decoded."""
    if not path.is_file():
        return None
    try:
        return thumbnail_uri(enlarged(picture_of(decode(path, 3)), _SIDE), _SIDE)
    except RunError:
        return None


def _text(value: object) -> str:
    """Return a name as text that can be written, even if the file system's name is not Unicode."""
    return os.fsencode(str(value)).decode("utf-8", errors="backslashreplace")
