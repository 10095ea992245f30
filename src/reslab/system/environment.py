"""Where a run ran: versions, processor, threads, source; and what its processor can do."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from reslab import __version__

_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "safetensors")
_INTERESTING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "bf16", "asimd", "sve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """A processor.

    Attributes:
        name: As the system calls it.
        cores: How many of them this process may use; None where the system does not tell.
        flags: The instruction sets that matter to training, in alphabetical order.
    """

    name: str
    cores: int | None
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuda:
    """A CUDA device.

    Attributes:
        name: As torch calls it.
        version: Of the CUDA toolkit that torch was built with.
    """

    name: str
    version: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The source code that ran; both fields are None for an installed package.

    Attributes:
        commit: The git commit.
        is_dirty: Whether the source was changed since that commit.
    """

    commit: str | None
    is_dirty: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Versions and hardware that something was computed with. It holds no path and no name of a machine or user.

    Attributes:
        python: Python's version.
        system: The operating system and its architecture.
        packages: Version of each package that numbers depend on.
        cpu: The processor.
        source: The source code that ran.
        threads: Threads that torch computed with.
        cuda: The CUDA device; None without one.
    """

    python: str
    system: str
    packages: dict[str, str]
    cpu: Cpu
    source: Source
    threads: int
    cuda: Cuda | None = None


@cache
def cpu_flags() -> frozenset[str]:
    """Return the processor's feature flags as /proc/cpuinfo lists them; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, []))


def onednn_limit() -> str:
    """Return the newest instruction set that the environment lets oneDNN use, which computes torch's convolutions.

    oneDNN reads ONEDNN_MAX_CPU_ISA, then DNNL_MAX_CPU_ISA, in upper or lower case.

    Returns:
        Its name in small letters; "" without a limit.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    return "" if limit.lower() in ("all", "default") else limit.lower()


def cpu_name() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Return what git prints about the source that this package runs from; None for an installed copy."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def source_version() -> Source:
    """Return the git commit of this package's source and whether it was changed since; both None without git."""
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)
    if tracked is None:
        return Source(commit=None, is_dirty=None)
    return Source(commit=_git("rev-parse", "HEAD"), is_dirty=bool(_git("status", "--porcelain", "--", "..")))


def collect(threads: int, cuda: Cuda | None = None) -> Machine:
    """Collect versions and hardware of this machine.

    Args:
        threads: Threads that torch computes with.
        cuda: The CUDA device; None without one.
    """
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages={"reslab": __version__, **{name: version(name) for name in _PACKAGES}},
        cpu=Cpu(
            name=cpu_name(),
            cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
            flags=tuple(sorted(cpu_flags().intersection(_INTERESTING_FLAGS))),
        ),
        source=source_version(),
        threads=threads,
        cuda=cuda,
    )
