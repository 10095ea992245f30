"""Compilation of a C++ source into a library for ctypes, once for each machine."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from reslab.errors import RunError
from reslab.system.environment import cpu_flags
from reslab.system.paths import cache_folder

_FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-fPIC", "-std=c++17"]
_SECONDS = 120


def compiler() -> str | None:
    """Find the C++ compiler: $CXX, else g++ or clang++ on the path; None without any."""
    return next(
        (path for name in (os.environ.get("CXX"), "g++", "clang++") if name and (path := shutil.which(name))), None
    )


def load_library(source: Path) -> ctypes.CDLL:
    """Load the library of a C++ source, compiled unless this machine has compiled the same before.

    Args:
        source: The C++ file.

    Returns:
        The loaded library.

    Raises:
        RunError: No compiler was found, or it failed; no half-written file is left.
    """
    command = compiler()
    if command is None:
        raise RunError("no C++ compiler found (g++ or clang++)")
    flags = [*_FLAGS, "-mprefer-vector-width=512"] if platform.machine() == "x86_64" else _FLAGS
    runtime = _openmp_runtime()
    # the processor is part of the key: a home folder may be shared by machines, and -march=native differs
    parts = [source.read_text(), command, *flags, str(runtime), platform.machine(), *sorted(cpu_flags())]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    target = cache_folder() / "kernels" / f"{source.stem}-{key}.so"
    try:
        if not target.exists():
            _build(command, flags, source, runtime, target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise RunError(f"{source.name} could not be built: {detail.strip().splitlines()[-1]}") from None


def _openmp_runtime() -> Path | None:
    """Return the OpenMP library that torch loaded: a second one would add threads of its own, spinning."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    return next((Path(line.split(maxsplit=5)[5]) for line in lines if "libgomp" in line), None)


def _build(command: str, flags: list[str], source: Path, runtime: Path | None, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        compiled, library = Path(folder, "kernel.o"), Path(folder, "kernel.so")
        link = [str(runtime)] if runtime else ["-fopenmp"]
        for arguments in (
            [command, *flags, "-c", str(source), "-o", str(compiled)],
            [command, "-shared", str(compiled), "-o", str(library), *link],
        ):
            subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=_SECONDS)
        library.replace(target)  # another process may build the same library: the last one wins, both are complete
