"""Where a run ran: versions, processor, threads, source; and what its processor can do."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("reslab", "torch", "numpy", "pillow", "simplejpeg", "safetensors")
_INTERESTING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "bf16", "asimd", "sve")


@cache
def cpu_flags() -> frozenset[str]:
    """Return what the processor says it can do; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, []))


def cpu_name() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """What git says of the source this package runs from; None for an installed copy."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def source_version() -> dict[str, Any]:
    """Return the git commit of this package's source and whether it was changed since; None where there is no git."""
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)
    if tracked is None:
        return {"commit": None, "is_dirty": None}
    return {"commit": _git("rev-parse", "HEAD"), "is_dirty": bool(_git("status", "--porcelain", "--", ".."))}


def collect() -> dict[str, Any]:
    """Return the environment as JSON values. It holds no path and no name of the machine or of its user."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
        "cpu": {
            "name": cpu_name(),
            "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
            "flags": sorted(cpu_flags().intersection(_INTERESTING_FLAGS)),
        },
        "source": source_version(),
    }
