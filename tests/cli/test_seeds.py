"""Several seeds by one command: side by side, resumed, stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.artifacts.made_up import environment
from tests.waiting import HANG_SECONDS, until

from reslab import recipe
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.cli.train_seeds import parse_seeds
from reslab.config import to_dict
from reslab.errors import UsageError

_TINY = ["--train.iterations", "4", "--train.log_every", "2", "--compute.precision", "fp32"]


@pytest.mark.parametrize(
    ("text", "seeds"), [("0,1,2", [0, 1, 2]), ("3-5", [3, 4, 5]), ("7", [7]), ("0, 4-5", [0, 4, 5])]
)
def test_seeds_are_lists_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "²", "1,1", "5-3", "0-2,1", "-1"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds is"):
        parse_seeds(text)


def test_a_range_of_seeds_that_runs_backwards_is_said_to() -> None:
    with pytest.raises(UsageError, match=r"--seeds is '0,5-3', but 5-3 is not a range\. Did you mean 3-5\?"):
        parse_seeds("0,5-3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--seeds", "0,1"], "--seeds needs a recipe"),
        (["train", "digits-resnet20", "--seeds", "0,1", "--seed", "3"], "--seeds replaces --seed"),
        (["train", "digits-resnet20", "--jobs", "2"], "--jobs is for several seeds"),
        (["train", "digits-resnet20", "--seeds", "0,1", "--jobs", "0"], "--jobs is 0; allowed: 1 or more"),
        (["train", "digits-resnet20", "--seeds", "0,1", "--optim.lr", "-1"], "lr is -1"),
    ],
)
def test_mistakes_are_found_before_anything_starts(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["train", "digits-resnet20", "--seeds", "0,1"], "--seeds trains"),
        (["reproduce", "depth"], "'reslab reproduce' trains"),
    ],
)
def test_what_starts_processes_of_its_own_is_refused_under_torchrun(
    arguments: list[str],
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(arguments) == 2
    assert (
        f"{what} every network in its own process, but torchrun has started this command 2" in capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_reports", "one_thread")
def test_seeds_side_by_side_end_as_each_alone_does_and_are_complete_when_resumed(tmp_path: Path) -> None:
    words = ["train", "digits-resnet20", *_TINY]
    for flags in ([], ["--resume"]):
        assert run([*words, "--seeds", "0,1", "--jobs", "2", "--run-dir", str(tmp_path / "both"), *flags]) == 0
    assert run([*words, "--seed", "1", "--run-dir", str(tmp_path / "alone")]) == 0
    ours, theirs = (tmp_path / name / "metrics.jsonl" for name in ("both/1", "alone"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert RunFolder.open(tmp_path / "both" / "0").result() is not None


def test_stopping_stops_every_seed_and_saves_it(tmp_path: Path) -> None:
    # one engine is left to choose: measuring several of them first would only take time
    engine = ["--compute.precision", "fp32", "--compute.fused_norm", "off", "--compute.compile", "off"]
    arguments = ["train", "digits-resnet20", "--train.iterations", "100000", "--train.log_every", "2", *engine]
    arguments += ["--seeds", "0-2", "--jobs", "2", "--run-dir", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "reslab", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    logs = [tmp_path / seed / "metrics.jsonl" for seed in "01"]
    until(lambda: process.poll() is not None or all(log.exists() and log.stat().st_size for log in logs))
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=HANG_SECONDS)[1]
    assert process.returncode == 130, errors
    assert errors.count("the state is saved") == 2
    assert not (tmp_path / "2").exists()
    for log in logs:
        step = json.loads(log.read_text().splitlines()[-1])["step"]
        newest = max((log.parent / "checkpoints").glob("step-*")).name
        assert int(newest.removeprefix("step-")) >= step


@pytest.mark.parametrize("flags", [[], ["--resume"]])
@pytest.mark.parametrize("name", ["digits-resnet20", "folder"])
def test_seeds_into_the_folder_of_a_run_are_refused_and_leave_it_as_it_is(
    name: str, flags: list[str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(tmp_path / "run", to_dict(recipe("digits-resnet20")), environment())
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    verb = ["train-folder", str(photos)] if name == "folder" else ["train", name]
    assert run([*verb, "--seeds", "0,1", "--run-dir", str(folder.path), *flags]) == 2
    assert "is a run, but --seeds needs a folder to put one run per seed into" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of eight photos each."""
    for number, name in enumerate(8 * ["one", "two"]):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (15 * number, 9, 9)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"
