"""What a new user gets wrong: each a short message that names the value, the right exit code, nothing left behind."""

import errno
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from reslab.cli.main import run

pytestmark = pytest.mark.usefixtures("no_reports")

FAST = [
    "--train.iterations",
    "4",
    "--train.log_every",
    "2",
    "--evaluation.every",
    "4",
    "--train.checkpoint_every",
    "2",
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESLAB_DATA", raising=False)


def complain(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Run a command that has to fail with `code`; return what it says on standard error."""
    assert run(arguments) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "cifar-resnet21"], "no recipe is called 'cifar-resnet21'"),
        (["train", "digit-resnet20"], "Did you mean 'digits-resnet20'?"),
        (["train"], "no recipe is named"),
        (["train", "digits-resnet20", "--optim.lrr", "1"], "no setting is called 'optim.lrr'"),
        (["train", "digits-resnet20", "--sed", "1"], "Did you mean 'seed'?"),
        (["train", "digits-resnet20", "--optim.lr", "fast"], "optim.lr is 'fast'; it should be a valid number"),
        (["train", "digits-resnet20", "--optim.lr", "-1"], "lr is -1.0; allowed: a number above 0"),
        (
            ["train", "digits-resnet20", "--optim.kind", "muon", "--optim.lr", "1e308"],
            "lr is 1e+308; allowed: a number",
        ),
        (["train", "digits-resnet20", "--optim.lr"], "--optim.lr needs a value"),
        (
            ["train", "digits-resnet20", "--train.iterations", "2.5"],
            "train.iterations is 2.5; it should be a valid integer",
        ),
        (["train", "digits-resnet20", "--schedule.kind", "cosin"], "Did you mean 'cosine'?"),
        (
            ["train", "digits-resnet20", "--evaluation.select", "best", "--evaluation.monitor", "test"],
            "on the test set",
        ),
        (["train", "digits-resnet20", "--model.shortcut", "D"], "model.shortcut is 'D'; allowed: A, B, C, none"),
        (["train", "digits-resnet20", "stray"], "'stray' belongs to no option"),
        (["train", "digits-resnet20", "--config", "absent.toml"], "absent.toml"),
        (["train", "digits-resnet20", "--data", "."], "trained on digits"),
        (["train", "--optim.lr", "1"], "--optim.lr"),
        (
            ["train", "digits-resnet20", "--model.num_blocks", "2,2,2"],
            "should be a list in brackets, like '[2,2,2]'",
        ),
        (["train", "digits-resnet20", "--schedule.milestones", "50"], "it should be a list in brackets, like '[50]'"),
        (["train", "digits-resnet20", "--schedule.milestones", "half"], "should be a list in brackets, like '[1,2,3]'"),
        (["train", "absent.json"], "absent.json does not exist. To repeat a run, name the config.json in its folder"),
        (["train", "my-config.json"], "my-config.json does not exist. To repeat a run"),
        (["train", "absent.toml"], "goes with a recipe: reslab train RECIPE --config absent.toml"),
        (["train", "."], "is a folder, not a recipe. To train on photos in it: 'reslab train-folder .'"),
        (["train", ".", "--resume"], "is a folder, not a recipe. To resume a run: reslab train --resume --run-dir ."),
        (["describe", "resnet35"], "Nearest: resnet34"),
        (["describe", "cifar_resnet21"], "Nearest: cifar_resnet20"),
        (["describe"], "name one network, or --all"),
        (["describe", "plain34", "--shortcut", "B"], "has no shortcuts"),
        (["recipes", "show", "cifar-resnt110"], "Did you mean 'cifar-resnet110'?"),
        (["compare"], "no runs are named"),
        (["trian"], "Did you mean"),
        (["demo", "--seeds", "0"], "at least 1 seed"),
    ],
)
def test_a_wrong_word_is_named_and_nothing_is_made(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = 1 if "trained on digits" in words else 2
    words = "is not a data set" if code == 1 else words
    assert words in complain(capsys, *arguments, code=code)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "cifar-resnet20", "--data", "nowhere"], "nowhere does not exist"),
        (["train", "imagenet-resnet18"], "data.path is not set"),
        (["evaluate", "nowhere"], "nowhere does not exist"),
        (["report", "nowhere"], "nowhere does not exist"),
        (["record", "nowhere"], "nowhere does not exist"),
        (["compare", "nowhere"], "nowhere does not exist"),
        (["train", "--resume", "--run-dir", "nowhere"], "nowhere does not exist"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_made(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert words in complain(capsys, *arguments, code=1)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_and_a_foreign_one_are_no_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Path("empty").mkdir()
    Path("foreign").mkdir()
    Path("foreign/config.json").write_text(json.dumps({"name": "another program's"}))
    Path("foreign/notes.txt").write_text("mine")
    for verb in (["report"], ["record"], ["evaluate"], ["compare"], ["train", "--resume", "--run-dir"]):
        assert "empty is not a run folder" in complain(capsys, *verb, "empty", code=1)
        assert "foreign/config.json: format version is None" in complain(capsys, *verb, "foreign", code=1)
    said = complain(capsys, "train", "digits-resnet20", "--run-dir", "foreign/notes.txt", code=2)
    assert "foreign/notes.txt is a file, but a run needs a folder" in said
    assert "already exists and is not empty" in complain(
        capsys, "train", "digits-resnet20", "--run-dir", "foreign", code=2
    )
    assert sorted(path.name for path in Path("foreign").iterdir()) == ["config.json", "notes.txt"]
    for name, theirs in (("environment.json", {"python": "3.11"}), ("split.csv", [])):  # as ours are called
        Path(name[:5]).mkdir()
        Path(name[:5], name).write_text(json.dumps(theirs))
        assert "already exists and is not empty" in complain(
            capsys, "train", "digits-resnet20", "--run-dir", name[:5], code=2
        )


def test_a_foreign_model_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    safetensors.torch.save_file({"w": torch.zeros(1)}, "theirs.safetensors")
    assert "does not describe the network" in complain(capsys, "evaluate", "theirs.safetensors", code=1)


def test_a_truncated_archive_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import tarfile

    folder = Path("cifar-10-batches-bin")
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(torch.randint(0, 10, (30_730_0,), dtype=torch.uint8).numpy().tobytes())
    with tarfile.open("cifar.tar.gz", "w:gz") as archive:
        archive.add(folder)
    Path("cut.tar.gz").write_bytes(Path("cifar.tar.gz").read_bytes()[:-1000])
    said = complain(capsys, "train", "cifar-resnet20", "--data", "cut.tar.gz", code=1)
    assert "cut.tar.gz: " in said
    assert "cut off" in said or "damaged" in said
    assert not Path("runs").exists()


def test_a_full_disk_at_the_start_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    said = complain(capsys, "train", "digits-resnet20", *FAST, "--run-dir", "run", code=1)
    assert "No space left on device" in said
    assert not Path("run").exists()


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_the_run_can_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    real, written = os.fsync, []

    def fills_up(handle: int) -> None:
        written.append(handle)
        if len(written) > 9:  # the run folder's files and the first checkpoint fit
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fills_up)
        said = complain(capsys, "train", "digits-resnet20", *FAST, "--run-dir", "run", code=1)
    assert "No space left on device" in said
    assert [path.name for path in Path("run/checkpoints").glob("step-*")] == ["step-00000002"]
    assert [path.name for path in Path("run").rglob(".*")] == [".lock"]  # no half-written files
    assert run(["train", "--resume", "--run-dir", "run"]) == 0
    assert "resumed at step 2" in capsys.readouterr().err


def test_resuming_with_another_config_names_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "digits-resnet20", *FAST, "--run-dir", "run"]) == 0
    said = complain(
        capsys, "train", "digits-resnet20", *FAST, "--optim.lr", "0.2", "--resume", "--run-dir", "run", code=2
    )
    assert "optim.lr: 0.05 in the run, 0.2 given" in said


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "digits-resnet20", *FAST, "--run-dir", "run"]) == 0
    whole = Path("run/model.safetensors").read_bytes()
    for name in ("model.safetensors", "result.json"):
        Path("run", name).unlink()
    victim = Path("run/checkpoints/step-00000004/training.safetensors")
    victim.write_bytes(victim.read_bytes()[:-1])
    assert run(["train", "--resume", "--run-dir", "run"]) == 0
    said = capsys.readouterr().err
    assert "step-00000004/training.safetensors: damaged" in said
    assert "resumed at step 2" in said
    assert Path("run/model.safetensors").read_bytes() == whole
