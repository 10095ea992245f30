"""Check the sdist and the wheel in dist/, then install the wheel into an empty environment and run it.

    python tools/check_dist.py                 all of it; installs torch into a temporary folder
    python tools/check_dist.py --files-only    names, contents and metadata only

Needs twine and git. `make dist` builds both files first.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import HeaderParser
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what the sdist holds besides src/: pyproject.toml names the same files, hatchling adds the last two
_SDIST_EXTRAS = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "NOTICE", "README.md", "pyproject.toml")
_HATCHLING_EXTRAS = ("PKG-INFO", ".gitignore")
_DIST_INFO = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
# data files, named here because a move inside src/ must not lose one silently
_NEEDED = ("reslab/py.typed", "reslab/report/templates/*.html", "reslab/*/digits.npz", "reslab/*/norm.cpp")
_COMMANDS = (["--help"], ["--version"], ["recipes"], ["describe", "resnet50"])
_REPORT_COMMANDS = (["demo", "--minutes", "1"],)


def source_version(root: Path = ROOT) -> str:
    """Read `__version__` from the package's source without importing it."""
    path = root / "src" / "reslab" / "__init__.py"
    match = re.search(r'^__version__ = "(.+)"$', path.read_text(encoding="utf-8"), re.M)
    if not match:
        raise SystemExit(f"{path} has no line that sets __version__.")
    return match[1]


def tracked_files(root: Path = ROOT) -> set[str]:
    """Return the package's files that git tracks, named from src/."""
    done = subprocess.run(["git", "ls-files", "-z", "src"], cwd=root, check=True, capture_output=True, text=True)
    return {name.removeprefix("src/") for name in done.stdout.split("\0") if name}


def wheel_problems(names: Iterable[str], package: set[str], version: str) -> list[str]:
    """Compare a wheel's file names with the tracked files of the package."""
    info = {f"reslab-{version}.dist-info/{name}" for name in _DIST_INFO}
    lacking = [pattern for pattern in _NEEDED if not any(fnmatch(name, pattern) for name in package)]
    return [f"src: no {pattern}" for pattern in lacking] + _differences("wheel", set(names), package | info)


def sdist_problems(names: Iterable[str], package: set[str], version: str) -> list[str]:
    """Compare an sdist's file names with the tracked files of the package and the few around them."""
    wanted = {f"src/{name}" for name in package}.union(_SDIST_EXTRAS, _HATCHLING_EXTRAS)
    return _differences("sdist", set(names), {f"reslab-{version}/{name}" for name in wanted})


def _differences(kind: str, names: set[str], wanted: set[str]) -> list[str]:
    missing = [f"{kind}: {name} is missing" for name in sorted(wanted - names)]
    return missing + [f"{kind}: {name} does not belong in it" for name in sorted(names - wanted)]


def metadata_problems(metadata: str, version: str) -> list[str]:
    """Compare the version and the first dependency in a wheel's METADATA with the source's."""
    headers = HeaderParser().parsestr(metadata)
    problems = []
    if headers["Version"] != version:
        problems.append(f"wheel: METADATA has version {headers['Version']}, the source has {version}")
    if not any(line.startswith("torch>=") for line in headers.get_all("Requires-Dist", [])):
        problems.append("wheel: METADATA does not require torch")
    return problems


def changelog_problems(changelog: str, version: str) -> list[str]:
    """Check that the changelog has a section for the version."""
    found = re.search(rf"^## \[?{re.escape(version)}\b", changelog, re.M)
    return [] if found else [f"CHANGELOG.md: no section for {version}"]


def archive_problems(dist: Path, root: Path = ROOT) -> list[str]:
    """Check both archives in a folder by their names, contents and metadata."""
    version, package = source_version(root), tracked_files(root)
    wheel, sdist = dist / f"reslab-{version}-py3-none-any.whl", dist / f"reslab-{version}.tar.gz"
    present = {path.name for path in dist.iterdir()} if dist.is_dir() else set[str]()
    problems = _differences("dist", present, {wheel.name, sdist.name})
    if problems:
        return problems
    with zipfile.ZipFile(wheel) as archive:
        problems += wheel_problems(archive.namelist(), package, version)
        problems += metadata_problems(archive.read(f"reslab-{version}.dist-info/METADATA").decode(), version)
    with tarfile.open(sdist) as archive:
        problems += sdist_problems((item.name for item in archive if item.isfile()), package, version)
    return problems + changelog_problems((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)


def run_wheel(wheel: Path, constraints: Path) -> None:
    """Install a wheel into an empty environment and run it in an empty folder.

    Args:
        wheel: The wheel.
        constraints: A file of pip's constraints.

    Raises:
        CalledProcessError: A step fails.
    """
    with tempfile.TemporaryDirectory(prefix="reslab-dist-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python, empty = folder / "venv" / "bin" / "python", folder / "empty"
        empty.mkdir()
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "-q", "-c", str(constraints)]
        _step([*install, "torch"], empty)  # alone and first, so that nothing else can choose another build of it
        _step([*install, str(wheel)], empty)
        _step([*pip, "check"], empty)
        reslab = str(folder / "venv" / "bin" / "reslab")
        for arguments in _COMMANDS:
            _step([reslab, *arguments], empty)
        _step([*install, f"{wheel}[report]"], empty)
        for arguments in _REPORT_COMMANDS:
            _step([reslab, *arguments], empty)


def _step(command: Sequence[str], folder: Path) -> None:
    print("$", *command, flush=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "RESLAB_DATA")}
    subprocess.run(command, cwd=folder, env=environment, check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files-only", action="store_true", help="do not install and run the wheel")
    options = parser.parse_args(arguments)
    dist = ROOT / "dist"
    problems = archive_problems(dist)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    archives = [str(path) for path in sorted(dist.iterdir())]
    try:
        _step([sys.executable, "-m", "twine", "check", "--strict", *archives], ROOT)
        if not options.files_only:
            run_wheel(next(dist.glob("*.whl")), ROOT / "constraints.txt")
    except subprocess.CalledProcessError as error:
        print(f"exit code {error.returncode}: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    print(f"reslab {source_version()}: both files are complete" + ("" if options.files_only else "; the wheel runs"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
