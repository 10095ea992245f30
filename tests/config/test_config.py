"""Overrides: one flag changes one leaf, a kind replaces its part, and every mistake is named."""

import dataclasses
import inspect
import json
import re
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reslab.config import (
    Cosine,
    LinearWarmup,
    NoAugment,
    Plateau,
    RunConfig,
    StepDecay,
    UntilTrainingError,
    differences,
    from_dict,
    override,
    to_dict,
)
from reslab.errors import UsageError
from reslab.recipes import RECIPES, recipe

_OTHER_WORDS = {
    "compute.device": "cpu", "compute.precision": "fp32", "compute.compile": "off", "compute.fused_norm": "off",
    "evaluation.monitor": "validation", "evaluation.select": "last", "data.kind": "idx", "data.mean": "channel",
    "data.scale": "std", "data.validation_is": "test", "data.path": "elsewhere", "data.augment.fill": "black",
    "data.augment.flip_order": "alternating", "model.zero_pad": "split", "model.norm": "none",
    "model.stem": "cifar", "model.shortcut": "B", "recipe": "mine", "weights": "start.safetensors",
    "data.augment.max_aspect": 2.0, "data.photos.resize_mode": "squash", "data.sampling": "balanced",
    "train.class_weights": "balanced", "data.order": "archive",
}  # fmt: skip
_TIED = {  # leaves that another leaf must agree with
    "model.family", "model.block", "model.stride_on", "model.widths", "model.num_blocks",
    "model.zero_init_residual", "data.photos.size", "data.photos.short_side", "data.augment.crop_size",
    "data.augment.min_short_side", "data.augment.max_short_side", "optim.nesterov", "train.freeze_stages",
    "batch_norm.frozen",
}  # fmt: skip


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def _another(path: str, value: Any) -> Any:
    """Another legal value for a leaf; None where there is none that stands alone."""
    if path in _TIED or (path.endswith(".kind") and path != "data.kind"):
        return None
    if path in _OTHER_WORDS:
        return _OTHER_WORDS[path]
    if value is None:
        return 0.5 if path.endswith(("clip_norm", "ema_decay")) else None if "patience" in path else 16
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return [7, 8] if isinstance(value, list) else value * 0.5 if value else 0.25


@pytest.mark.parametrize("name", RECIPES)
def test_one_flag_changes_exactly_one_leaf(name: str) -> None:
    config = RECIPES[name].make()
    before = to_dict(config)
    changed = 0
    for path, value in leaves(before).items():
        other = _another(path, value)
        if other is None or other == value:
            continue
        if path == "evaluation.monitor" and config.schedule.kind == "plateau":
            continue
        if path == "model.norm" and config.optim.kind == "muon":
            continue
        after = to_dict(override(config, nested(path, other)))
        assert differences(before, after) == {path: (value, other)}
        changed += 1
    assert changed > 25


@pytest.mark.parametrize("name", RECIPES)
def test_a_config_survives_json_whole(name: str) -> None:
    config = RECIPES[name].make()
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@given(st.floats(1e-6, 10), st.integers(1, 10**6), st.integers(0, 2**31))
def test_any_number_comes_through_unchanged(lr: float, iterations: int, seed: int) -> None:
    config = override(
        recipe("cifar-resnet20"), {"optim": {"lr": lr}, "train": {"iterations": iterations}, "seed": seed}
    )
    assert (config.optim.lr, config.train.iterations, config.seed) == (lr, iterations, seed)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_another_kind_replaces_the_part_by_its_defaults() -> None:
    config = recipe("cifar-resnet110")
    assert isinstance(config.schedule, StepDecay)
    assert isinstance(config.warmup, UntilTrainingError)
    assert override(config, {"schedule": {"kind": "cosine"}}).schedule == Cosine()
    assert override(config, {"warmup": {"kind": "linear", "iterations": 7}}).warmup == LinearWarmup(iterations=7)
    assert override(config, {"data": {"augment": {"kind": "none"}}}).data.augment == NoAugment()


def test_the_same_kind_keeps_the_rest_of_the_part() -> None:
    config = recipe("cifar-resnet20")
    assert override(config, {"schedule": {"kind": "step", "gamma": 0.2}}).schedule == StepDecay(
        milestones=(32_000, 48_000), gamma=0.2
    )
    data = override(config, {"data": {"kind": "cifar100"}}).data
    assert (data.kind, data.mean, data.augment) == ("cifar100", "pixel", config.data.augment)


