"""`reslab train-folder`: photos to a model file; every choice is said, and nothing is chosen by the test part."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab import load_model
from reslab.artifacts.record import RecordedRun
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.config import from_dict
from reslab.runs.record import record_run

pytestmark = pytest.mark.usefixtures("no_reports")

COLORS = {"blau": (30, 60, 200), "grün": (40, 170, 60), "rot": (200, 40, 30)}
QUICK = ["--epochs", "2", "--train.log_every", "2", "--evaluation.every", "4", "--train.checkpoint_every", "4"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders: noisy pictures of one colour each, of several sizes; one class has fewer."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    noise = np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for number in range(12 if name == "rot" else 24):
            size = (36 + number % 5, 40 - number % 3, 3)
            pixels = np.clip(np.array(color) + noise.normal(0, 25, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def train(photos: Path, folder: Path, *flags: str) -> int:
    return run(["train-folder", str(photos), "--run-dir", str(folder), *QUICK, *flags])


def test_a_folder_of_class_folders_becomes_a_model_file_and_every_choice_is_said(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(photos, tmp_path / "run") == 0
    said = capsys.readouterr().out
    for words in (
        "held out for validation and",
        "size 36",
        "network cifar_resnet20",
        "2 epochs: as asked",
        "class weights",
    ):
        assert words in said
    (own,) = [line for line in said.splitlines() if line.startswith("your settings replace the plan's: ")]
    assert "evaluation.every 4 (planned: " in own
    assert "data.path" not in own
    folder = RunFolder.open(tmp_path / "run")
    result = folder.result()
    assert result is not None
    assert set(result.final) == {"test", "validation"}
    assert result.selection.startswith("lowest validation error")
    assert load_model(folder.model_path).card.class_names == ("blau", "grün", "rot")
    sizes = folder.environment().data.sizes
    assert sum(sizes.values()) == 60
    assert sizes["validation"] == sizes["test"]
    assert "grün/3.png,grün," in (folder.path / "split.csv").read_text(encoding="utf-8")
    assert run(["record", str(folder.path), "--results", str(tmp_path / "results")]) == 0
    assert (tmp_path / "results" / "folder-photos" / "0.json").exists()  # each folder of photos has a place of its own
    moved = photos.rename(tmp_path / "moved")
    capsys.readouterr()
    assert run(["evaluate", str(folder.path), "--data", str(moved), "--split", "all"]) == 0
    moved.rename(photos)
    parts = ", ".join(f"{sizes[name]} for {name}" for name in sorted(sizes))
    assert f"split all: of its 60 images the run has used {parts}" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "flags",
    [
        ["--data.sampling", "balanced", "--data.augment.erase_probability", "0.5"],
        ["--data.mixup_alpha", "0.4", "--data.cutmix_alpha", "1.0", "--data.augment.randaugment_ops", "2"],
    ],
)
def test_a_stopped_run_goes_on_to_the_same_last_bit(photos: Path, tmp_path: Path, flags: list[str]) -> None:
    assert train(photos, tmp_path / "whole", *flags) == 0
    part = shutil.copytree(tmp_path / "whole", tmp_path / "part")
    for checkpoint in sorted((part / "checkpoints").glob("step-*"))[1:]:
        for file in checkpoint.iterdir():
            file.unlink()
        checkpoint.rmdir()
    for name in ("result.json", "model.safetensors"):
        (part / name).unlink()
    assert run(["train-folder", str(photos), "--run-dir", str(part), "--resume"]) == 0
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (part / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_was_planned_is_not_planned_anew_by_a_resume(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begin = ["train-folder", str(photos), *QUICK]
    assert run(begin) == 0
    folder = RunFolder.open(Path("runs", "folder", "0"))
    before = folder.model_path.read_bytes()
    for path in (folder.path / "result.json", folder.model_path):
        path.unlink()
    monkeypatch.setattr("reslab.cli.commands.train_folder.plan_config", lambda *_, **__: pytest.fail("planned again"))
    capsys.readouterr()
    assert run(["train-folder", "--resume", "--epochs", "3"]) == 0
    printed = capsys.readouterr().out
    assert "runs/folder/0 continues with the plan that it was started with; ignored: --epochs." in printed
    assert folder.model_path.read_bytes() == before


def test_several_seeds_follow_one_plan_and_those_that_come_later_no_other(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    assert train(photos, runs, "--seeds", "0") == 0
    plan = (runs / "config.json").read_bytes()
    assert run(["train-folder", str(photos), "--run-dir", str(runs), "--seeds", "0,1"]) == 2
    assert f"{runs / '0'} already exists and is not empty" in capfd.readouterr().err
    assert not (runs / "1").exists()
    assert train(photos, runs, "--seeds", "0,1", "--resume", "--train.iterations", "77") == 2
    assert "train.iterations: " in capfd.readouterr().err
    assert not (runs / "1").exists()
    moved = photos.rename(tmp_path / "moved")
    assert run(["train-folder", str(moved), "--run-dir", str(runs), "--seeds", "0,1", "--resume"]) == 0
    moved.rename(photos)
    assert (runs / "config.json").read_bytes() == plan
    first, later = (from_dict(RunFolder.open(runs / seed).config()) for seed in "01")
    assert replace(first, seed=1, data=replace(first.data, path=str(moved))) == later


def test_a_run_starts_from_the_weights_of_another_with_other_classes(photos: Path, tmp_path: Path) -> None:
    assert train(photos, tmp_path / "first") == 0
    two = tmp_path / "two"
    for name in ("blau", "rot"):
        (two / name).parent.mkdir(exist_ok=True)
        (two / name).symlink_to(photos / name)
    weights = tmp_path / "first" / "model.safetensors"
    assert train(two, tmp_path / "second", "--weights", str(weights.parent)) == 0  # a finished run is its model file
    folder = RunFolder.open(tmp_path / "second")
    config = from_dict(folder.config())
    assert (config.weights, config.data.mean) == (str(weights), "weights")
    second, first = load_model(folder.model_path), load_model(weights)
    assert second.card.class_names == ("blau", "rot")
    assert second.card.preprocess.mean == first.card.preprocess.mean


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train-folder"], 2, "no photos are named"),
        (
            ["train-folder", "--optim.lr", "1"],
            2,
            "the folder of photos comes first: reslab train-folder DATA",
        ),
        (["train-folder", "--resume"], 1, "runs/folder/0 does not exist"),
        (["train-folder", "nowhere"], 1, "nowhere does not exist"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_rate_that_falls_all_the_time_has_no_drops(photos: Path, tmp_path: Path) -> None:
    assert train(photos, tmp_path / "run", "--train.iterations", "12", "--train.log_every", "4") == 0
    folder = RunFolder.open(tmp_path / "run")
    rates = [row.lr for row in folder.train_rows()]
    assert rates[-1] <= rates[-2] / 2  # the line's end, where it reaches 0
    record = RecordedRun.open(record_run(folder, tmp_path / "results"))
    assert record.rate_drops() == ()


def test_arrays_of_any_number_of_channels_are_planned_for_and_trained_on(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for name in ("wheat", "maize"):
        (tmp_path / "bands" / name).mkdir(parents=True)
        for number in range(20):
            np.save(tmp_path / "bands" / name / f"{number}.npy", noise.integers(0, 256, (36, 36, 7), dtype=np.uint8))
    assert train(tmp_path / "bands", tmp_path / "run", "--data.channels", "7", "--train.iterations", "2") == 0
    assert load_model(tmp_path / "run" / "model.safetensors").spec.in_channels == 7


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train.batch_size", "abc"], "train.batch_size is 'abc'"),
        (["--train.batch_size", "-5"], "batch_size is -5"),
        (["--data.channels", "abc"], "data.channels is 'abc'"),
        (["--optim.lrr", "1"], "no setting is called 'optim.lrr'"),
        (["--optim.lr", "-1"], "lr is -1.0"),
        (["--model", "vgg16"], "model is VGG-16, which takes images of 224x224 pixels only"),
    ],
)
def test_a_setting_that_no_plan_can_be_made_with_is_named(
    flags: list[str], message: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(photos, tmp_path / "run", *flags) == 2
    assert message in capsys.readouterr().err


def test_settings_are_held_against_the_plan_and_not_against_a_usual_one(photos: Path, tmp_path: Path) -> None:
    # of three stages, and smaller than the usual size
    flags = ["--model.num_blocks", "[1,1,1]", "--data.photos.short_side", "40", "--train.iterations", "2"]
    assert train(photos, tmp_path / "run", *flags) == 0
    assert from_dict(RunFolder.open(tmp_path / "run").config()).model.num_blocks == (1, 1, 1)


def test_a_run_goes_on_with_its_data_wherever_and_however_that_is_named(photos: Path, tmp_path: Path) -> None:
    assert train(photos, tmp_path / "run", "--train.iterations", "2", "--data-kind", "folder") == 0
    (tmp_path / "run" / "result.json").unlink()
    moved = photos.rename(tmp_path / "moved")
    assert run(["train", "--resume", "--run-dir", str(tmp_path / "run"), "--data", str(moved)]) == 0
    moved.rename(photos)


def test_a_runs_own_test_images_are_no_validation_images_under_another_name(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, numbers in (("train", range(8)), ("val", range(8, 12))):
        for name in COLORS:
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for number in numbers:
                shutil.copy(photos / name / f"{number}.png", tmp_path / "data" / part / name)
    assert (
        train(tmp_path / "data", tmp_path / "run", "--data.validation_is", "test", "--data.validation_size", "6") == 0
    )
    assert run(["calibrate", str(tmp_path / "run"), "--data", str(tmp_path / "data")]) == 1
    assert "12 of these 12 images are the run's own test or training images" in capsys.readouterr().err
    for given in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        assert run(["evaluate", str(given), "--data", str(tmp_path / "data"), "--split", "validation"]) == 0
    assert len(RunFolder(tmp_path / "run").test_uses()) == 2
    for name in COLORS:  # other pictures that somebody calls a test set are no use of the run's
        (tmp_path / "other" / "test" / name).mkdir(parents=True)
        shutil.copy(photos / name / "0.png", tmp_path / "other" / "test" / name / "another.png")
    assert run(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "other" / "test"), "--split", "all"]) == 0
    assert len(RunFolder(tmp_path / "run").test_uses()) == 2
