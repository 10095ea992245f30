"""Which images a run sees: parts held out, classes in proportion, files left out before it begins."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_splits
from reslab.config import DataConfig, PhotoConfig, ResizedCrop, override
from reslab.data import FileDataset, Splits
from reslab.data.checks.preflight import FileCheck, contradictory_images, image_paths, remove_unusable
from reslab.data.dataset import stratified_indices
from reslab.data.sources import open_splits, read_split
from reslab.distributed import World
from reslab.errors import RunError, UsageError
from reslab.recipes import recipe
from reslab.runs.context import context_for_timing
from reslab.runs.data import begin_data, data_of_run

COUNTS = {"ant": 40, "bee": 20, "cat": 10}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single folder of class folders."""
    folder = tmp_path_factory.mktemp("classes")
    for name, count in COUNTS.items():
        (folder / name).mkdir()
        for number in range(count):
            Image.effect_noise((12, 10), 60).save(folder / name / f"{number:02d}.png")
    return folder


def paths_of(part: object) -> set[Path]:
    assert isinstance(part, FileDataset)
    return set(part.paths)


def test_test_and_validation_are_disjoint_in_proportion_and_repeatable(classes: Path) -> None:
    config = DataConfig(path=str(classes), test_size=14, validation_size=7)
    splits = build_splits(config)
    parts = [paths_of(part) for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [49, 7, 14]
    assert len(set.union(*parts)) == 70
    assert splits.test is not None
    assert torch.bincount(splits.test.labels).tolist() == [8, 4, 2]
    assert splits.validation is not None
    assert torch.bincount(splits.validation.labels).tolist() == [4, 2, 1]
    assert paths_of(build_splits(config).test) == parts[2]
    other = build_splits(DataConfig(path=str(classes), test_size=14, validation_size=7, validation_seed=1))
    assert paths_of(other.test) != parts[2]


def test_more_than_there_is_cannot_be_held_out(classes: Path) -> None:
    with pytest.raises(RunError, match=r"test_size is 70, but .* has 70 training images"):
        build_splits(DataConfig(path=str(classes), test_size=70))


@given(st.lists(st.sampled_from([0, 1, 1, 2, 3, 30]), min_size=2, max_size=9), st.floats(0, 1), st.integers(0, 99))
def test_holding_out_leaves_an_image_of_every_class(counts: list[int], part: float, seed: int) -> None:
    counts = [*counts, 2]
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    most = len(labels) - len(labels.unique())
    size = max(1, round(part * most))
    kept, held = stratified_indices(labels, size, seed)
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(len(labels)))
    assert len(held) == size
    left = torch.bincount(labels[kept], minlength=len(counts))
    assert torch.equal(left > 0, torch.tensor(counts) > 0)


def test_places_that_a_class_cannot_give_go_to_the_class_furthest_below_its_part() -> None:
    labels = torch.tensor([0] * 6 + [1] + [2] + [3] * 5)
    kept, held = stratified_indices(labels, 7, seed=0)  # 7 / 13 of each: 3.23, 0.54, 0.54, 2.69
    assert torch.bincount(labels[held], minlength=4).tolist() == [4, 0, 0, 3]
    assert torch.bincount(labels[kept]).tolist() == [2, 1, 1, 2]


def test_what_is_held_out_is_as_it_ever_was() -> None:
    labels = torch.tensor([0] * 12 + [1] * 5 + [2] * 3)
    assert stratified_indices(labels, 6, seed=0)[1].tolist() == [3, 6, 8, 9, 12, 19]
    assert stratified_indices(labels, 7, seed=5)[1].tolist() == [1, 5, 9, 11, 13, 15, 19]


def test_more_than_leaves_every_class_an_image_cannot_be_held_out(classes: Path) -> None:
    assert len(build_splits(DataConfig(path=str(classes), validation_size=67)).train) == 3
    with pytest.raises(RunError, match=r"validation_size is 68, .* 3 classes must remain: at most 67 can be held out"):
        build_splits(DataConfig(path=str(classes), validation_size=68))


