"""`reslab compare`."""

import json as jsonlib
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli.extras import need_report_extra
from reslab.cli.output import print_table
from reslab.cli.types import OUTPUT, JsonSwitch
from reslab.errors import RunError, UsageError

if TYPE_CHECKING:
    from reslab.artifacts.record import RecordedRun
    from reslab.artifacts.run_folder import RunFolder
    from reslab.report.comparison_page import Row

log = logging.getLogger(__name__)


def compare(
    *runs: Path, output: Annotated[Path | None, Parameter(group=OUTPUT)] = None, json: JsonSwitch = False
) -> int:
    """Print runs side by side; with --output, draw their curves.

    Training error is drawn thin, validation or test error bold.

    Args:
        runs: Run folders, records (results/RECIPE/SEED.json), or folders that hold some.
        output: A page (.html) or a figure (.svg, .png) to write.
        json: Print JSON.
    """
    folders = find_runs(runs)
    need_report_extra()
    from reslab.report import compare as compare_runs
    from reslab.report import save_figure, write_comparison

    if output is not None and output.suffix not in (".html", ".svg", ".png"):
        raise UsageError(f"--output is {output}; allowed: a file that ends in .html, .svg or .png.")
    comparison = compare_runs(folders)
    if json:
        print(jsonlib.dumps([asdict(row) for row in comparison.rows], indent=2))
    else:
        _print(comparison.rows)
    if output is not None:
        write = write_comparison if output.suffix == ".html" else save_figure
        print(write(folders, output))
    return 0


def _print(rows: "tuple[Row, ...]") -> None:
    columns = (
        "recipe",
        "network",
        "selection",
        "seed",
        "iterations",
        "training error %",
        "error %",
        "split",
        "minutes",
    )
    print_table("", columns, [_cells(row) for row in rows], left=3)


def _cells(row: "Row") -> tuple[str, ...]:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    minutes = "-" if row.minutes is None else f"{row.minutes:.1f}"
    errors = (percent(row.train_error), percent(row.reported_error))
    return (
        row.label,
        row.network,
        row.selection,
        str(row.seed),
        f"{row.iterations:,}",
        *errors,
        row.reported_split or "-",
        minutes,
    )


def find_runs(paths: tuple[Path, ...]) -> "list[RunFolder | RecordedRun]":
    """Return the records and run folders that paths name or hold, in order.

    Args:
        paths: Records, run folders, and folders of run folders.

    Raises:
        UsageError: There are no paths.
        RunError: A path is none of these.
    """
    from reslab.artifacts.record import RecordedRun

    if not paths:
        raise UsageError("no runs are named. Name run folders, or a folder that holds some: reslab compare runs/demo")
    runs: list[RunFolder | RecordedRun] = []
    for path in paths:
        if path.suffix == ".json":
            runs.append(RecordedRun.open(path))
        elif path.is_dir():
            runs += _inside(path)
        else:
            raise RunError(f"{path} {_what_else(path)}")
    return runs


def _inside(path: Path) -> "list[RunFolder | RecordedRun]":
    from reslab.artifacts.record import RecordedRun
    from reslab.artifacts.run_folder import RunFolder

    folders = sorted(config.parent for config in path.rglob("config.json") if RunFolder.is_run(config.parent))
    runs: list[RunFolder | RecordedRun] = [RunFolder.open(folder) for folder in folders]
    for file in sorted(file for file in path.rglob("*.json") if file.stem.isdigit()):  # RECIPE/SEED.json
        try:
            runs.append(RecordedRun.open(file))
        except RunError as error:
            log.warning("left out: %s", error)
    if not runs:
        if (path / "config.json").exists():
            RunFolder.open(path)  # says what is wrong with it
            raise RunError(f"{path} holds no runs and no records.")
        raise RunError(f"{path} is not a run folder (it has no config.json), and holds no runs and no records.")
    return runs


def _what_else(path: Path) -> str:
    """What is at a path that is neither a folder nor a record, and what to give instead."""
    from reslab.artifacts.model_file import is_model_file
    from reslab.artifacts.run_folder import RunFolder

    if not path.exists():
        return "does not exist; give run folders, folders that hold some, or records."
    if not is_model_file(path):
        return "is neither a run folder nor a record; give run folders, folders that hold some, or records."
    if RunFolder.is_run(path.parent):
        return f"is a model file, which has no curves; give its run folder: reslab compare {path.parent}"
    return f"is a model file, which has no curves; give the run folder that it is from, or: reslab evaluate {path}"
