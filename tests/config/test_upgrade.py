"""Configs of format version 1 mean what they meant; an old key is answered with its new name.

The files under `fixtures/ebf7f61` are by commit ebf7f61. What they mean is written here by hand, under today's keys.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reslab import override, recipe, train_run
from reslab.artifacts.metrics_log import MetricsRow, metrics_log
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.config_args import parse_overrides
from reslab.cli.main import run
from reslab.config import differences, from_dict, to_dict
from reslab.config.upgrade import RENAMED, upgrade
from reslab.errors import UsageError
from reslab.runs.session import check_same_config

OLD = Path(__file__).parents[1] / "fixtures" / "ebf7f61"
MEANT: dict[str, tuple[str, dict[str, Any]]] = {  # the recipe, and each setting that differs from it
    "defaults": ("digits-resnet20", {}),
    "frozen": (
        "imagenet-resnet18",
        {
            "batch_norm.frozen": True, "compute.compile": "on", "data.mean": "weights", "data.path": "photos",
            "data.photos.resize_mode": "letterbox", "data.photos.size": 160, "optim.layer_decay": 0.7,
            "train.freeze_stages": 2, "weights": "model.safetensors",
        },
    ),
    "one_cycle": (
        "cifar-resnet20-fast",
        {
            "data.order": "archive",
            "optim.lr": 0.05, "optim.sgd_lr": 0.03, "optim.sgd_momentum": 0.85, "schedule.pct_start": 0.2,
            "schedule.start_factor": 0.15,
        },
    ),
    "plateau": (
        "imagenet-resnet18",
        {
            "batch_norm.group_size": 32, "compute.fused_norm": "on", "data.initial_size": 96, "data.mean": "channel",
            "data.path": "photos", "data.photos.short_side": 180, "data.photos.size": 160,
            "data.photos.skip_unreadable": True, "data.validation_is": "test", "data.validation_size": 100,
            "schedule.factor": 0.2, "schedule.max_drops": 2, "schedule.min_delta": 0.25, "schedule.patience": 3,
        },
    ),
    "step": (
        "cifar-resnet20",
        {
            "data.order": "archive",
            "batch_norm.reestimate_batches": 5, "batch_norm.sync": True, "compute.checkpoint_activations": True,
            "compute.compile": "off", "compute.device": "cuda", "compute.fused_norm": "off",
            "compute.precision": "bf16", "data.full_size_from": 0.75, "data.initial_size": 20,
            "data.validation_size": 5000, "evaluation.every": 11, "evaluation.final_training_error": False,
            "evaluation.monitor": "validation", "evaluation.patience": 9, "evaluation.select": "best",
            "schedule.gamma": 0.3, "schedule.milestones": [10, 20], "seed": 7, "train.accumulation_steps": 4,
            "train.grad_clip_norm": 0.5,
        },
    ),
}  # fmt: skip
WITH_KIND = {"optim": "muon", "schedule.rise": "one_cycle", "schedule.factor": "step", "schedule": "plateau"}


def read(name: str) -> dict[str, Any]:
    return json.loads((OLD / name / "config.json").read_text())


@pytest.mark.parametrize("name", MEANT)
def test_an_old_config_means_what_it_meant(name: str) -> None:
    recipe_name, meant = MEANT[name]
    config = from_dict(read(f"configs/{name}"))
    found = differences(to_dict(recipe(recipe_name)), to_dict(config))
    assert {key: ours for key, (_, ours) in found.items()} == meant
    assert from_dict(to_dict(config)) == config


def test_the_old_configs_set_every_renamed_key_to_two_values() -> None:
    values = {old: {str(_get(read(str(path.parent)), old)) for path in OLD.glob("**/config.json")} for old in RENAMED}
    assert not [old for old, found in values.items() if len(found - {str(_MISSING)}) < 2]


_MISSING = object()


def _get(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name, _MISSING) if isinstance(values, dict) else _MISSING
    return values


def test_a_config_without_some_parts_is_upgraded_as_far_as_it_goes() -> None:
    assert upgrade({"train": {"monitor": "test"}, "seed": 3}) == {
        "train": {}, "evaluation": {"monitor": "test"}, "seed": 3,
    }  # fmt: skip
    assert upgrade({"schedule": {"kind": "plateau", "factor": 0.5}}) == {"schedule": {"kind": "plateau", "factor": 0.5}}
    old: dict[str, Any] = {"train": {"bn": "frozen"}}
    assert upgrade(old) == {"train": {}, "batch_norm": {"frozen": True}}
    assert old == {"train": {"bn": "frozen"}}  # left as it was


def assert_same_course(rows: list[MetricsRow], old: list[MetricsRow], *, first: int) -> None:
    """Equal steps, and an equal loss in the first row: on other processors the later ones drift apart."""
    assert [(row.step, row.split) for row in rows] == [(row.step, row.split) for row in old]
    assert rows[:first] == old[:first]
    assert rows[first].loss == pytest.approx(old[first].loss, rel=1e-2)


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(UsageError, match=r"format version 3; this reslab reads 1 and 2\."):
        from_dict({**read("configs/defaults"), "format_version": 3})


def _old_value(key: str) -> Any:
    return {"train.bn": "frozen"}.get(key, 1)


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_answered_with_its_new_name(old: str) -> None:
    part = old.split(".")[0]
    kind = WITH_KIND.get(old, WITH_KIND.get(part))
    tokens = [f"--{old}", str(_old_value(old)), *([f"--{part}.kind", kind] if kind else [])]
    with pytest.raises(UsageError) as caught:
        override(recipe("digits-resnet20"), parse_overrides(tokens))
    value = " 'frozen'" if old == "train.bn" else ""
    assert str(caught.value) == f"{old}{value} is now {RENAMED[old]}{' true' if value else ''}."


def test_every_old_key_is_answered_at_once() -> None:
    changes = {"train": {"bn": "batch", "monitor": "test", "evaluate_every": 7}, "data": {"size": 32}}
    with pytest.raises(UsageError) as caught:
        override(recipe("digits-resnet20"), changes)
    assert str(caught.value) == (
        "data.size is now data.photos.size. train.bn 'batch' is now batch_norm.frozen false. "
        "train.monitor is now evaluation.monitor. train.evaluate_every is now evaluation.every."
    )


def test_a_command_answers_old_keys_of_flags_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["--run-dir", str(tmp_path / "run")]
    assert run(["train", "digits-resnet20", "--train.clip_norm", "1", *target]) == 2
    assert "train.clip_norm is now train.grad_clip_norm." in capsys.readouterr().err
    (tmp_path / "old.toml").write_text("[train]\nbn = 'frozen'\n")
    assert run(["train", "digits-resnet20", "--config", str(tmp_path / "old.toml"), *target]) == 2
    assert "train.bn 'frozen' is now batch_norm.frozen true." in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_reports")
def test_an_old_runs_config_repeats_the_run(tmp_path: Path) -> None:
    target = ["--run-dir", str(tmp_path / "run")]
    assert run(["train", str(OLD / "finished" / "config.json"), *target]) == 0
    ours, theirs = RunFolder(tmp_path / "run"), RunFolder(OLD / "finished")
    assert json.loads((ours.path / "config.json").read_text())["format_version"] == 2
    assert from_dict(ours.config()) == from_dict(theirs.config())
    assert_same_course(ours.rows(), theirs.rows(), first=0)


@pytest.mark.usefixtures("no_reports")
def test_an_old_run_is_resumed_with_its_own_config_and_no_other(tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(OLD / "unfinished", tmp_path / "run")))
    config = from_dict(read("unfinished"))
    check_same_config(folder, config)
    with pytest.raises(UsageError, match=r"batch_norm\.group_size"):
        check_same_config(folder, override(config, {"batch_norm": {"group_size": 8}}))
    train_run(config, folder.path, resume=True)
    whole = metrics_log(OLD / "unfinished-metrics-of-the-whole.jsonl").read()
    assert_same_course(folder.rows(), whole, first=6)  # up to step 15 they are the old run's
