"""Peak memory is the process's own, and want of memory is told from other failures."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reslab.errors import RunError
from reslab.experiments import step_cost
from reslab.experiments.arms import make_arm

_CHILD = """
import resource, torch
from reslab.experiments.step_cost import peak_gb
print(peak_gb(torch.device("cpu")), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
_PARENT = f"""
import subprocess, sys
block = b"x" * 2**30
subprocess.run([sys.executable, "-c", {_CHILD!r}], check=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the trap is Linux's")
def test_the_peak_is_not_that_of_the_process_which_asks() -> None:
    done = subprocess.run([sys.executable, "-c", _PARENT], capture_output=True, text=True, check=True)
    ours, getrusage = map(float, done.stdout.split())
    assert getrusage >= 1.0  # what would be wrong
    assert 0.05 < ours < 0.95


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is the whole process's")
def test_training_takes_at_least_every_convolutions_output_and_not_much_more() -> None:
    batch = 1024
    changes = {
        "train": {"iterations": 100, "batch_size": batch},
        "compute": {"precision": "fp32", "fused_norm": "off"},
        "schedule": {"kind": "constant"},
    }
    config = make_arm("digits", "plain", 20, changes).config
    cost = step_cost.step_cost(config, steps=1)
    assert (cost.depth, cost.checkpoint_activations, cost.device) == (20, False, "cpu")
    assert cost.seconds_per_step is not None
    assert cost.peak_gb is not None
    assert cost.peak_gb_before_training is not None
    assert cost.seconds_per_step > 0
    values = 7 * 16 * 8 * 8 + 6 * 32 * 4 * 4 + 6 * 64 * 2 * 2  # of the stem and three stages, for one image of 8 x 8
    outputs_gb = 4 * batch * values / 2**30
    assert outputs_gb < cost.peak_gb - cost.peak_gb_before_training < 6 * outputs_gb


def test_what_lies_in_the_working_folder_is_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('of the working folder')\n")
    monkeypatch.chdir(tmp_path)
    config = make_arm("digits", "plain", 20, {"train": {"iterations": 9}, "schedule": {"kind": "constant"}}).config
    assert step_cost.step_cost(config, steps=1).depth == 20


@pytest.mark.parametrize(
    ("code", "said", "does_not_fit"),
    [
        (-9, "", True),
        (1, "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", True),
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", True),
        (1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 EiB", True),
        (1, "MemoryError", True),
        (1, "reslab.errors.RunError: nowhere does not exist", False),
    ],
)
def test_out_of_memory_is_told_from_other_failures(
    code: int, said: str, does_not_fit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: Any, **keywords: Any) -> SimpleNamespace:
        return SimpleNamespace(returncode=code, stdout="", stderr=said)

    monkeypatch.setattr(step_cost.subprocess, "run", run)
    with pytest.raises(RunError, match=said.partition(":")[2].strip()[:20] or "no message|MemoryError") as raised:
        step_cost.step_cost(make_arm("digits", "plain", 20).config, steps=1)
    assert isinstance(raised.value, step_cost.OutOfMemoryError) is does_not_fit
