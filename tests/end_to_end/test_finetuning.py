"""Runs that start from weights: new heads, frozen parts, inputs as the weights know them, exact resume."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from reslab import RunError, UsageError, create_model, load_model, override, recipe, train_run
from reslab.artifacts.model_file import save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import synchronize_batch_norm
from reslab.cli.main import run
from reslab.config import from_dict
from reslab.data import ArrayDataset
from reslab.data.augment import no_augment
from reslab.data.preprocess import Normalizer
from reslab.data.sources.digits import load_digits
from reslab.data.stream import MemoryStream
from reslab.models import freeze

pytestmark = pytest.mark.usefixtures("no_reports")

SHORT: dict[str, Any] = {
    "train": {"iterations": 8, "log_every": 4, "checkpoint_every": 4},
    "evaluation": {"every": 4, "final_training_error": False},
    "compute": {"precision": "fp32"},
}
FROZEN = {"freeze_stages": 2}


def _config(weights: Path | None, *changes: dict[str, Any]) -> Any:
    start = {**SHORT, "weights": None if weights is None else str(weights)}
    return override(recipe("digits-resnet20"), start, *changes)


@pytest.fixture(scope="module")
def weights(digits_run: Path) -> Path:
    return digits_run / "model.safetensors"


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """An image folder of colour photos with two digits' names, and one that is no digit."""
    for part in ("train", "val"):
        for number, name in enumerate(("1", "7", "zero")):
            folder = tmp_path / "colours" / part / name
            folder.mkdir(parents=True)
            for index in range(6):
                Image.new("RGB", (12, 12), (80 * number, 40 * index, len(part))).save(folder / f"{index}.png")
    return tmp_path / "colours"


def _state(path: Path) -> dict[str, Tensor]:
    return load_model(path).model.state_dict()


def _same(path: Path, other: Path) -> set[str]:
    ours, theirs = _state(path), _state(other)
    return {name for name in ours if torch.equal(ours[name], theirs[name])}


def test_frozen_stages_of_a_run_are_the_files_to_the_bit(weights: Path, tmp_path: Path) -> None:
    folder = train_run(_config(weights, {"train": FROZEN}), tmp_path / "run")
    frozen = {name for name in _state(weights) if name.startswith(("conv1", "bn1", "layer1", "layer2"))}
    assert _same(folder.model_path, weights) == frozen


def test_frozen_batch_norm_keeps_the_files_statistics(weights: Path, tmp_path: Path) -> None:
    folder = train_run(_config(weights, {"batch_norm": {"frozen": True}}), tmp_path / "run")
    kept = {name for name in _state(weights) if "running" in name or "num_batches" in name}
    assert _same(folder.model_path, weights) == kept


@pytest.mark.parametrize(
    "settings",
    [
        {"train": {**FROZEN, "ema_decay": 0.9}, "batch_norm": {"reestimate_batches": 3}},
        {"train": {"freeze_stages": 3}, "optim": {"layer_decay": 0.7}},
        {"batch_norm": {"frozen": True}, "optim": {"layer_decay": 0.7, "decay_norm_and_bias": False}},
        {"train": FROZEN, "optim": {"kind": "muon"}},
    ],
    ids=["average and statistics", "head only", "batch norm", "muon"],
)
def test_a_run_with_frozen_parts_is_gone_on_with_to_the_same_bits(
    settings: dict[str, Any], weights: Path, tmp_path: Path
) -> None:
    whole = train_run(_config(weights, settings), tmp_path / "whole")
    part = RunFolder(shutil.copytree(whole.path, tmp_path / "part"))
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000008/state.json"):
        (part.path / name).unlink()
    train_run(_config(weights, settings), part.path, resume=True)
    assert part.model_path.read_bytes() == whole.model_path.read_bytes()
    assert part.metrics.path.read_bytes() == whole.metrics.path.read_bytes()


def test_statistics_taken_anew_are_those_of_the_batches_that_would_come_next(weights: Path, tmp_path: Path) -> None:
    settings = {"train": {"ema_decay": 0.9, "accumulation_steps": 2}}
    without = train_run(_config(weights, settings), tmp_path / "without")
    anew = train_run(_config(weights, settings, {"batch_norm": {"reestimate_batches": 3}}), tmp_path / "anew")
    changed = set(_state(weights)) - _same(anew.model_path, without.model_path)
    assert changed == {name for name in _state(weights) if "running" in name or "num_batches" in name}

    model, card = load_model(without.model_path).model, load_model(without.model_path).card
    cpu = torch.device("cpu")
    digits = load_digits().train
    assert isinstance(digits, ArrayDataset)
    stream = MemoryStream(
        digits,
        Normalizer(card.preprocess, cpu),
        no_augment,
        batch_size=64,
        seed=0,
        device=cpu,  # type: ignore[arg-type]
    )
    pieces = [piece for step in range(8, 11) for piece in stream.batch(step).images.chunk(2)]
    with torch.no_grad():
        stem = [model.conv1(piece).double() for piece in pieces]  # type: ignore[operator]
    means = torch.stack([values.mean((0, 2, 3)) for values in stem]).mean(0)
    variances = torch.stack([values.var((0, 2, 3)) for values in stem]).mean(0)
    found = _state(anew.model_path)
    torch.testing.assert_close(found["bn1.running_mean"].double(), means, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["bn1.running_var"].double(), variances, rtol=1e-5, atol=1e-6)


