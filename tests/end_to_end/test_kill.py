"""A run killed at random moments while it trains, and resumed each time, ends with the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.waiting import HANG_SECONDS

from reslab.artifacts.checkpoint import CheckpointFolder
from reslab.cli.main import run


def _words(recipe: str, path: Path, *options: str) -> list[str]:
    return ["train", recipe, *options, "--run-dir", str(path)]


def _newest(path: Path) -> int:
    return max(CheckpointFolder(path / "checkpoints").steps(), default=0)


def kill_and_resume(recipe: str, path: Path, *options: str, kills: int, polite: int, seed: int) -> list[int]:
    """Kill a run `kills` times, each time past a new checkpoint; return the steps it was resumed at.

    Each kill waits until the process has saved a checkpoint of its own, then a random moment, so that it strikes a
    process which trains; the last `polite` ones are polite (SIGTERM).
    """
    random_moments = random.Random(seed)
    resumed_at: list[int] = []
    for number in range(kills):
        before = _newest(path)
        if number:
            resumed_at.append(before)
        flags = ("--resume",) if number else ()
        process = subprocess.Popen(
            [sys.executable, "-m", "reslab", *_words(recipe, path, *options, *flags)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + HANG_SECONDS
        while _newest(path) <= before:
            assert process.poll() is None, f"ended before kill {number + 1}: {process.stderr.read()[-2000:]}"  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random_moments.uniform(0, 0.1))
        assert process.poll() is None, "the run was over before it could be killed"
        process.send_signal(signal.SIGTERM if number >= kills - polite else signal.SIGKILL)
        said = process.communicate(timeout=HANG_SECONDS)[1]
        assert process.returncode in (-signal.SIGKILL, 130), said[-2000:]
        assert number == 0 or f"resumed at step {before}." in said
    resumed_at.append(_newest(path))
    assert run(_words(recipe, path, *options, "--resume")) == 0
    return resumed_at


def assert_same_bits(one: Path, other: Path) -> None:
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.usefixtures("no_reports", "one_thread")
def test_a_digits_run_killed_three_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    options = (
        "--train.iterations", "160", "--train.log_every", "7", "--evaluation.every", "40",
        "--train.checkpoint_every", "8", "--model.num_blocks", "[1,1,1]",
    )  # fmt: skip
    assert run(_words("digits-resnet20", tmp_path / "whole", *options)) == 0
    steps = kill_and_resume("digits-resnet20", tmp_path / "killed", *options, kills=3, polite=1, seed=1)
    assert len(steps) == 3
    assert all(step > 0 for step in steps)
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.usefixtures("no_reports", "one_thread")
def test_a_cifar_run_killed_ten_times_ends_with_the_same_bits(tmp_path: Path, data_root: Path) -> None:
    assert os.environ["RESLAB_DATA"] == str(data_root)
    options = (
        "--train.iterations", "260", "--train.log_every", "20", "--evaluation.every", "100",
        "--train.checkpoint_every", "10", "--evaluation.final_training_error", "false",
    )  # fmt: skip
    assert run(_words("cifar-resnet20", tmp_path / "whole", *options)) == 0
    steps = kill_and_resume("cifar-resnet20", tmp_path / "killed", *options, kills=10, polite=2, seed=2)
    assert len(steps) == 10
    assert all(step > 0 for step in steps)
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")
