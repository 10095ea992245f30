"""A want of memory, as torch and Python really word it, ends with what needed it and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reslab.cli.main import run
from reslab.errors import RunError
from reslab.system.memory import explain_out_of_memory
from reslab.train import Trainer

_TOO_MUCH = 2**60


@pytest.mark.parametrize(
    "ask", [lambda: torch.empty(_TOO_MUCH, dtype=torch.uint8), lambda: bytearray(_TOO_MUCH)], ids=["torch", "python"]
)
def test_running_out_of_memory_is_an_error_that_says_what_to_do(ask: Callable[[], object]) -> None:
    message = r"^the picture does not fit into memory: .+ Make it smaller\.$"
    with pytest.raises(RunError, match=message), explain_out_of_memory("the picture", "Make it smaller."):
        ask()


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), RunError("can't allocate memory for pride")])
def test_other_errors_stay_what_they_are(error: RuntimeError) -> None:
    with pytest.raises(type(error)) as raised, explain_out_of_memory("the picture", "Make it smaller."):
        raise error
    assert raised.value is error


def test_a_training_that_does_not_fit_says_what_takes_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Trainer, "train_step", lambda self: torch.empty(_TOO_MUCH, dtype=torch.uint8))
    assert run(["train", "digits-resnet20", "--run-dir", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert f"the training of {tmp_path / 'run'} does not fit into memory: " in said
    assert "A new run needs less memory with compute.checkpoint_activations" in said
    assert "Traceback" not in said
