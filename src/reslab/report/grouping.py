"""Which runs are one training with several seeds, and what tells trainings of one recipe apart."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from reslab.config import differences, to_dict

from .reading import ReadRun

_MOST_SAID = 3


@dataclass(frozen=True, slots=True)
class Alike:
    """Runs of one training: they differ in the seed and in where data and weights lie.

    Attributes:
        label: The recipe, and for one of several trainings of a recipe the settings that differ among them.
        runs: The runs, in the order given.
    """

    label: str
    runs: tuple[ReadRun, ...]


def group_alike(runs: Sequence[ReadRun]) -> list[Alike]:
    """Return the runs, each once, by training, in the order given."""
    distinct = list({run.path.resolve(): run for run in runs}.values())
    grouped: list[tuple[dict[str, JsonValue], list[ReadRun]]] = []
    for run, settings in zip(distinct, _settings_of_all(distinct), strict=True):
        members = next((members for known, members in grouped if known == settings), None)
        if members is None:
            grouped.append((settings, [run]))
        else:
            members.append(run)
    labels = _labels([settings for settings, _ in grouped])
    return [Alike(label, tuple(members)) for label, (_, members) in zip(labels, grouped, strict=True)]


def _settings_of_all(runs: Sequence[ReadRun]) -> list[dict[str, JsonValue]]:
    """Return what makes each run the training that it is, under the names that a user gives settings."""
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


def _settings(run: ReadRun, names: dict[str, str]) -> dict[str, JsonValue]:
    data, weights = run.environment.data, None if run.config.weights is None else "given"
    settings = to_dict(replace(run.config, data=replace(run.config.data, path=None), weights=weights))
    return {**settings, "dataset": f"{names.setdefault(data.fingerprint, data.name)} ({data.fingerprint[:8]})"}


def _labels(found: Sequence[dict[str, JsonValue]]) -> list[str]:
    """Return each recipe with what differs among those of the same recipe, in short where that is enough."""
    full, short = [], []
    for settings in found:
        rivals = [other for other in found if other["recipe"] == settings["recipe"]]
        keys = dict.fromkeys(key for other in rivals for key in differences(rivals[0], other))
        said = [f"{key} {_text(_value_at(settings, key))}" for key in keys]
        recipe = _text(settings["recipe"])
        full.append(", ".join([recipe, *said]))
        more = [f"{len(said) - _MOST_SAID} more"] if len(said) > _MOST_SAID else []
        short.append(", ".join([recipe, *said[:_MOST_SAID], *more]))
    return [one if short.count(one) == 1 else whole for one, whole in zip(short, full, strict=True)]


def _value_at(settings: dict[str, JsonValue], key: str) -> JsonValue:
    """Return the value of "optim.lr"; None where a part of another kind has no such setting."""
    value: JsonValue = settings
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: JsonValue) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
