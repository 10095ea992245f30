"""Image folders, and what lies at a path."""

from pathlib import Path

import pytest
from PIL import Image

from reslab.builders import build_splits
from reslab.config import DataConfig
from reslab.data.sources import open_splits
from reslab.errors import RunError, UsageError
from reslab.recipes.folder import FolderOptions
from reslab.runs.auto_config import plan_for_data


def write(folder: Path, parts: dict[str, list[str]], count: int = 2) -> Path:
    """Write an image folder: {"train": ["cat", "dog"], ...}."""
    for part, classes in parts.items():
        for number, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                picture = Image.new("RGB", (40 + 4 * index, 30), (50 * number, 90, 10 * index))
                picture.save(folder / part / name / f"{index}.{'JPG' if index else 'png'}")
    return folder


def test_a_folder_is_recognised_and_its_classes_are_sorted(tmp_path: Path) -> None:
    path = write(tmp_path / "pets", {"train": ["katze", "Hund", "犬"], "val": ["katze", "Hund", "犬"]})
    (path / "train" / "katze" / ".hidden.png").write_bytes(b"")
    (path / "train" / "katze" / "notes.txt").write_text("not an image")
    splits = open_splits("auto", str(path))
    assert splits.train.class_names == ("Hund", "katze", "犬")
    assert splits.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(splits.part("validation")) == 6
    assert splits.test is None


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_validation_part_has_three_names(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"train": ["a", "b"], name: ["a", "b"], "test": ["a", "b"]})
    splits = open_splits("folder", str(tmp_path))
    assert splits.validation is not None
    assert splits.test is not None


def test_a_class_missing_from_a_split_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"train": ["a", "b", "c"], "val": ["a", "c", "d"]})
    with pytest.raises(
        RunError, match=r"val has no class 'b', which train has; .*val has class 'd', which train does not have"
    ):
        open_splits("auto", str(tmp_path))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": []}, r"has no folder 'train'"),
        ({"val": ["a", "b"]}, r"no folder 'train' next to it"),
    ],
)
def test_a_folder_of_another_layout_is_refused_with_the_expected_one(
    tmp_path: Path, parts: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        open_splits("folder", str(write(tmp_path, parts)))


def test_images_of_one_class_can_be_judged_but_nothing_is_trained_on_them(tmp_path: Path) -> None:
    config = DataConfig(path=str(write(tmp_path, {"train": ["cat"]})))
    assert build_splits(config).train.class_names == ("cat",)
    with pytest.raises(RunError, match=r"all training images are of class 'cat'\. A classifier needs at least 2"):
        build_splits(config, for_new_run=True)
    with pytest.raises(RunError, match=r"A classifier needs at least 2"):
        plan_for_data(tmp_path, FolderOptions())


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"train": ["a", "b"]})
    (tmp_path / "train" / "c").mkdir()
    with pytest.raises(RunError, match=r"train/c: has no images"):
        open_splits("auto", str(tmp_path))


def test_what_is_not_understood_says_what_is(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a data set\. The data \(data\.path\) can be CIFAR-10"):
        open_splits("auto", str(tmp_path))
    with pytest.raises(RunError, match="does not exist"):
        open_splits("auto", str(tmp_path / "absent"))
    with pytest.raises(RunError, match="is not data of kind 'cifar10'"):
        open_splits("cifar10", str(write(tmp_path / "f", {"train": ["a", "b"]})))
    with pytest.raises(UsageError, match="'cifar11'; allowed"):
        open_splits("cifar11", None)
    with pytest.raises(UsageError, match="takes no path"):
        open_splits("digits", str(tmp_path))
    with pytest.raises(RunError, match=r"data\.path is not set"):
        open_splits("folder", None)
