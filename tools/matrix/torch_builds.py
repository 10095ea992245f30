"""Choose the build of torch for an environment, and never fetch gigabytes without being asked.

A CPU build in a folder of wheels is used. Anything else is fetched only from an index that the caller names, or when
the caller allows a download of any size.
"""

import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_WHEEL = re.compile(r"torch-(?P<release>\d+(\.\d+)*)(?P<local>\+\w+)?-cp(?P<python>\d+)-cp\d+-(?P<platform>.+)\.whl")


@dataclass(frozen=True)
class TorchSource:
    """Where torch may come from.

    Attributes:
        folders: Folders with wheels.
        index: Address of a package index with CPU builds; None for none.
        allow_download: Whether pip's usual index may be asked, whose builds can be gigabytes.
    """

    folders: tuple[Path, ...]
    index: str | None = None
    allow_download: bool = False


def wheel_folders() -> tuple[Path, ...]:
    """Return the folders that pip is configured to find wheels in."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    done = subprocess.run(asked, capture_output=True, text=True)  # fails when the option is not set
    places = os.environ.get("PIP_FIND_LINKS", "").split() + (done.stdout.split() if done.returncode == 0 else [])
    return tuple(dict.fromkeys(Path(place.removeprefix("file://")) for place in places if Path(place).is_dir()))


def torch_arguments(source: TorchSource, python: str, exact: str | None) -> list[str] | None:
    """Return pip's arguments that install torch; None when no allowed source has it.

    Args:
        source: Where torch may come from.
        python: Minor version of CPython, such as `3.12`.
        exact: The release to install; None for the newest.
    """
    requirement = "torch" if exact is None else f"torch=={exact}"
    if source.index:
        return [requirement, "--index-url", source.index]
    if wheel := _newest(_cpu_wheels(source.folders, python, exact)):
        return [str(wheel)]
    return [requirement] if source.allow_download else None


def _cpu_wheels(folders: Iterable[Path], python: str, exact: str | None) -> Iterator[Path]:
    for path in (path for folder in folders for path in folder.glob("torch-*.whl")):
        match = _WHEEL.fullmatch(path.name)
        if (
            match
            and match["python"] == python.replace(".", "")
            and match["platform"].endswith(platform.machine())
            and (exact is None or _release(match["release"]) == _release(exact))
            and not _needs_cuda(path)
        ):
            yield path


def _newest(wheels: Iterable[Path]) -> Path | None:
    return max(wheels, key=lambda path: _release(path.name.split("-")[1].partition("+")[0]), default=None)


def _release(version: str) -> tuple[int, ...]:
    """Return a release's numbers without zeros at the end: 2.13 is 2.13.0."""
    return tuple(map(int, re.sub(r"(\.0)+$", "", version).split(".")))


def _needs_cuda(wheel: Path) -> bool:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return any(line.startswith("Requires-Dist:") and re.search("nvidia|cuda", line) for line in lines)