def test_none_stands_for_nothing_only_where_a_setting_may_be_nothing() -> None:
    config = override(recipe("cifar-resnet20"), {"train": {"grad_clip_norm": 1.0}})
    changes = {"train": {"grad_clip_norm": "none"}, "evaluation": {"monitor": "none"}, "model": {"norm": "none"}}
    changed = override(config, changes)
    assert (changed.train.grad_clip_norm, changed.evaluation.monitor, changed.model.norm) == (None, "none", "none")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimm": {}}, r"no setting is called 'optimm'.*Did you mean 'optim'"),
        ({"train": {"itertions": 1}}, r"'train\.itertions'.*Did you mean 'iterations'"),
        ({"data": {"augment": {"pading": 1}}}, r"'data\.augment\.pading'; there are: kind, padding, flip, fill"),
        ({"schedule": {"kind": "cosine", "milestones": [1]}}, r"'schedule\.milestones'; there are: kind, final_factor"),
        ({"schedule": {"kind": "stepp"}}, r"schedule\.kind is 'stepp'; allowed: constant, step, .*Did you mean 'step'"),
        ({"compute": {"precision": "fp16"}}, r"compute\.precision is 'fp16'; allowed: auto, fp32, bf16"),
        ({"train": {"iterations": "many"}}, r"train\.iterations is 'many'; it should be a valid integer"),
        ({"train": {"iterations": True}}, r"train\.iterations is True"),
        ({"train": {"iterations": 0}}, r"^train\.iterations is 0; allowed: 1 or more"),
        ({"train": "fast"}, r"train is 'fast'; it should be an object"),
        ({"optim": {"momentum": 1.0}}, r"^optim\.momentum is 1\.0; allowed: 0 <= momentum < 1"),
        ({"data": {"augment": {"padding": -1}}}, r"^data\.augment\.padding is -1; allowed: 0 or more pixels"),
        ({"data": {"photos": {"size": 4}}}, r"^data\.photos\.size is 4; allowed: 8 pixels or more"),
        ({"schedule": {"milestones": [5, 3]}}, r"^schedule\.milestones is .*ascending"),
        ({"model": {"num_classes": 1}}, r"^model: num_classes is 1"),
        ({"seed": -1}, r"seed is -1"),
        ({"seed": 10**20}, r"seed is 10{20}; allowed: 0 to 2\^63 - 1"),
        ({"train": {"grad_clip_norm": float("inf")}}, r"train\.grad_clip_norm is inf; allowed: finite numbers"),
        ({"optim": {"lr": float("nan")}}, r"optim\.lr is nan"),
        ({"evaluation": {"select": "best"}}, r"evaluation\.select.*Nothing may be selected on the test set"),
        ({"evaluation": {"patience": 3}}, r"evaluation\.patience.*Nothing may be selected on the test set"),
        ({"schedule": {"kind": "plateau"}}, r"Nothing may be selected on the test set"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(recipe("cifar-resnet20"), changes)


def test_a_validation_part_may_choose() -> None:
    changes = {"evaluation": {"monitor": "validation", "select": "best"}, "schedule": {"kind": "plateau"}}
    assert override(recipe("cifar-resnet20"), changes).schedule == Plateau()


def _parts(hint: Any = RunConfig) -> set[type]:
    """The config's dataclasses, found through the types of their fields."""
    inner = {part for member in get_args(hint) for part in _parts(member)}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        inner |= {hint} | {part for member in get_type_hints(hint).values() for part in _parts(member)}
    return inner


def _name(part: type) -> str:
    return part.__name__


@pytest.mark.parametrize("part", sorted(_parts(), key=_name))
def test_the_reference_has_a_line_for_every_setting_in_its_order(part: type) -> None:
    # without its indentation, which Python 3.13 no longer keeps
    section = (inspect.getdoc(part) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    described = re.findall(r"^ {4}(\w+): \S", section, re.MULTILINE)
    names = [field.name for field in dataclasses.fields(part)]  # type: ignore[arg-type]
    assert described == ([] if names == ["kind"] else names)
