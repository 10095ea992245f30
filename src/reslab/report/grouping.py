"""Which runs are one training with several seeds, and what tells the others of the same recipe apart."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from reslab.config import differences, to_dict

from .reading import ReadRun

_MOST_SAID = 3


@dataclass(frozen=True, slots=True)
class Alike:
    """Runs of one training: they differ in the seed and in where data and weights lie.

    label: the recipe, and for one of several trainings of a recipe the settings that differ among them.
    """

    label: str
    runs: tuple[ReadRun, ...]


def group_alike(runs: Sequence[ReadRun]) -> list[Alike]:
    """Return the runs, each once, by training, in the order given."""
    distinct = list({run.path.resolve(): run for run in runs}.values())
    grouped: list[tuple[dict[str, Any], list[ReadRun]]] = []
    for run, settings in zip(distinct, _settings_of_all(distinct), strict=True):
        members = next((members for known, members in grouped if known == settings), None)
        if members is None:
            grouped.append((settings, [run]))
        else:
            members.append(run)
    labels = _labels([settings for settings, _ in grouped])
    return [Alike(label, tuple(members)) for label, (_, members) in zip(labels, grouped, strict=True)]


def _settings_of_all(runs: Sequence[ReadRun]) -> list[dict[str, Any]]:
    """What makes each run the training that it is, under the names that a user gives settings."""
    names: dict[str, str] = {}  # a set of images goes by its first name: its folder may have been renamed
    found = [_settings(run, names) for run in runs]
    trainings = [{key: value for key, value in settings.items() if key != "seed"} for settings in found]
    begun = [run.environment.weights for run in runs]
    for number, weights in enumerate(begun):
        same = [other for other, training in enumerate(trainings) if training == trainings[number]]
        # each seed may well begin from weights of its own, but not one seed from several
        first = {found[other]["seed"]: begun[other] for other in reversed(same)}
        if weights is not None and any(begun[other] != first[found[other]["seed"]] for other in same):
            found[number]["weights"] = f"{weights.file} ({weights.sha256[:8]})"
    return [{key: value for key, value in settings.items() if key != "seed"} for settings in found]


def _settings(run: ReadRun, names: dict[str, str]) -> dict[str, Any]:
    data, weights = run.environment.data, None if run.config.weights is None else "given"
    settings = to_dict(replace(run.config, data=replace(run.config.data, path=None), weights=weights))
    return {**settings, "dataset": f"{names.setdefault(data.fingerprint, data.name)} ({data.fingerprint[:8]})"}


def _labels(found: Sequence[dict[str, Any]]) -> list[str]:
    """The recipe of each, and what differs among those of the same recipe, in short where that is enough."""
    full, short = [], []
    for settings in found:
        rivals = [other for other in found if other["recipe"] == settings["recipe"]]
        keys = dict.fromkeys(key for other in rivals for key in differences(rivals[0], other))
        values = [(key, reduce(_part, key.split("."), settings)) for key in keys]
        said = [f"{key} {_text(value)}" for key, value in values]
        full.append(", ".join([settings["recipe"], *said]))
        more = [f"{len(said) - _MOST_SAID} more"] if len(said) > _MOST_SAID else []
        short.append(", ".join([settings["recipe"], *said[:_MOST_SAID], *more]))
    return [one if short.count(one) == 1 else whole for one, whole in zip(short, full, strict=True)]


def _part(values: Any, key: str) -> Any:
    return values.get(key) if isinstance(values, dict) else None


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
