"""Training on a folder with bad files: refused, or completed with each skipped file recorded and never seen again."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.ruin import ruin, ruin_files, snapshot, write_clean

from reslab import RunError, override, recipe, train_run
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.config import from_dict
from reslab.data.sources import open_splits

pytestmark = pytest.mark.usefixtures("no_reports")

TRAIN = {"iterations": 2, "batch_size": 4, "log_every": 1, "checkpoint_every": 1}
WIDTHS = [8, 16, 32, 64]  # an eighth of the paper's: what is asked is which files are read
AUGMENT = {"min_short_side": 36, "max_short_side": 48, "crop_size": 32}
FAST = [
    *(text for name, value in TRAIN.items() for text in (f"--train.{name}", str(value))),
    *(text for name, value in AUGMENT.items() for text in (f"--data.augment.{name}", str(value))),
    "--evaluation.every", "2", "--compute.precision", "fp32", "--model.widths", str(WIDTHS),
]  # fmt: skip
UNUSABLE = {"zero-byte", "truncated", "not-an-image", "unsupported-format", "bomb", "damaged", "unknown-range",
            "missing-file", "unreadable"}  # fmt: skip


def make_config(data: Path, **changes: Any) -> Any:
    changes = {"path": str(data), "augment": AUGMENT, **changes}
    parts = {"data": changes, "train": TRAIN, "evaluation": {"every": 2}, "compute": {"precision": "fp32"}}
    return override(recipe("imagenet-resnet18"), parts, {"model": {"widths": WIDTHS}})


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Path]]]:
    """A folder whose structure is whole, with bad files."""
    folder = tmp_path_factory.mktemp("bad")
    return folder, ruin_files(write_clean(folder))


@pytest.fixture(scope="module")
def skipping(bad: tuple[Path, dict[str, list[Path]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that left the bad files out."""
    path = tmp_path_factory.mktemp("runs") / "skipping"
    arguments = ["train", "imagenet-resnet18", "--data", str(bad[0]), *FAST, "--skip-unreadable"]
    assert run([*arguments, "--run-dir", str(path)]) == 0
    return path


