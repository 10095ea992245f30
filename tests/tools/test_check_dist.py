"""What may be in a release and what must be: both directions of the check."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from check_dist import archive_problems, metadata_problems, source_version

import reslab

_PACKAGE = {
    "reslab/__init__.py": '__version__ = "0.1.0"\n',
    "reslab/py.typed": "",
    "reslab/report/templates/page.html": "",
    "reslab/data/sources/digits.npz": "",
    "reslab/engines/norm.cpp": "",
}
_METADATA = "Metadata-Version: 2.4\nName: reslab\nVersion: 0.1.0\nRequires-Dist: torch>=2.13\n\nA text.\n"
_INFO = {
    "METADATA": _METADATA, "WHEEL": "", "RECORD": "", "entry_points.txt": "",
    "licenses/LICENSE": "", "licenses/NOTICE": "",
}  # fmt: skip
_AROUND = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "NOTICE", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a complete sdist and wheel in dist/."""
    for name, text in _PACKAGE.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0 - 2026-11-30\n")
    for command in (["init", "-q"], ["add", "src"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "dist").mkdir()
    _write_wheel(tmp_path)
    _write_sdist(tmp_path)
    return tmp_path


def _write_wheel(project: Path, *, without: str = "", extra: str = "") -> None:
    files = _PACKAGE | {f"reslab-0.1.0.dist-info/{name}": text for name, text in _INFO.items()}
    with zipfile.ZipFile(project / "dist" / "reslab-0.1.0-py3-none-any.whl", "w") as archive:
        for name in [name for name in files if name != without] + [extra] * bool(extra):
            archive.writestr(name, files.get(name, ""))


def _write_sdist(project: Path, *, without: str = "", extra: str = "") -> None:
    files = [*(f"src/{name}" for name in _PACKAGE), *_AROUND]
    with tarfile.open(project / "dist" / "reslab-0.1.0.tar.gz", "w:gz") as archive:
        for name in [name for name in files if name != without] + [extra] * bool(extra):
            archive.addfile(tarfile.TarInfo(f"reslab-0.1.0/{name}"), io.BytesIO())


def _problems(project: Path) -> list[str]:
    return archive_problems(project / "dist", project)


def test_a_complete_release_has_no_problems(project: Path) -> None:
    assert _problems(project) == []


@pytest.mark.parametrize(
    "name", ["reslab/py.typed", "reslab/engines/norm.cpp", "reslab-0.1.0.dist-info/licenses/NOTICE"]
)
def test_a_file_that_a_wheel_lacks_is_named(project: Path, name: str) -> None:
    _write_wheel(project, without=name)

    assert _problems(project) == [f"wheel: {name} is missing"]


@pytest.mark.parametrize("name", ["tests/test_train.py", "reslab/__pycache__/x.cpython-311.pyc", "results/a.json"])
def test_a_file_that_does_not_belong_in_a_wheel_is_named(project: Path, name: str) -> None:
    _write_wheel(project, extra=name)

    assert _problems(project) == [f"wheel: {name} does not belong in it"]


def test_an_sdist_is_held_against_the_source_too(project: Path) -> None:
    _write_sdist(project, without="NOTICE", extra="tests/test_train.py")

    assert _problems(project) == [
        "sdist: reslab-0.1.0/NOTICE is missing",
        "sdist: reslab-0.1.0/tests/test_train.py does not belong in it",
    ]


def test_data_that_the_source_itself_lost_is_named(project: Path) -> None:
    subprocess.run(["git", "rm", "-q", "--cached", "src/reslab/data/sources/digits.npz"], cwd=project, check=True)

    assert "src: no reslab/*/digits.npz" in _problems(project)


def test_files_of_another_version_are_named(project: Path) -> None:
    (project / "src" / "reslab" / "__init__.py").write_text('__version__ = "0.2.0"\n')

    assert "dist: reslab-0.2.0-py3-none-any.whl is missing" in _problems(project)
    assert "dist: reslab-0.1.0.tar.gz does not belong in it" in _problems(project)


def test_a_version_without_a_section_in_the_changelog_is_named(project: Path) -> None:
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.01\n")

    assert _problems(project) == ["CHANGELOG.md: no section for 0.1.0"]


def test_metadata_must_have_the_sources_version_and_require_torch() -> None:
    assert metadata_problems(_METADATA, "0.1.0") == []
    assert metadata_problems("Version: 0.1.0\n\n", "0.2.0") == [
        "wheel: METADATA has version 0.1.0, the source has 0.2.0",
        "wheel: METADATA does not require torch",
    ]


def test_the_version_is_read_from_the_package() -> None:
    assert source_version() == reslab.__version__
