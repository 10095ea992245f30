"""Two processes under torchrun equal one: without batch norm, and with it over groups of half the batch.

In float64 they are equal but for its last bits. In float32 each rounds the same sums in another order. That alone would
move the weights by some 1e-7, but a rounding that carries an activation over the edge of a ReLU switches that
activation's whole share of the gradient, and on which processor and at which step that happens depends on its kernels.
So the bound is on the update as a whole, and follows from the sums: an activation is a sum of n = 9 x 64 products at
most, whose rounding is about sqrt(n) u of its spread (u = 2^-24; random signs). Of values of that spread, a part of
2 phi(0) sqrt(n) u lies so near to 0. When that part of equally large, independent shares switches, the gradient changes
by the root of it, relative to its norm: 1.1e-3. A factor of 4 allows for shares of unequal size. What a fault in the
exchange does, such as a micro-batch that is missing, is of the order of 1.
"""

import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from reslab.artifacts.metrics_log import EvaluationRow, metrics_log
from reslab.cli.main import run
from tests.waiting import HANG_SECONDS

from .exact import distance, exact_config, first_weights, relative_distance, train_weights

_SETTINGS = [
    "--compute.precision", "fp32", "--train.log_every", "4", "--evaluation.every", "4",
    "--train.iterations", "8", "--train.checkpoint_every", "4", "--warmup.kind", "none",
]  # fmt: skip
_COMMON = ["train", "digits-resnet20", *_SETTINGS]
# two pieces for each process: gradients are exchanged with the last one only
_NO_NORM = ["--model.norm", "none", "--optim.lr", "0.005", "--train.accumulation_steps", "2"]
_SMALL_STEPS = ["--optim.lr", "0.001", "--train.iterations", "4"]
_PAIR = [*_SMALL_STEPS, "--train.checkpoint_every", "2"]
_ROUNDING = 4 * math.sqrt(math.sqrt(2 / math.pi) * math.sqrt(9 * 64) * 2**-24)  # 2 phi(0) = sqrt(2 / pi)
_GHOST = ["--batch_norm.group_size", "32"]  # half of the batch of 64


@pytest.fixture(scope="module", autouse=True)
def _no_report(without_report_extra: dict[str, str]) -> Iterator[None]:
    """Processes draw nothing: what is compared are weights and rows."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**without_report_extra, "OMP_NUM_THREADS": "1"}.items():
            patch.setenv(name, value)
        patch.setattr("reslab.cli.training._live_report", lambda folder: [])
        yield


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]


def run_one(path: Path, *options: str) -> Path:
    """Train in this process: the start of another one takes longer than the training."""
    assert run([*_COMMON, *options, "--run-dir", str(path)]) == 0
    return path


def run_two(path: Path, *options: str) -> Path:
    launch_two("reslab", *_COMMON, *options, "--run-dir", str(path))
    return path


def launch_two(module: str, *arguments: str) -> None:
    """Run a module in two processes of torchrun, on this machine alone."""
    place = "--local-addr 127.0.0.1 --master-addr 127.0.0.1 --master-port 0 --rdzv-backend c10d"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *place.split()]
    _run([*launch, "--rdzv-endpoint", "127.0.0.1:0", "-m", module, *arguments])


def assert_equal_runs(one: Path, two: Path, start: dict[str, Tensor]) -> None:
    ours, theirs = (safetensors.torch.load_file(path / "model.safetensors") for path in (one, two))
    assert relative_distance(theirs, ours, start) < _ROUNDING
    rows, others = (metrics_log(path / "metrics.jsonl").read() for path in (one, two))
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert (row.step, row.split) == (other.step, other.split)
        assert other.loss == pytest.approx(row.loss, rel=1e-4)
        if isinstance(row, EvaluationRow) and isinstance(other, EvaluationRow):
            assert other.total == row.total
        assert other.error == pytest.approx(row.error, abs=0.3)  # one image on the edge at most


@pytest.mark.parametrize(("one", "two"), [(_NO_NORM, _NO_NORM), ([*_PAIR, *_GHOST], _PAIR)], ids=["none", "batch norm"])
def test_two_processes_equal_one_in_float64_to_its_last_bits(one: list[str], two: list[str], tmp_path: Path) -> None:
    expected = train_weights(exact_config("digits-resnet20", [*_SETTINGS, *one]), dtype=torch.float64)
    launch_two("tests.distributed.exact", str(tmp_path / "two.safetensors"), "digits-resnet20", *_SETTINGS, *two)
    assert distance(expected, safetensors.torch.load_file(tmp_path / "two.safetensors")) < 1e-12


def test_two_processes_equal_one_without_batch_norm(tmp_path: Path) -> None:
    start = first_weights(exact_config("digits-resnet20", [*_SETTINGS, *_NO_NORM]))
    assert_equal_runs(run_one(tmp_path / "one", *_NO_NORM), run_two(tmp_path / "two", *_NO_NORM), start)


@pytest.fixture(scope="module")
def pair_with_batch_norm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two processes; treat it as read-only."""
    return run_two(tmp_path_factory.mktemp("pair") / "two", *_PAIR)


def test_two_processes_equal_one_with_batch_norm_over_groups_of_half_the_batch(
    pair_with_batch_norm: Path, tmp_path: Path
) -> None:
    start = first_weights(exact_config("digits-resnet20", _SETTINGS))
    assert_equal_runs(run_one(tmp_path / "one", *_SMALL_STEPS, *_GHOST), pair_with_batch_norm, start)


def test_a_run_of_two_processes_is_gone_on_with_to_the_same_bits(pair_with_batch_norm: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(pair_with_batch_norm, part)
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000004/state.json"):
        (part / name).unlink()  # so it goes on from step 2
    assert (part / "checkpoints" / "step-00000002" / "state.json").exists()
    run_two(part, *_PAIR, "--resume")
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (part / name).read_bytes() == (pair_with_batch_norm / name).read_bytes()


def test_a_batch_that_two_processes_do_not_divide_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):  # as torchrun sets them
        monkeypatch.setenv(name, value)
    assert run([*_COMMON, "--train.batch_size", "63", "--run-dir", str(tmp_path / "two")]) == 2
    said = capsys.readouterr().err
    assert "63, which cannot be divided equally among 2 processes with 1 micro-batch" in said
    assert "Nearest allowed: 62 or 64" in said
    assert not (tmp_path / "two").exists()


def test_two_processes_equal_one_with_a_frozen_stage_and_statistics_taken_anew(
    digits_run: Path, tmp_path: Path
) -> None:
    weights = digits_run / "model.safetensors"
    tuning = ["--train.freeze_stages", "1", "--batch_norm.reestimate_batches", "2", "--weights", str(weights)]
    one = run_one(tmp_path / "one", *_SMALL_STEPS, *_GHOST, *tuning)
    two = run_two(tmp_path / "two", *_SMALL_STEPS, *tuning)
    start, end = (safetensors.torch.load_file(path) for path in (weights, two / "model.safetensors"))
    assert_equal_runs(one, two, start)
    frozen = [name for name in start if name.startswith(("conv1", "bn1", "layer1"))]
    assert [name for name in frozen if not torch.equal(start[name], end[name])] == []
