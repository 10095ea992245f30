"""Earlier configs become configs of today: renamed settings, and the order of archives; old names are answered."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

FORMAT_VERSION = 2  # of a config as a JSON document

RENAMED = {
    "train.accumulation": "train.accumulation_steps",
    "train.clip_norm": "train.grad_clip_norm",
    "train.device": "compute.device",
    "train.precision": "compute.precision",
    "train.fused_norm": "compute.fused_norm",
    "train.compile": "compute.compile",
    "train.checkpoint_activations": "compute.checkpoint_activations",
    "train.bn_group_size": "batch_norm.group_size",
    "train.sync_bn": "batch_norm.sync",
    "train.bn": "batch_norm.frozen",
    "train.bn_reestimate_batches": "batch_norm.reestimate_batches",
    "train.evaluate_every": "evaluation.every",
    "train.monitor": "evaluation.monitor",
    "train.select": "evaluation.select",
    "train.final_training_error": "evaluation.final_training_error",
    "train.patience_evaluations": "evaluation.patience",
    "data.size": "data.photos.size",
    "data.short_side": "data.photos.short_side",
    "data.fit": "data.photos.resize_mode",
    "data.skip_unreadable": "data.photos.skip_unreadable",
    "data.first_size": "data.initial_size",
    "data.val_is": "data.validation_is",
    "optim.other_lr": "optim.sgd_lr",
    "optim.other_momentum": "optim.sgd_momentum",
    "schedule.factor": "schedule.gamma",
    "schedule.patience_evaluations": "schedule.patience",
    "schedule.min_improvement": "schedule.min_delta",
    "schedule.rise": "schedule.pct_start",
}
ONLY_OF_KIND = {"schedule.factor": "step"}  # in the other kinds of the part, the old name is the name of today
_ARCHIVES = ("auto", "cifar10", "cifar100", "idx")  # kinds of data that may come in a file's order
NEW_VALUES: dict[str, dict[str, JsonValue]] = {"train.bn": {"batch": False, "frozen": True}}


def upgrade(config: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a config of format version 1 with the names and values of today; what it lacks, it still lacks."""
    upgraded = _copy(config)
    for old, new in RENAMED.items():
        part_name, _, name = old.partition(".")
        part = upgraded.get(part_name)
        if isinstance(part, dict) and name in part and part.get("kind") == ONLY_OF_KIND.get(old, part.get("kind")):
            value = part.pop(name)
            *path, new_name = new.split(".")
            _part_at(upgraded, path)[new_name] = NEW_VALUES[old][str(value)] if old in NEW_VALUES else value
    return upgraded


def with_order(config: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a written config with the order in which its run saw the images of an archive.

    A config that was written names every setting. One without `data.order` is of the days when there was no other
    order than the archive's.
    """
    ordered = _copy(config)
    data = ordered.get("data")
    if isinstance(data, dict) and "order" not in data and data.get("kind") in _ARCHIVES:
        data["order"] = "archive"
    return ordered


def answer(key: str, value: object) -> str:
    """Return "train.clip_norm is now train.grad_clip_norm." for an old key, and "" for any other."""
    if key not in RENAMED:
        return ""
    new_values = NEW_VALUES.get(key, {})
    if isinstance(value, str) and value in new_values:
        return f"{key} {value!r} is now {RENAMED[key]} {json.dumps(new_values[value])}."
    return f"{key} is now {RENAMED[key]}."


def _copy(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in values.items()}


def _part_at(values: dict[str, JsonValue], path: list[str]) -> dict[str, JsonValue]:
    """Return the part at `path`, made where it is missing."""
    for key in path:
        part = values.setdefault(key, {})
        values = part if isinstance(part, dict) else {}
    return values
