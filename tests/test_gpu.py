"""On a CUDA device the same is computed as on the CPU, up to the order of sums."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab import load_model, override, recipe, train_run
from reslab.artifacts.run_folder import RunFolder
from reslab.data.sources.digits import load_digits
from reslab.evaluation import evaluate

pytestmark = pytest.mark.gpu

_SHORT = {"train": {"iterations": 8, "log_every": 2, "checkpoint_every": 4}, "evaluation": {"every": 8}}


def _train(path: Path, device: str, precision: str = "fp32", *, resume: bool = False) -> RunFolder:
    compute = {"device": device, "precision": precision, "compile": "off"}
    changes: dict[str, Any] = {**_SHORT, "compute": compute, "optim": {"lr": 0.01}}
    return train_run(override(recipe("digits-resnet20"), changes), path, resume=resume)


def _losses(folder: RunFolder) -> list[float]:
    return [row.loss for row in folder.train_rows()]


def test_a_training_has_the_losses_of_the_cpus(tmp_path: Path) -> None:
    here, there = (_train(tmp_path / device, device) for device in ("cuda", "cpu"))
    assert here.environment().sessions[-1].device == "cuda"
    assert _losses(here) == pytest.approx(_losses(there), rel=1e-3)


def test_bf16_is_near_fp32(tmp_path: Path) -> None:
    ours, theirs = (_train(tmp_path / precision, "cuda", precision) for precision in ("bf16", "fp32"))
    assert _losses(ours) == pytest.approx(_losses(theirs), rel=0.05)


def test_a_stopped_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", "cuda")
    part = RunFolder(shutil.copytree(whole.path, tmp_path / "part"))
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000008/state.json"):
        (part.path / name).unlink()
    _train(part.path, "cuda", resume=True)
    assert _losses(part) == pytest.approx(_losses(whole), rel=1e-3)


def test_a_model_file_is_evaluated_as_on_the_cpu(digits_run: Path) -> None:
    saved, validation = load_model(digits_run / "model.safetensors"), load_digits().part("validation")
    found = [
        evaluate(saved.model.to(device), validation, saved.card.preprocess)
        for device in (torch.device("cpu"), torch.device("cuda"))
    ]
    assert found[1].loss == pytest.approx(found[0].loss, rel=1e-3)
    assert abs(found[1].correct - found[0].correct) <= 1  # one on the edge between two classes
