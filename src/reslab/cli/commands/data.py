"""`reslab data`."""

import json as jsonlib
import shlex
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from reslab.cli.extras import need_report_extra
from reslab.cli.types import OUTPUT, JsonSwitch
from reslab.errors import UsageError, counted

if TYPE_CHECKING:
    from reslab.data.checks.findings import Finding
    from reslab.data.sources.inventory import Inventory

app = App(name="data", help="Check data before training on it.")

_SHOWN = 10


@app.command
def check(
    path: Path, /, *, html: Annotated[Path | None, Parameter(group=OUTPUT)] = None, json: JsonSwitch = False
) -> int:
    """Read every image of a folder or CSV file and name what is wrong.

    The exit code is 0 when nothing is wrong and 1 when something is. Nothing is deleted or changed.

    Args:
        path: A folder train/CLASS, val/CLASS (and test/CLASS) of images, a folder of class folders, or a CSV file of
            path,label.
        html: A page to write, with pictures of what is wrong.
        json: Print JSON: all findings with all their paths.
    """
    if html is not None:
        need_report_extra()
        if not html.parent.is_dir():
            raise UsageError(f"--html is {html}, but the folder {html.parent} does not exist; make it first.")
    from reslab.data.checks.all_checks import check_images
    from reslab.data.sources.image_list import take_inventory
    from reslab.system.progress import Count

    inventory = take_inventory(path)
    with Count("reading images", len(inventory.items)) as count:
        findings = check_images(inventory, on_file=count.advance)
    if json:
        print(jsonlib.dumps(asdict(_document(inventory, findings)), indent=2))  # ASCII, so that any name can be written
    else:
        _print(inventory, findings)
    if html is not None:
        from reslab.report import write_data_report

        command = ["reslab", "data", "check", str(path), "--html", str(html)]
        page = write_data_report(inventory, findings, html, command=shlex.join(command))
        print(f"page: {page}", file=sys.stderr if json else sys.stdout)
    return 1 if findings else 0


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """How many images a split has, in all and of each class."""

    images: int
    classes: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingRow:
    """A finding: its kind, "error" or "warning", what it says, and the images."""

    kind: str
    severity: str
    text: str
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckDocument:
    """What --json prints.

    Attributes:
        path: The folder or the CSV file.
        layout: How the images are arranged.
        splits: The images by split.
        findings: Everything that is wrong.
    """

    path: str
    layout: str
    splits: dict[str, SplitCounts]
    findings: tuple[FindingRow, ...]


def _document(inventory: "Inventory", findings: "list[Finding]") -> CheckDocument:
    counts = {split: Counter(item.label for item in inventory.of_split(split)) for split in inventory.classes}
    return CheckDocument(
        path=str(inventory.root),
        layout=inventory.layout,
        splits={
            split: SplitCounts(counts[split].total(), {name: counts[split][name] for name in names})
            for split, names in inventory.classes.items()
        },
        findings=tuple(
            FindingRow(
                kind=finding.kind,
                severity=finding.severity,
                text=finding.text,
                paths=tuple(map(str, finding.paths)),
            )
            for finding in findings
        ),
    )


def _print(inventory: "Inventory", findings: "list[Finding]") -> None:
    from reslab.data.checks.findings import KINDS, readable

    print(_summary(inventory))
    kinds = Counter(finding.kind for finding in findings)
    for kind, count in kinds.items():
        severity, meaning = KINDS[kind]
        print(f"\n{severity}: {kind} ({count}): {meaning}")
        same = [finding for finding in findings if finding.kind == kind]
        for finding in same[:_SHOWN]:
            print(f"  {readable(finding.text)}")
        if count > _SHOWN:
            print(f"  and {count - _SHOWN} more; --json lists all")
    print()
    if not findings:
        print("nothing is wrong")
        return
    errors = sum(finding.severity == "error" for finding in findings)
    print(
        f"{counted(errors, 'error')} (training stops, or leaves the file out); "
        f"{counted(len(findings) - errors, 'warning')} (worth a look, but training goes on)"
    )


def _summary(inventory: "Inventory") -> str:
    from reslab.data.checks.findings import readable

    parts = [
        f"{'' if split == 'all' else split + ' '}{counted(len(inventory.of_split(split)), 'image')} in "
        f"{counted(len(names), 'class')}"
        for split, names in inventory.classes.items()
    ]
    return f"{readable(inventory.root)}: {'; '.join(parts) or 'no images'}"
