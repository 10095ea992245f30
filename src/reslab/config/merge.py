"""The one way to read a configuration and to change one: deep merge, then strict validation."""

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import TypeAlias, cast, get_args

from pydantic import JsonValue, TypeAdapter, ValidationError

from reslab.errors import UsageError

from .explain import TAGGED_PARTS, explain, settings_at
from .run import RunConfig
from .upgrade import FORMAT_VERSION, upgrade, with_order

# the value of a setting, or those of a part's settings by name
Setting: TypeAlias = "bool | int | float | str | Path | Sequence[Setting] | Mapping[str, Setting] | None"
Differences = dict[str, tuple[JsonValue, JsonValue]]


def to_dict(config: RunConfig) -> dict[str, JsonValue]:
    """Return the config as plain JSON values, tuples as lists."""
    return _plain(asdict(config))


def from_dict(values: Mapping[str, JsonValue]) -> RunConfig:
    """Return the config that `to_dict` wrote.

    Args:
        values: Nested JSON values. A key "format_version" says by which version they were written: version 1 is
            upgraded, and data without an order keeps its archive's. Without the key they are of today.

    Raises:
        UsageError: A key or a value is wrong (the first is named), or the format version is unknown.
    """
    settings = {key: value for key, value in values.items() if key != "format_version"}
    version = values.get("format_version", FORMAT_VERSION)
    if version not in (1, FORMAT_VERSION):
        raise UsageError(f"the config has format version {version}; this reslab reads 1 and {FORMAT_VERSION}.")
    if version == 1:
        settings = upgrade(settings)
    return _validate(with_order(settings) if "format_version" in values else settings)


def override(config: RunConfig, *changes: Mapping[str, Setting]) -> RunConfig:
    """Return `config` with nested changes.

    Args:
        config: The config to start from; it stays as it is.
        changes: Nested settings, for example `{"optim": {"lr": 0.05}}`; where several set the same, the last wins.
            Another `kind` replaces the whole part by that kind's defaults. The text "none" stands for None where a
            setting may be None (`train.grad_clip_norm`, `train.ema_decay`, ...).

    Returns:
        A new config, checked as a whole.

    Raises:
        UsageError: A key does not exist (the nearest one is named) or was renamed (its new name is given), or a value
            has the wrong type or is out of range.
    """
    return _validate(_merged(config, changes))  # once, because a change may need what another one sets


def check_form(config: RunConfig, *changes: Mapping[str, Setting]) -> None:
    """Check names and types of changes alone, where the settings that they depend on are still open.

    Args:
        config: A config that has the parts to be changed.
        changes: Nested settings, as for `override`.

    Raises:
        UsageError: A key does not exist or was renamed, or a value has the wrong type.
    """
    values = _merged(config, changes)
    try:
        _ADAPTER.validate_json(_as_json(values), strict=True, extra="forbid")
    except ValidationError as error:
        if problems := [problem for problem in error.errors() if problem["type"] != "value_error"]:
            raise UsageError(explain(problems, values)) from None


def differences(a: Mapping[str, JsonValue], b: Mapping[str, JsonValue], prefix: str = "") -> Differences:
    """Return every leaf that differs between two nested dicts: {"optim.lr": (0.1, 0.05)}; None where one lacks it."""
    pairs: Differences = {}
    for key in [*a, *(key for key in b if key not in a)]:
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            pairs.update(differences(left, right, f"{prefix}{key}."))
        elif left != right:
            pairs[prefix + key] = (left, right)
    return pairs


def read_toml(path: Path) -> dict[str, Setting]:
    """Return the nested settings in a TOML file.

    Raises:
        UsageError: The file cannot be read, or is not TOML (the line is named).
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}.") from None


def _merged(config: RunConfig, changes: tuple[Mapping[str, Setting], ...]) -> dict[str, JsonValue]:
    values = reduce(_merge, map(_plain, changes), to_dict(config))
    return _with_nones(values, values, [])


def _plain(values: object) -> dict[str, JsonValue]:
    """Return JSON values: tuples as lists, whatever JSON does not know (paths, dates of TOML) as text."""
    return json.loads(json.dumps(values, default=_known_to_json))


def _known_to_json(value: object) -> object:
    return dict(cast("Mapping[str, JsonValue]", value)) if isinstance(value, Mapping) else str(value)


def _merge(base: dict[str, JsonValue], changes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not _is_other_kind(key, old, value):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _is_other_kind(key: str, old: dict[str, JsonValue], new: dict[str, JsonValue]) -> bool:
    return key in TAGGED_PARTS and "kind" in new and new["kind"] != old.get("kind")


def _with_nones(values: dict[str, JsonValue], part: dict[str, JsonValue], path: list[str]) -> dict[str, JsonValue]:
    """Replace the word "none" where a setting may be None; TOML and flags have no other word for it."""
    filled = dict(part)
    hints = settings_at(path, values)
    for key, value in part.items():
        if key not in hints:
            continue  # validation explains it
        if isinstance(value, dict):
            filled[key] = _with_nones(values, value, [*path, key])
        elif value == "none" and type(None) in get_args(hints[key]):
            filled[key] = None
    return filled


def _validate(values: dict[str, JsonValue]) -> RunConfig:
    try:
        return _ADAPTER.validate_json(_as_json(values), strict=True, extra="forbid")
    except ValidationError as error:
        raise UsageError(explain(error.errors(), values)) from None


def _as_json(values: dict[str, JsonValue]) -> str:
    """Return JSON, because there a list is a tuple and a dict a dataclass even in strict mode."""
    try:
        return json.dumps(values, allow_nan=False)
    except ValueError:
        key, value = next(_not_finite(values))
        raise UsageError(f"{key} is {value}; allowed: finite numbers ('none' where a setting may be None).") from None


def _not_finite(values: dict[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Yield the settings that are infinite or not a number, for which JSON has no word."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _not_finite(value, f"{prefix}{key}.")
        elif any(isinstance(item, float) and not math.isfinite(item) for item in _items(value)):
            yield f"{prefix}{key}", value


def _items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [value]


_ADAPTER = TypeAdapter(RunConfig)
