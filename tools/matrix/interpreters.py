"""Find the Pythons of this machine: uv's, pyenv's, and those on the PATH."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROBE = "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Interpreter:
    """A Python that can make a virtual environment.

    Attributes:
        version: Major and minor version, such as `3.12`.
        path: The executable.
        source: Who installed it: `uv`, `pyenv` or `PATH`.
    """

    version: str
    path: Path
    source: str


def find_interpreter(version: str) -> Interpreter | None:
    """Return the first Python of this version that starts and has `venv` and `ensurepip`; None when none does."""
    for path, source in _candidates(version):
        if _answers(path, version):
            return Interpreter(version, path, source)
    return None


def _candidates(version: str) -> Iterator[tuple[Path, str]]:
    if uv := shutil.which("uv"):
        done = subprocess.run([uv, "python", "find", version], capture_output=True, text=True)
        if done.returncode == 0:
            yield Path(done.stdout.strip()), "uv"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted((pyenv / "versions").glob(f"{version}.*"), key=_patch_number, reverse=True):
        yield folder / "bin" / "python", "pyenv"
    for name in (f"python{version}", "python3"):
        if found := shutil.which(name):
            yield Path(found), "PATH"
    yield Path(sys.executable), "PATH"


def _patch_number(folder: Path) -> int:
    patch = folder.name.rpartition(".")[2]
    return int(patch) if patch.isdigit() else -1  # 3.14.0rc1 comes after every release


def _answers(path: Path, version: str) -> bool:
    try:
        done = subprocess.run([str(path), "-c", _PROBE], capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version
