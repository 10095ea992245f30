"""CIFAR in its four official layouts, made small and synthetic, and the real one where it is at hand."""

import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reslab.data.sources import open_splits
from reslab.data.sources.cifar import LAYOUTS, Layout, load_cifar
from reslab.errors import RunError

SMALL = tuple(replace(layout, records=(12, 7)) for layout in LAYOUTS)
IDS = [layout.folder for layout in SMALL]


def _arrays(layout: Layout, name: str) -> tuple[np.ndarray, np.ndarray]:
    count = layout.records[1] if name == layout.test else layout.records[0]
    generator = np.random.default_rng(len(name) + ord(name[-1]))
    pixels = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, generator.integers(0, layout.num_classes, count)


def write(folder: Path, layout: Layout) -> Path:
    """Write a data set in an official layout, and return its folder."""
    target = folder / layout.folder
    target.mkdir(parents=True)
    names = [f"class{number}" for number in range(layout.num_classes)]
    for name in (*layout.train, layout.test):
        pixels, labels = _arrays(layout, name)
        if layout.is_binary:
            columns = [np.zeros((len(labels), layout.label_bytes - 1)), labels[:, None], pixels]
            (target / name).write_bytes(np.concatenate(columns, axis=1).astype(np.uint8).tobytes())
        else:
            key = b"labels" if layout.name == "cifar10" else b"fine_labels"
            (target / name).write_bytes(pickle.dumps({b"data": pixels, key: labels.tolist()}, protocol=2))
    if layout.is_binary:
        (target / layout.names).write_text("\n".join(names) + "\n")
    else:
        key = b"label_names" if layout.name == "cifar10" else b"fine_label_names"
        (target / layout.names).write_bytes(pickle.dumps({key: [name.encode() for name in names]}, protocol=2))
    return target


def pack(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    return path


@pytest.mark.parametrize("layout", SMALL, ids=IDS)
@pytest.mark.parametrize("is_archive", [False, True], ids=["folder", "archive"])
def test_every_layout_gives_the_pixels_and_labels_written(tmp_path: Path, layout: Layout, is_archive: bool) -> None:
    folder = write(tmp_path, layout)
    splits = load_cifar(pack(folder, tmp_path / "a.tar.gz") if is_archive else folder, layout)
    expected = [_arrays(layout, name) for name in layout.train]
    assert torch.equal(splits.train.images.flatten(1), torch.from_numpy(np.concatenate([p for p, _ in expected])))  # type: ignore[union-attr]
    assert splits.train.labels.tolist() == np.concatenate([labels for _, labels in expected]).tolist()
    assert len(splits.part("test")) == 7
    assert splits.train.class_names[-1] == f"class{layout.num_classes - 1}"
    assert splits.validation is None


@pytest.mark.parametrize("layout", LAYOUTS, ids=IDS)
def test_data_is_recognised_by_content_whatever_it_is_called(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reslab.data.sources.locate.LAYOUTS", SMALL)
    small = SMALL[LAYOUTS.index(layout)]
    folder = write(tmp_path, small)
    renamed = folder.rename(tmp_path / "my data")
    packed = pack(write(tmp_path / "again", small), tmp_path / "photos.zip")
    for path in (renamed, tmp_path / "again", packed):
        assert open_splits("auto", str(path)).train.name == layout.name


@pytest.mark.parametrize("layout", SMALL, ids=IDS)
def test_a_truncated_file_is_named(tmp_path: Path, layout: Layout) -> None:
    folder = write(tmp_path, layout)
    victim = folder / layout.train[-1]
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(RunError, match=rf"{layout.train[-1]}: .*(cut off|damaged)"):
        load_cifar(folder, layout)


def test_a_truncated_archive_is_named_and_says_where_to_get_it(tmp_path: Path) -> None:
    archive = pack(write(tmp_path, SMALL[0]), tmp_path / "cifar.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(RunError, match=r"cifar\.tar\.gz: damaged or cut off.*toronto"):
        load_cifar(archive, SMALL[0])


def test_a_missing_batch_and_a_wrong_label_are_named(tmp_path: Path) -> None:
    layout = SMALL[1]
    folder = write(tmp_path, layout)
    content = bytearray((folder / "data_batch_3.bin").read_bytes())
    content[0] = 10
    (folder / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(RunError, match=r"data_batch_3\.bin: has label 10, outside 0 to 9"):
        load_cifar(folder, layout)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(RunError, match=r"cannot read data_batch_3\.bin"):
        load_cifar(folder, layout)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 12, r"labels are <U1 \[12\], not a list of whole numbers"),
        ([0.5] * 12, r"labels are float64 \[12\], not a list of whole numbers"),
        ([-1] + [0] * 11, r"has label -1, outside 0 to 9"),
        ([0] * 11, r"has 12 images and 11 labels, not 12 of each"),
    ],
)
def test_labels_that_are_no_labels_are_refused(tmp_path: Path, labels: list[object], message: str) -> None:
    folder = write(tmp_path, SMALL[0])
    pixels = np.zeros((12, 3072), np.uint8)
    (folder / "data_batch_2").write_bytes(pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2))
    with pytest.raises(RunError, match=rf"data_batch_2: .*({message})"):
        load_cifar(folder, SMALL[0])


@pytest.mark.parametrize("layout", SMALL, ids=IDS)
def test_a_damaged_list_of_classes_is_named(tmp_path: Path, layout: Layout) -> None:
    folder = write(tmp_path, layout)
    key = b"label_names" if layout.name == "cifar10" else b"fine_label_names"
    (folder / layout.names).write_bytes(b"\xff\xfe\0" if layout.is_binary else pickle.dumps({key: 5}, protocol=2))
    with pytest.raises(RunError, match=rf"{layout.names}: lists \d classes, not {layout.num_classes}"):
        load_cifar(folder, layout)


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this was executed",)


def test_a_pickle_that_wants_to_run_code_is_refused_unexecuted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, SMALL[0])
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": _Attack()}))
    with pytest.raises(RunError, match=r"data_batch_1: refused, because it asks to call builtins\.print"):
        load_cifar(folder, SMALL[0])
    assert "executed" not in capsys.readouterr().out


def test_the_real_cifar10_is_complete_and_has_its_known_means(data_root: Path) -> None:
    splits = open_splits("cifar10", None)
    train, test = splits.train, splits.part("test")
    assert torch.bincount(train.labels).tolist() == [5000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    means = train.images.double().mean((0, 2, 3)) / 255  # type: ignore[union-attr]
    torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]).double(), rtol=0, atol=5e-5)
    assert train.class_names[:3] == ("airplane", "automobile", "bird")
