"""Test every Python and every bound that pyproject.toml claims, as far as this machine has them.

    python tools/matrix                              every claimed Python with the lowest and the newest versions
    python tools/matrix --quick --python 3.11        a part of the fast suite, about two minutes an environment
    python tools/matrix --torch-index URL --strict   torch from this index; what is skipped counts as a failure

Pythons come from uv, pyenv and the PATH. torch is taken from the folders that pip finds wheels in, and only as a CPU
build; it is fetched only with --torch-index or --allow-download. Where it is missing, everything else is installed, all
sources are compiled, and the tests that need no torch are run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from cell import ROOT, Cell, Outcome, Versions, run_cell
from interpreters import find_interpreter
from requirements import read_claims
from torch_builds import TorchSource, wheel_folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cells; return 1 when one failed, or with `--strict` when one was skipped."""
    claims = read_claims(ROOT / "pyproject.toml")
    options = _parse(arguments, claims.pythons)
    source = TorchSource((*options.wheels, *wheel_folders()), options.torch_index, options.allow_download)
    outcomes: list[Outcome] = []
    for python in options.python or claims.pythons:
        interpreter = find_interpreter(python)
        for versions in options.versions or ("lowest", "newest"):
            if interpreter:
                cell = Cell(interpreter, versions, options.folder.resolve() / f"{python}-{versions}")
                outcome = run_cell(cell, claims, source, quick=options.quick, keep=options.keep)
            else:
                outcome = Outcome("skipped", f"no CPython {python} with venv: not from uv, pyenv or the PATH")
            outcomes.append(outcome)
            print(f"{python:5} {versions:7} {outcome.status:8} {outcome.text}", flush=True)
    bad = {"failed", "partly", "skipped"} if options.strict else {"failed"}
    return int(any(outcome.status in bad for outcome in outcomes))


def _parse(arguments: Sequence[str] | None, pythons: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", action="append", choices=pythons, help="only this Python; may be repeated")
    parser.add_argument("--versions", action="append", choices=get_args(Versions), help="only these; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a part of the fast suite")
    parser.add_argument("--strict", action="store_true", help="fail when anything was skipped")
    parser.add_argument("--torch-index", metavar="URL", help="package index with CPU builds of torch")
    parser.add_argument("--allow-download", action="store_true", help="let pip fetch torch, whatever its size")
    parser.add_argument("--wheels", action="append", type=Path, default=[], help="one more folder with wheels of torch")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "matrix", help="where the environments are made"
    )
    parser.add_argument("--keep", action="store_true", help="keep the environments")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