def test_a_class_without_training_images_in_a_csv_file_is_named(classes: Path, tmp_path: Path) -> None:
    rows = [f"{classes}/{name}/{number:02d}.png,{name},train" for name in ("ant", "bee") for number in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows, f"{classes}/cat/00.png,cat,val"]))
    with pytest.raises(RunError, match="validation has class 'cat', which train does not have"):
        build_splits(DataConfig(path=str(tmp_path / "list.csv")))


def test_a_recorded_split_keeps_the_classes_that_have_no_training_image(tmp_path: Path) -> None:
    rows = ["0.png,ant,train", "1.png,bee,train", "2.png,zebra,test", "3.png,cat,validation", "4.png,bee,validation"]
    (tmp_path / "split.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    splits = read_split(tmp_path / "split.csv", tmp_path, "set", 3)
    assert splits.train.class_names == ("ant", "bee", "cat", "zebra")
    assert (splits.train.labels.tolist(), splits.part("validation").labels.tolist()) == ([0, 1], [2, 1])


def test_the_validation_split_can_be_the_test_split(tmp_path: Path, classes: Path) -> None:
    (tmp_path / "train").symlink_to(classes, target_is_directory=True)
    (tmp_path / "val").symlink_to(classes, target_is_directory=True)
    splits = build_splits(DataConfig(path=str(tmp_path), validation_is="test", validation_size=7))
    assert (len(splits.train), len(splits.part("validation")), len(splits.part("test"))) == (63, 7, 70)
    assert {path.parts[-3] for path in paths_of(splits.test)} == {"val"}
    assert {path.parts[-3] for path in paths_of(splits.validation)} == {"train"}
    assert build_splits(DataConfig(path=str(tmp_path))).test is None


def test_settings_that_the_data_has_no_use_for_are_refused(classes: Path) -> None:
    with pytest.raises(UsageError, match=r"validation_is is 'test', but .* has no validation part"):
        build_splits(DataConfig(path=str(classes), validation_is="test"))
    with pytest.raises(UsageError, match="channels is 3, but digits has images with 1 channel"):
        build_splits(DataConfig(kind="digits", channels=3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"photos": PhotoConfig(size=32)},
            "data.photos.size is 32. .*digits has images of one size in memory.* or set it to none",
        ),
        ({"photos": PhotoConfig(short_side=40)}, "data.photos.short_side is 40. .*but digits"),
        (
            {"photos": PhotoConfig(resize_mode="squash")},
            "data.photos.resize_mode is 'squash'. .*but digits .* or set it to crop",
        ),
        (
            {"photos": PhotoConfig(skip_unreadable=True)},
            "data.photos.skip_unreadable is True. .*but digits .* or set it to false",
        ),
        ({"validation_size": 50}, r"data.validation_size is 50, but digits has a validation .* own \(360 .* to 0"),
        ({"test_size": 50}, r"data.test_size is 50, but digits has a test part of its own \(359 .* to 0"),
    ],
)
def test_no_run_begins_with_settings_that_have_no_effect_on_images_in_memory(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = DataConfig(kind="digits", **settings)
    with pytest.raises(UsageError, match=message):
        begin_data(config, World())
    # one that has begun is opened, as settings without effect were let be
    assert len(data_of_run(RunFolder(tmp_path), config).splits.train) == 1078


@pytest.fixture
def idx(tmp_path: Path) -> str:
    """40 images to train on and 10 to test on, in memory; no validation part."""
    for name, count in (("train", 40), ("t10k", 10)):
        header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (count, 8, 8))
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(header + bytes(count * 64))
        labels = bytes(number % 2 for number in range(count))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1]) + count.to_bytes(4, "big") + labels)
    return str(tmp_path)


def test_a_part_that_the_data_lacks_is_held_out_when_a_run_begins(idx: str) -> None:
    splits = begin_data(DataConfig(path=idx, validation_size=8), World()).splits
    assert [len(splits.part(name)) for name in ("train", "validation", "test")] == [32, 8, 10]
    with pytest.raises(UsageError, match=r"data.test_size is 5, but .* has a test part of its own \(10 images\)"):
        begin_data(DataConfig(path=idx, test_size=5), World())


