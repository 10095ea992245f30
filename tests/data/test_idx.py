"""IDX files, plain and gzipped."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from reslab.data.sources import open_splits
from reslab.data.sources.idx import read_idx
from reslab.errors import RunError


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write(folder: Path, suffix: str = "") -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (20, 5, 4)), np.arange(20) % 10
    for part, count in (("train", 20), ("t10k", 10)):
        for name, array in (
            (f"{part}-images-idx3-ubyte", images[:count]),
            (f"{part}-labels-idx1-ubyte", labels[:count]),
        ):
            content = idx_bytes(array)
            (folder / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    return images, labels


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    images, labels = write(tmp_path / "digits", suffix)
    splits = open_splits("auto", str(tmp_path / "digits"), order="archive")
    assert np.array_equal(splits.train.images.squeeze(1).numpy(), images)  # type: ignore[union-attr]
    assert splits.train.labels.tolist() == labels.tolist()
    assert splits.train.class_names == tuple("0123456789")
    assert len(splits.part("test")) == 10


def test_fashion_is_named_by_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "fashion-mnist")
    assert open_splits("idx", str(tmp_path / "fashion-mnist")).train.class_names[9] == "Ankle boot"


def test_only_the_folder_itself_makes_it_fashion(tmp_path: Path) -> None:
    for folder, name in (("FashionMNIST/raw", "Trouser"), ("fashion-student/mnist", "1")):
        write(tmp_path / folder)
        assert open_splits("idx", str(tmp_path / folder)).train.class_names[1] == name


def test_files_without_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((0, 5, 4))))
    with pytest.raises(RunError, match="the t10k files contain no images"):
        open_splits("idx", str(tmp_path))


def test_a_data_root_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESLAB_DATA", str(tmp_path))
    with pytest.raises(RunError, match="put MNIST's four files into"):
        open_splits("idx", None)
    write(tmp_path / "MNIST" / "raw")
    assert len(open_splits("idx", None).train) == 20


@pytest.mark.parametrize("damage", ["cut", "magic", "gzip", "deflate", "count"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, ".gz" if damage in ("gzip", "deflate") else "")
    path = next(tmp_path.glob("train-images*"))
    content = path.read_bytes()
    if damage == "count":
        path.write_bytes(idx_bytes(np.zeros((19, 5, 4))))
    elif damage == "deflate":
        path.write_bytes(content[:10] + b"\xff" * 20 + content[30:])
    else:
        path.write_bytes(b"\1" + content[1:] if damage == "magic" else content[:-8])
    with pytest.raises(RunError, match=r"labels" if damage == "count" else r"train-images"):
        open_splits("idx", str(tmp_path))


def test_a_header_with_another_dimension_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(idx_bytes(np.zeros((3, 2))))
    with pytest.raises(RunError, match=r"not an IDX file of unsigned bytes with 3"):
        read_idx(tmp_path / "a", num_dimensions=3)