def test_synchronised_batch_norm_leaves_frozen_ones_alone() -> None:
    model = create_model("cifar_resnet8", shortcut="B")
    freeze(model, num_stages=2)
    keys = list(model.state_dict())
    model = synchronize_batch_norm(model, torch.device("cuda"))
    kinds = {name: type(module) for name, module in model.named_modules() if "bn" in name or "downsample.1" in name}
    synchronised = {name for name, kind in kinds.items() if kind is torch.nn.SyncBatchNorm}
    assert synchronised == {name for name in kinds if name.startswith("layer3")}
    assert list(model.state_dict()) == keys
    assert not any(
        module.training for name, module in model.train().named_modules() if name in set(kinds) - synchronised
    )


def test_inputs_are_taken_from_the_weights_when_asked_for(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_model(weights)
    other = type(loaded.card.preprocess)(channels=1, height=8, width=8, mean=(0.25,), std=(0.5,))
    card = type(loaded.card)(preprocess=other, class_names=loaded.card.class_names, recipe="other inputs")
    save_model(tmp_path / "other.safetensors", loaded.model, card)
    with caplog.at_level(logging.WARNING, "reslab"):
        run_with = train_run(_config(tmp_path / "other.safetensors", {"data": {"mean": "weights"}}), tmp_path / "with")
        assert "saw other inputs" not in caplog.text
        train_run(_config(tmp_path / "other.safetensors"), tmp_path / "without")
    assert caplog.text.count("these weights were trained on different inputs (mean 0.250, std 0.500; ") == 1
    assert load_model(run_with.model_path).card.preprocess == other


def test_weights_that_saw_the_same_data_give_no_warning(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "reslab"):
        train_run(_config(weights), tmp_path / "run")
    assert f"training starts from the weights in {weights}; the head is the file's." in caplog.text
    assert "other inputs" not in caplog.text


def test_photos_of_other_classes_get_a_head_of_their_own(colours: Path, tmp_path: Path) -> None:
    crop = {"kind": "scale_crop", "min_short_side": 10, "max_short_side": 12, "crop_size": 8, "color_std": 0.0}
    data = {"data": {"kind": "folder", "path": str(colours), "mean": "channel", "augment": crop}}
    small = {"train": {"batch_size": 6}}
    first = train_run(_config(None, data, small), tmp_path / "first")
    (colours / "train" / "zero").rename(colours / "train" / "eight")
    (colours / "val" / "zero").rename(colours / "val" / "eight")
    tuning = {"train": {"freeze_stages": 3}, "data": {"mean": "weights"}}
    tuned = train_run(_config(first.model_path, data, small, tuning), tmp_path / "tuned")
    assert load_model(tuned.model_path).card.class_names == ("1", "7", "eight")
    assert load_model(tuned.model_path).card.preprocess == load_model(first.model_path).card.preprocess
    assert set(_state(first.model_path)) - _same(tuned.model_path, first.model_path) == {"fc.weight", "fc.bias"}


def test_grey_weights_start_no_network_for_colour(weights: Path, colours: Path, tmp_path: Path) -> None:
    crop = {"kind": "scale_crop", "min_short_side": 10, "max_short_side": 12, "crop_size": 8}
    data = {"data": {"kind": "folder", "path": str(colours), "augment": crop}}
    with pytest.raises(UsageError, match=r"takes images of 1 channel, but the data has 3"):
        train_run(_config(weights, data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"freeze_stages": 4}}, r"train\.freeze_stages is 4; allowed: 0 to 3, the stages of ResNet-20"),
        ({"train": {"freeze_stages": -1}}, "freeze_stages is -1; allowed: 0 or more"),
        ({"train": {"freeze_stages": 1}, "weights": None}, r"freeze_stages is 1, but the run starts from random"),
        (
            {"batch_norm": {"frozen": True}, "weights": None},
            r"batch_norm\.frozen is True, but the run starts from random",
        ),
        (
            {"data": {"mean": "weights"}, "weights": None},
            r"data\.mean is 'weights', but .* set weights to a model file",
        ),
        (
            {"batch_norm": {"frozen": True, "reestimate_batches": 2}},
            r"batch_norm\.frozen is true and batch_norm\.reestimate_batches is 2",
        ),
        (
            {"batch_norm": {"frozen": True, "group_size": 8}},
            r"batch_norm\.frozen is true and batch_norm\.group_size is 8",
        ),
        ({"batch_norm": {"group_size": 8, "sync": True}}, r"batch_norm\.group_size is 8 and batch_norm\.sync is true"),
        ({"batch_norm": {"reestimate_batches": 2}, "model": {"norm": "none"}}, r"model\.norm is 'none'"),
        ({"batch_norm": {"group_size": 8}, "model": {"norm": "none"}}, r"group_size is 8, but .* has no batch norm"),
        ({"batch_norm": {"sync": True}, "model": {"norm": "none"}}, r"sync is True, but .* has no batch norm"),
        ({"train": {"freeze_stages": 3}, "batch_norm": {"reestimate_batches": 2}}, "all batch norm is frozen"),
        (
            {"batch_norm": {"frozen": True}, "optim": {"kind": "muon"}},
            r"'muon' .*batch norm behind them that is not frozen",
        ),
        ({"optim": {"layer_decay": 0.0}}, "layer_decay is 0.0; allowed: 0 < layer_decay <= 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _config(Path("start.safetensors"), changes)


def test_flags_may_need_the_weights_that_come_after_them(weights: Path, tmp_path: Path) -> None:
    flags = ["--train.iterations", "2", "--train.freeze_stages", "3", "--data.mean", "weights"]
    command = ["train", "digits-resnet20", *flags, "--weights", str(weights), "--run-dir", str(tmp_path / "run")]
    assert run(command) == 0
    assert from_dict(RunFolder(tmp_path / "run").config()).train.freeze_stages == 3


def test_a_state_dict_from_elsewhere_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "w.pth")
    with pytest.raises(RunError, match=r"w\.pth: is not a model file .* source 'cifar'"):
        train_run(_config(tmp_path / "w.pth"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
