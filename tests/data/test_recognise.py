"""Where data is looked for when no path is given, and when it is downloaded."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from reslab.data.sources import data_root, open_splits
from reslab.data.sources.cifar import LAYOUTS
from reslab.errors import RunError
from reslab.system.paths import cache_folder

LAYOUT = replace(LAYOUTS[1], records=(2, 2))  # CIFAR-10, binary
ONE_RECORD = bytes(1 + 3072)


def write(folder: Path) -> Path:
    """Write a data set of black images in the official layout, and return its folder."""
    target = folder / LAYOUT.folder
    target.mkdir(parents=True)
    for name in (*LAYOUT.train, LAYOUT.test):
        (target / name).write_bytes(ONE_RECORD * 2)
    (target / LAYOUT.names).write_text("\n".join(f"class{number}" for number in range(10)))
    return target


def pack(folder: Path, path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, small data sets, and no network."""

    def no_download(*_: object) -> None:
        raise AssertionError("nothing should be downloaded here")

    monkeypatch.setenv("RESLAB_DATA", str(tmp_path / "root"))
    monkeypatch.setattr("reslab.data.sources.locate.LAYOUTS", (LAYOUT,))
    monkeypatch.setattr("reslab.data.sources.locate.download", no_download)
    return tmp_path / "root"


def test_the_data_root_is_the_variable_or_else_the_users_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_root() == root
    monkeypatch.setenv("RESLAB_DATA", "~/data")
    assert data_root() == Path.home() / "data"
    monkeypatch.delenv("RESLAB_DATA")
    assert data_root() == cache_folder()


@pytest.mark.parametrize("is_archive", [False, True], ids=["folder", "archive"])
def test_data_below_the_root_is_used_and_nothing_is_downloaded(root: Path, tmp_path: Path, is_archive: bool) -> None:
    root.mkdir()
    if is_archive:
        pack(write(tmp_path), root / LAYOUT.archive)
    else:
        write(root)
    assert len(open_splits("cifar10", None).train) == 10


def test_data_that_is_nowhere_is_downloaded_into_the_root(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def fake_download(url: str, path: Path, md5: str) -> None:
        asked.append((url, md5))
        path.parent.mkdir()
        pack(write(tmp_path), path)

    monkeypatch.setattr("reslab.data.sources.locate.download", fake_download)
    for _ in range(2):  # the second time it is there
        assert len(open_splits("cifar10", None).part("test")) == 2
    assert asked == [(LAYOUT.url, LAYOUT.md5)]
    assert (root / LAYOUT.archive).is_file()


def test_a_path_that_holds_something_else_is_never_replaced_by_a_download(tmp_path: Path) -> None:
    (tmp_path / LAYOUT.archive).write_text("only called so")
    with pytest.raises(RunError, match="is not a data set"):
        open_splits("auto", str(tmp_path / LAYOUT.archive))
    with pytest.raises(RunError, match="is not data of kind 'cifar10'"):
        open_splits("cifar10", str(tmp_path / LAYOUT.archive))


def test_the_folder_above_the_official_one_will_do(tmp_path: Path) -> None:
    write(tmp_path)
    assert open_splits("auto", str(tmp_path)).train.name == "cifar10"


def test_images_deeper_in_class_folders_are_recognised_but_no_folder_of_data_sets(tmp_path: Path) -> None:
    for place in ("nested/cat/day 1", "nested/dog/day 2", "sets/a/train/cat", "sets/b/train/cat"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("0.jfif", "1.PPM"):
            Image.new("RGB", (8, 8)).save(tmp_path / place / name, format="JPEG" if name == "0.jfif" else "PPM")
    train = open_splits("auto", str(tmp_path / "nested")).train
    assert train.class_names == ("cat", "dog")
    assert len(train) == 4
    with pytest.raises(RunError, match="is not a data set"):
        open_splits("auto", str(tmp_path / "sets"))


def test_without_a_kind_and_a_path_it_is_the_digits() -> None:
    assert open_splits("auto", None).train.name == "digits"
