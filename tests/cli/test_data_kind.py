"""`--data-kind` reaches the reader of every command that takes it: what lies there is not recognised any more."""

import shutil
from pathlib import Path

import pytest

from reslab.cli.main import run

_CROPS = ("--data.augment.kind", "resized_crop", "--data.augment.crop_size", "8")  # what pictures need


@pytest.fixture
def misnamed(digit_pictures: Path, tmp_path: Path) -> Path:
    """Pictures in a folder called as CIFAR-10's own: taken for that, unless told."""
    return Path(shutil.copytree(digit_pictures, tmp_path / "cifar-10-batches-py"))


@pytest.mark.parametrize(
    "command",
    [
        ["train", "digits-resnet20", "--run-dir", "{run}", "--train.iterations", "1", *_CROPS],
        ["bench", "input", "digits-resnet20", "--seconds", "0.01", *_CROPS],
        ["evaluate", "{model}"],
        ["calibrate", "{model}"],
        ["report", "{model}", "--output", "{run}.html"],
    ],
    ids=lambda command: command[0],
)
def test_a_kind_that_is_named_is_read_whatever_the_folder_looks_like(
    command: list[str], misnamed: Path, digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes((digits_run / "model.safetensors").read_bytes())
    words = [word.format(run=tmp_path / "new", model=model) for word in command]
    assert run([*words, "--data", str(misnamed)]) == 1
    assert "batches.meta" in capsys.readouterr().err  # a file of CIFAR-10, which is not there
    assert run([*words, "--data", str(misnamed), "--data-kind", "folder"]) == 0
