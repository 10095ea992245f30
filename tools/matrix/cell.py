"""Test one Python with one choice of versions, in an environment of its own."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from interpreters import Interpreter
from requirements import USER_EXTRAS, Claims
from torch_builds import TorchSource, torch_arguments

ROOT = Path(__file__).parents[2]
Versions = Literal["lowest", "pinned", "newest"]
Status = Literal["passed", "partly", "skipped", "failed"]
# about two minutes on two cores: every layer that numpy, Pillow or torch could break
QUICK_TESTS = ("config", "spec", "optim", "data", "models", "artifacts", "inference", "report")
_REPORTED = ("torch", "numpy", "pillow", "pydantic", "scipy", "matplotlib")
_VERSIONS_OF = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"


@dataclass(frozen=True)
class Outcome:
    """How a cell of the matrix ended.

    Attributes:
        status: `partly` when only what needs no torch could be tested.
        text: Counts of tests and versions, or the reason.
    """

    status: Status
    text: str


@dataclass(frozen=True)
class Cell:
    """One Python with one choice of versions.

    Attributes:
        interpreter: The Python.
        versions: `lowest` bounds of pyproject.toml, `pinned` by constraints.txt, or `newest`.
        folder: Where the environment and its log are written.
    """

    interpreter: Interpreter
    versions: Versions
    folder: Path

    @property
    def python(self) -> str:
        """The environment's Python."""
        return str(self.folder / "venv" / "bin" / "python")

    @property
    def log(self) -> Path:
        """What the installation and the tests printed."""
        return self.folder / "log.txt"


def run_cell(cell: Cell, claims: Claims, source: TorchSource, *, quick: bool, keep: bool) -> Outcome:
    """Install, test, and remove the environment unless it is to be kept.

    Args:
        cell: What to test.
        claims: The versions to test it with.
        source: Where torch may come from; without one, only what needs no torch is tested.
        quick: Run a part of the fast suite.
        keep: Leave the environment for a closer look.
    """
    shutil.rmtree(cell.folder, ignore_errors=True)
    cell.folder.mkdir(parents=True)
    exact = _exact_torch(cell.versions, claims)
    torch = torch_arguments(source, cell.interpreter.version, exact)
    try:
        with cell.log.open("w", encoding="utf-8") as log:
            _run([str(cell.interpreter.path), "-m", "venv", str(cell.folder / "venv")], log)
            if torch is None:
                return _test_without_torch(cell, claims, exact, log)
            return _test(cell, claims, torch, quick, log)
    except subprocess.CalledProcessError as error:
        return Outcome("failed", f"exit code {error.returncode} of: {_shortened(error.cmd)}; see {cell.log}")
    finally:
        if not keep:
            shutil.rmtree(cell.folder / "venv", ignore_errors=True)


def _exact_torch(versions: Versions, claims: Claims) -> str | None:
    if versions == "newest":
        return None
    if versions == "lowest":
        return claims.bounds["torch"]
    pinned = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    return pinned[1] if pinned else None


def _constraints(cell: Cell, claims: Claims) -> list[str]:
    if cell.versions == "pinned":
        return ["-c", str(ROOT / "constraints.txt")]
    path = cell.folder / "constraints.txt"
    path.write_text("\n".join(claims.lowest() if cell.versions == "lowest" else []), encoding="utf-8")
    return ["-c", str(path)]


def _test(cell: Cell, claims: Claims, torch: list[str], quick: bool, log: TextIO) -> Outcome:
    """Install torch first and alone, so that nothing else can choose another build; then everything; then test."""
    constraints = _constraints(cell, claims)
    _pip(cell, log, *constraints, *torch)
    build = _output([cell.python, "-c", _VERSIONS_OF, "torch"]).replace(" ", "==")
    (cell.folder / "torch.txt").write_text(build, encoding="utf-8")
    extras = ",".join((*USER_EXTRAS, "test"))
    _pip(cell, log, *constraints, "-c", str(cell.folder / "torch.txt"), f"{ROOT}[{extras}]")
    _run([cell.python, "-m", "pip", "check"], log)
    paths = [f"tests/{name}" for name in QUICK_TESTS if (ROOT / "tests" / name).is_dir()] if quick else ["tests"]
    counts = _pytest(cell, log, "-n", "2", "--dist", "worksteal", *paths)
    return Outcome("passed", f"{counts}; {_output([cell.python, '-c', _VERSIONS_OF, *_REPORTED])}")


def _test_without_torch(cell: Cell, claims: Claims, exact: str | None, log: TextIO) -> Outcome:
    """Resolve and install all but torch, compile every source, and run the tests that need no torch."""
    _pip(cell, log, *_constraints(cell, claims), *claims.without_torch(), *claims.test_tools)
    _pip(cell, log, "--no-deps", str(ROOT))
    compile_all = [cell.python, "-W", "error", "-m", "compileall", "-q", "src", "tests", "tools", "benchmarks"]
    _run(compile_all, log, PYTHONPYCACHEPREFIX=str(cell.folder / "pycache"))
    counts = _pytest(cell, log, "-p", "without_torch", "tests", PYTHONPATH=str(Path(__file__).parent))
    missing = f"torch {exact or 'newest'} for CPython {cell.interpreter.version} is not on disk"
    return Outcome("partly", f"skipped: {missing}; without it: {counts}")


def _pytest(cell: Cell, log: TextIO, *arguments: str, **variables: str) -> str:
    """Run tests of the fast suite; return pytest's counts."""
    command = [cell.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not gpu", *arguments]
    _run(command, log, **variables)
    closing = re.findall(r"^=*\s*(\d+ passed.*?) in [\d.]+s", cell.log.read_text(encoding="utf-8"), re.M)
    if not closing:
        raise subprocess.CalledProcessError(5, command)  # pytest's code for no tests
    return closing[-1]


def _pip(cell: Cell, log: TextIO, *arguments: str) -> None:
    _run([cell.python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--prefer-binary", *arguments], log)


def _run(command: Sequence[str], log: TextIO, **variables: str) -> None:
    """Run a command on the CPU, with its output in the log; fail if it does."""
    print("$", *command, file=log, flush=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **variables}
    subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _shortened(command: Sequence[str]) -> str:
    text = " ".join(command[1:])
    return text if len(text) <= 100 else text[:97] + "..."