def test_a_ruined_structure_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ruin(write_clean(tmp_path / "data"))
    arguments = ["train", "imagenet-resnet18", "--data", str(tmp_path / "data"), *FAST, "--skip-unreadable"]
    assert run([*arguments, "--run-dir", str(tmp_path / "run")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "val and valid both mean validation" in said
    assert f"'reslab data check {tmp_path / 'data'}' lists everything" in said
    assert not (tmp_path / "run").exists()


def test_unreadable_files_are_refused_with_the_way_to_go_on(
    bad: tuple[Path, dict[str, list[Path]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, planted = bad
    total = sum(len(paths) for kind, paths in planted.items() if kind in UNUSABLE)
    assert run(["train", "imagenet-resnet18", "--data", str(folder), *FAST, "--run-dir", str(tmp_path / "run")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"{total} of " in said
    assert f"images cannot be read: {folder}/train/ant/cut.jpg: " in said
    assert f"; and {total - 5} more" in said
    assert "data.photos.skip_unreadable" in said
    assert not (tmp_path / "run").exists()


def test_every_skipped_file_is_recorded_with_its_reason(
    bad: tuple[Path, dict[str, list[Path]]], skipping: Path
) -> None:
    folder, planted = bad
    skipped = {path: (split, reason) for path, split, reason in read(skipping / "skipped.csv")}
    unusable = {str(path.relative_to(folder)) for kind in UNUSABLE for path in planted[kind]}
    shared = {"train/ant/seen.jpeg": "validation", "val/ant/known.JPG": "test"}
    assert set(skipped) == unusable | set(shared)
    assert skipped["train/ant/page.jpg"] == ("train", "is not an image, but a web page")
    assert skipped["train/ant/seen.jpeg"] == (
        "train",
        "the same image is in validation: " + str(folder / "val/ant/00.jpeg"),
    )
    used = read(skipping / "split.csv")
    everything = {
        str(path.relative_to(folder))
        for part in ("train", "val", "test")
        for path in (folder / part).rglob("*")
        if not path.is_dir() and not path.name.startswith(".")
    }
    assert {path for path, _, _ in used} == everything - set(skipped)
    assert RunFolder.open(skipping).environment().data.skipped == len(skipped)


def test_training_changes_nothing_in_the_data(bad: tuple[Path, dict[str, list[Path]]], tmp_path: Path) -> None:
    before = snapshot(bad[0])
    train_run(make_config(bad[0], photos={"skip_unreadable": True}), tmp_path / "run")
    assert snapshot(bad[0]) == before


def test_a_run_goes_on_with_the_very_same_images(
    bad: tuple[Path, dict[str, list[Path]]], skipping: Path, tmp_path: Path
) -> None:
    data = tmp_path / "moved"
    shutil.copytree(bad[0], data, symlinks=True)
    part = tmp_path / "part"
    shutil.copytree(skipping, part)
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000002/state.json"):
        (part / name).unlink()
    # what comes later is not in the run, and what was left out is not looked at again
    shutil.copy(data / "train" / "ant" / "02.jpeg", data / "train" / "ant" / "later.jpeg")
    Image.effect_noise((40, 40), 50).save(data / "train" / "ant" / "empty.jpg")
    assert run(["train", "--resume", "--run-dir", str(part), "--data", str(data)]) == 0
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (part / name).read_bytes() == (skipping / name).read_bytes()


def test_evaluation_of_a_run_judges_the_images_of_the_run(skipping: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = RunFolder.open(skipping).environment().data.sizes
    result = RunFolder.open(skipping).result()
    assert result is not None
    for split in ("validation", "test"):
        capsys.readouterr()
        assert run(["evaluate", str(skipping), "--split", split, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["total"], found["correct"]) == (sizes[split], result.final[split].correct)


def test_the_split_of_a_run_is_a_csv_layout(
    bad: tuple[Path, dict[str, list[Path]]], skipping: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(bad[0], data, symlinks=True)
    shutil.copy(skipping / "split.csv", data / "split.csv")
    again = train_run(make_config(data / "split.csv"), tmp_path / "again")
    assert (again.path / "metrics.jsonl").read_bytes() == (skipping / "metrics.jsonl").read_bytes()
    assert read(again.path / "skipped.csv") == []


def test_names_of_every_sort_come_back_from_the_recorded_split(tmp_path: Path) -> None:
    names = ["a, b", 'quo"te', "犬", " spaced"]
    for name in names:
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            Image.effect_noise((40, 36), 60).save(tmp_path / "data" / name / f"{number},{name}\n.png")
    folder = train_run(make_config(tmp_path / "data", validation_size=8), tmp_path / "run")
    (folder.path / "result.json").unlink()
    assert train_run(make_config(tmp_path / "data", validation_size=8), folder.path, resume=True).result() is not None
    shutil.copy(folder.path / "split.csv", tmp_path / "data" / "split.csv")
    splits = open_splits("auto", str(tmp_path / "data" / "split.csv"))
    assert splits.train.class_names == tuple(sorted(names))
    assert splits.train.fingerprint() == folder.environment().data.fingerprint


def test_a_run_on_classes_of_one_image_can_be_opened_and_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"common": 9, "often": 9, **{f"rare{number}": 1 for number in range(4)}}
    for name, count in counts.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(count):
            Image.effect_noise((40, 36), 60).save(tmp_path / "data" / name / f"{number}.png")
    path = tmp_path / "run"
    held = ["--data.validation_size", "6", "--train.class_weights", "balanced"]
    arguments = ["train", "imagenet-resnet18", "--data", str(tmp_path / "data"), *FAST, *held, "--run-dir", str(path)]
    assert run(arguments) == 0
    trained = {label for _, label, split in read(path / "split.csv") if split == "train"}
    assert trained == set(counts)
    assert run(["evaluate", str(path), "--split", "validation"]) == 0
    (path / "result.json").unlink()
    assert run(["train", "--resume", "--run-dir", str(path)]) == 0
    # so can a run that was begun when a class could lose all its training images
    rows = (path / "split.csv").read_text().replace("rare3,train", "rare3,validation")
    (path / "split.csv").write_text(rows)
    capsys.readouterr()
    assert run(["evaluate", str(path), "--split", "validation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == 7


def test_a_recorded_split_that_was_damaged_is_named(skipping: Path, tmp_path: Path) -> None:
    shutil.copytree(skipping, tmp_path / "run")
    (tmp_path / "run" / "split.csv").write_text("path,label,split\na.jpg,ant\n")
    with pytest.raises(RunError, match=r"split\.csv: damaged"):
        train_run(_config_of(tmp_path / "run"), tmp_path / "run", resume=True)


def _config_of(path: Path) -> Any:
    from reslab.runs.session import read_config

    return read_config(RunFolder.open(path))


@pytest.mark.parametrize("channels", [1, 4])
def test_photos_train_with_one_channel_and_with_four(channels: int, tmp_path: Path) -> None:
    write_clean(tmp_path / "data")
    folder = train_run(make_config(tmp_path / "data", channels=channels), tmp_path / "run")
    assert from_dict(folder.config()).model.in_channels == channels
    assert run(["evaluate", str(folder.path)]) == 0


def test_arrays_train_with_any_number_of_channels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("water", "wood"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for number in range(4):
                values = generator.integers(0, 65536, (40, 40, 7), dtype=np.uint16)
                np.save(tmp_path / "data" / part / name / f"{number}.npy", values)
    with pytest.raises(RunError, match=r"16 of 16 images cannot be read: .* has 7 channels, not 3; set data\.channels"):
        train_run(make_config(tmp_path / "data"), tmp_path / "run")
    folder = train_run(make_config(tmp_path / "data", channels=7), tmp_path / "run")
    assert from_dict(folder.config()).model.in_channels == 7


def test_a_picture_too_long_to_be_resized_is_refused_before_any_training(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            Image.new("RGB", (40, 40), (90, 20, 200 if part == "test" else 10)).save(
                tmp_path / "data" / part / name / "1.png"
            )
    Image.new("RGB", (200_000, 1)).save(tmp_path / "data" / "test" / "cat" / "line.png")
    with pytest.raises(RunError, match=r"line\.png: has 200000x1 pixels: with its shorter side resized"):
        train_run(make_config(tmp_path / "data", validation_size=0), tmp_path / "run")
    assert not (tmp_path / "run").exists()