def test_a_part_to_monitor_that_is_missing_is_said_with_the_setting_that_makes_it(idx: str) -> None:
    config = override(recipe("digits-resnet20"), {"data": {"path": idx, "kind": "idx"}})
    with pytest.raises(RunError, match=r"no split 'validation'; .* evaluation.monitor .* data.validation_size, or set"):
        context_for_timing(config)


def test_a_recipe_may_carry_a_size_to_hold_out_for_folders_without_the_part(
    classes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train", "val"):
        for one in COUNTS:
            (tmp_path / name / one).mkdir(parents=True)
            Image.effect_noise((12, 10), 60).save(tmp_path / name / one / "0.png")
    with caplog.at_level("INFO", "reslab"):
        splits = begin_data(DataConfig(path=str(tmp_path), validation_size=50_000), World()).splits
    assert len(splits.part("validation")) == len(splits.train) == 3
    assert "data.validation_size is 50000, but" in caplog.text
    assert "has a validation part of its own (3 images): that is used, and nothing is held out for it." in caplog.text


def test_a_shorter_side_is_for_a_crop(classes: Path) -> None:
    photos, augment = str(classes), ResizedCrop(crop_size=32)
    with pytest.raises(
        UsageError, match=r"data.photos.short_side is 40, but data.photos.resize_mode is 'letterbox'.*set it to none"
    ):
        begin_data(
            DataConfig(path=photos, augment=augment, photos=PhotoConfig(short_side=40, resize_mode="letterbox")),
            World(),
        )
    # as `train folder` plans it: as long as the square, so that nothing is cropped anyway
    for size, short_side in ((40, 40), (None, 32), (None, None)):
        settings = PhotoConfig(resize_mode="squash", size=size, short_side=short_side)
        begin_data(DataConfig(path=photos, augment=augment, photos=settings), World())


def test_training_warns_of_a_folder_of_images_that_is_no_split_by_its_name(
    classes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train", "testing"):
        (tmp_path / name).symlink_to(classes, target_is_directory=True)
    begin_data(DataConfig(path=str(tmp_path)), World())
    assert f"{tmp_path / 'testing'}: 70 images not used" in caplog.text
    caplog.clear()
    begin_data(DataConfig(path=str(classes)), World())
    assert "not used" not in caplog.text


def test_training_warns_of_images_that_are_none_by_their_name_and_of_transparent_ones(
    classes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(classes, tmp_path / "classes")
    shutil.copy(folder / "ant" / "00.png", folder / "ant" / "00.picture")
    Image.new("RGBA", (24, 24), (250, 0, 0, 40)).save(folder / "bee" / "glass.png")
    begin_data(DataConfig(path=str(folder)), World())
    assert f"1 file not used: images without an image's suffix, such as {folder / 'ant'}" in caplog.text
    assert "1 image with transparent parts" in caplog.text
    caplog.clear()
    begin_data(DataConfig(path=str(folder), channels=4), World())
    assert "transparent" not in caplog.text


def test_a_folder_of_classes_and_a_csv_file_are_recognised(classes: Path, tmp_path: Path) -> None:
    assert open_splits("auto", str(classes)).train.class_names == ("ant", "bee", "cat")
    rows = [
        f"{path},{path.parent.name},{'val' if path.stem < '02' else 'train'}" for path in sorted(classes.rglob("*.png"))
    ]
    (tmp_path / "list.CSV").write_text("\n".join(["path,label,split", *rows]))
    splits = open_splits("auto", str(tmp_path / "list.CSV"))
    assert (len(splits.train), len(splits.part("validation"))) == (64, 6)
    assert splits.train.name == "list"


def test_the_number_of_channels_reaches_the_data(classes: Path) -> None:
    assert build_splits(DataConfig(path=str(classes))).train.num_channels == 3
    assert build_splits(DataConfig(path=str(classes), channels=1)).train.num_channels == 1


# --- what is left out before a run ------------------------------------------------------------------------------------


def make(names: dict[str, str]) -> tuple[Splits, list[FileCheck]]:
    """Splits from {"train": "aab ..."}: each letter is an image with those bytes, "!" one that cannot be read."""
    parts = {}
    for split, letters in names.items():
        paths = tuple(Path(f"{split}/{number}{letter}") for number, letter in enumerate(letters))
        parts[split] = FileDataset("set", paths, torch.arange(len(paths)) % 2, ("x", "y"))
    splits = Splits(parts["train"], parts.get("validation"), parts.get("test"))
    checks = [FileCheck("is cut off" if path.name[-1] == "!" else None, path.name[-1]) for path in image_paths(splits)]
    return splits, checks


def names_of(part: object) -> str:
    assert isinstance(part, FileDataset)
    return "".join(path.name[-1] for path in part.paths)


def test_an_image_in_two_splits_stays_where_it_is_worth_most() -> None:
    splits, verdicts = make({"train": "abcdefg", "validation": "hcijb", "test": "kbljm"})
    kept, skipped = remove_unusable(splits, verdicts, skip_unreadable=False)
    assert [names_of(part) for part in (kept.train, kept.validation, kept.test)] == ["adefg", "hci", "kbljm"]
    assert {(one.split, one.path.name, one.reason) for one in skipped} == {
        ("train", "1b", "the same image is in test: test/1b"),
        ("train", "2c", "the same image is in validation: validation/1c"),
        ("validation", "4b", "the same image is in test: test/1b"),
        ("validation", "3j", "the same image is in test: test/3j"),
    }


def test_copies_within_a_split_stay() -> None:
    splits, verdicts = make({"train": "aabb", "validation": "cc"})
    assert remove_unusable(splits, verdicts, skip_unreadable=False) == (splits, ())
    groups = [(Path("train/0a"), Path("train/1a")), (Path("train/2b"), Path("train/3b"))]
    assert contradictory_images(splits, verdicts) == groups


def test_unreadable_files_stop_a_run_and_are_named_up_to_five() -> None:
    splits, verdicts = make({"train": "a!b!c!!!!d", "validation": "ef"})
    with pytest.raises(
        RunError, match=r"6 of 12 images cannot be read: train/1!: is cut off; .*; and 1 more\. "
    ) as raised:
        remove_unusable(splits, verdicts, skip_unreadable=False)
    assert "reslab data check" in str(raised.value)
    assert "data.photos.skip_unreadable" in str(raised.value)
    kept, skipped = remove_unusable(splits, verdicts, skip_unreadable=True)
    assert names_of(kept.train) == "abcd"
    assert len(skipped) == 6


def test_unreadable_files_are_never_the_same_image() -> None:
    splits, verdicts = make({"train": "a!bc", "validation": "d!ef"})
    kept, skipped = remove_unusable(splits, verdicts, skip_unreadable=True)
    assert (names_of(kept.train), names_of(kept.validation), len(skipped)) == ("abc", "def", 2)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_the_reading_and_come_to_the_same_data(
    world_size: int, classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DataConfig(path=str(classes), validation_size=20, test_size=10)
    lists: list[list[FileCheck]] = []

    def keep(values: list[FileCheck]) -> list[list[FileCheck]]:
        lists.append(values)
        raise InterruptedError

    monkeypatch.setattr("reslab.runs.data.gather_lists", keep)
    for rank in range(world_size):
        with pytest.raises(InterruptedError):
            begin_data(config, World(rank, world_size))
    assert sum(map(len, lists)) == 70
    paths = image_paths(build_splits(config))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    settled: list[Sequence[FileCheck]] = []

    def note(splits: Splits, verdicts: Sequence[FileCheck], **_: object) -> tuple[Splits, tuple[()]]:
        settled.append(verdicts)
        return splits, ()

    monkeypatch.setattr("reslab.runs.data.gather_lists", lambda _: lists)
    monkeypatch.setattr("reslab.runs.data.remove_unusable", note)
    begin_data(config, World(world_size - 1, world_size))
    assert [verdict.digest for verdict in settled[0]] == digests


def test_a_class_of_which_nothing_is_left_is_named_with_a_reason() -> None:
    splits, verdicts = make({"train": "a!b!", "validation": "ef"})
    message = r"train has no image of class 'y' left: 2 were left out, such as train/1!: is cut off\. Remove"
    with pytest.raises(RunError, match=message):
        remove_unusable(splits, verdicts, skip_unreadable=True)
