"""Training that starts from a model file's weights."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from reslab import RunError, UsageError, load_model, override, recipe, train_run
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.config import from_dict

pytestmark = pytest.mark.usefixtures("no_reports")

SHORT: dict[str, Any] = {
    "train": {"iterations": 20, "log_every": 10, "checkpoint_every": 10},
    "evaluation": {"every": 10},
    "compute": {"precision": "fp32"},
}


def _config(weights: Path | None, name: str = "digits-resnet20", **changes: Any) -> Any:
    return override(recipe(name), {**SHORT, "weights": None if weights is None else str(weights), **changes})


def _first_loss(folder: RunFolder) -> float:
    return folder.train_rows()[0].loss


def test_training_goes_on_where_the_weights_stood(digits_run: Path, tmp_path: Path) -> None:
    weights = digits_run / "model.safetensors"
    afresh = train_run(_config(None), tmp_path / "afresh")
    from_weights = train_run(_config(weights), tmp_path / "weights")
    assert _first_loss(from_weights) < 0.5 * _first_loss(afresh)
    origin = from_weights.environment().weights
    assert origin is not None
    assert origin.file == "model.safetensors"


def test_no_iteration_at_a_rate_of_zero_leaves_the_weights_as_they_were(digits_run: Path, tmp_path: Path) -> None:
    weights = digits_run / "model.safetensors"
    config = override(_config(weights), {"optim": {"lr": 1e-30, "weight_decay": 0.0}, "warmup": {"kind": "none"}})
    folder = train_run(config, tmp_path / "run")
    there, here = load_model(weights).model.state_dict(), load_model(folder.model_path).model.state_dict()
    assert all((here[name] == there[name]).all() for name in here if "running" not in name and "num_" not in name)


def test_weights_of_another_network_are_refused_before_anything_is_written(digits_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"contains ResNet-20 .* but the run trains plain-20"):
        train_run(_config(digits_run / "model.safetensors", "digits-plain20"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere\.safetensors"):
        train_run(_config(tmp_path / "nowhere.safetensors"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_from_weights_resumes_without_the_file_but_not_with_another(digits_run: Path, tmp_path: Path) -> None:
    weights = tmp_path / "start.safetensors"
    weights.write_bytes((digits_run / "model.safetensors").read_bytes())
    whole = train_run(_config(weights), tmp_path / "whole")
    part = RunFolder(shutil.copytree(whole.path, tmp_path / "part"))
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000020/state.json"):
        (part.path / name).unlink()
    other = part.path.parent / "other"
    other.mkdir()
    (other / "start.safetensors").write_bytes((whole.path / "model.safetensors").read_bytes())
    with pytest.raises(RunError, match="started from different weights"):
        train_run(_config(other / "start.safetensors"), part.path, resume=True)
    with pytest.raises(UsageError, match="started with a different config"):
        train_run(_config(None), part.path, resume=True)
    weights.unlink()
    train_run(_config(weights), part.path, resume=True)
    assert (part.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_a_run_killed_before_its_first_checkpoint_begins_from_the_weights_again(
    digits_run: Path, tmp_path: Path
) -> None:
    whole = train_run(_config(digits_run / "model.safetensors"), tmp_path / "whole")
    part = tmp_path / "part"
    shutil.copytree(whole.path, part)
    shutil.rmtree(part / "checkpoints")
    for name in ("result.json", "model.safetensors"):
        (part / name).unlink()
    train_run(_config(digits_run / "model.safetensors"), part, resume=True)
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (part / name).read_bytes() == (whole.path / name).read_bytes()


def test_the_flag_names_the_file(digits_run: Path, tmp_path: Path) -> None:
    flags = ["--train.iterations", "2", "--train.log_every", "1", "--run-dir", str(tmp_path / "run")]
    assert run(["train", "digits-resnet20", *flags, "--weights", str(digits_run / "model.safetensors")]) == 0
    weights = from_dict(RunFolder(tmp_path / "run").config()).weights
    assert weights is not None
    assert weights.endswith("model.safetensors")
