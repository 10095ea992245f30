"""The one way to change a configuration, and to read one: deep merge, strict validation, errors in words."""

import dataclasses
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from reslab.errors import UsageError, did_you_mean

from .run import RunConfig


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain JSON values, tuples as lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return plain(asdict(config))


def without_defaults(config: RunConfig) -> dict[str, Any]:
    """Return only what differs from the defaults, and every `kind`: a setting that came later changes nothing here."""

    def told(part: Any) -> dict[str, Any]:
        found = {}
        for item in dataclasses.fields(part):
            value, default = getattr(part, item.name), _default(item)
            if dataclasses.is_dataclass(value):
                found[item.name] = told(value)
            elif item.name == "kind" or value != default:
                found[item.name] = value
        return found

    return told(config)


def _default(item: "dataclasses.Field[Any]") -> Any:
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """Return the config that `to_dict` wrote; UsageError names the first wrong key or value."""
    return _validate(dict(values))


def override(config: RunConfig, *changes: Mapping[str, Any]) -> RunConfig:
    """Return `config` with nested `changes`, for example `{"optim": {"lr": 0.05}}`; of several, the last has its way.

    Naming another `kind` replaces the whole part by that kind's defaults. Raises UsageError for a key that does not
    exist (with the nearest that does), a value of the wrong type, or one out of range. The text "none" stands for
    nothing where a setting may be nothing (`clip_norm`, `ema_decay`, ...).
    """
    merged = reduce(_merge, changes, to_dict(config))  # checked once, because one may need what another sets
    return _validate(_with_nones(merged, merged, []))


def check_form(config: RunConfig, *changes: Mapping[str, Any]) -> None:
    """Raise UsageError for a setting that does not exist or is of the wrong type, whatever the other settings are.

    What `override` refuses beyond that may depend on values that are still open.
    """
    merged = reduce(_merge, changes, to_dict(config))
    values = _with_nones(merged, merged, [])
    try:
        _ADAPTER.validate_json(_as_json(values), strict=True, extra="forbid")
    except ValidationError as error:
        wrong = [problem for problem in error.errors() if problem["type"] != "value_error"]
        if wrong:
            raise UsageError(_explain(wrong[0], values)) from None


def differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return every leaf that differs between two config dicts: {"optim.lr": (0.1, 0.05)}; None where one lacks it."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in [*a, *(key for key in b if key not in a)]:
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found.update(differences(left, right, f"{prefix}{key}."))
        elif left != right:
            found[prefix + key] = (left, right)
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """Return the nested changes in a TOML file; UsageError names the file and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}.") from None


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if not isinstance(value, Mapping) or not isinstance(old, dict):
            merged[key] = list(value) if isinstance(value, tuple) else value
        elif "kind" in value and value["kind"] != old.get("kind") and key in _TAGGED_PARTS:
            merged[key] = dict(value)
        else:
            merged[key] = _merge(old, value)
    return merged


# parts that are one of several dataclasses, told apart by `kind`; the data's `kind` is an ordinary value
_TAGGED_PARTS = ("augment", "optim", "schedule", "warmup")


def _validate(values: dict[str, Any]) -> RunConfig:
    """Turn nested values into a RunConfig, strictly, or say in one sentence what is wrong with the first bad one."""
    try:
        return _ADAPTER.validate_json(_as_json(values), strict=True, extra="forbid")
    except ValidationError as error:
        raise UsageError(_explain(error.errors()[0], values)) from None


def _as_json(values: dict[str, Any]) -> str:
    """JSON, because there a list is a tuple and a dict a dataclass even in strict mode."""
    try:
        return json.dumps(values, default=str, allow_nan=False)
    except ValueError:
        raise UsageError(_not_finite(values)) from None


def _not_finite(values: Mapping[str, Any], prefix: str = "") -> str:
    """Name the first setting that is infinite or no number, which JSON, and so a run folder, has no word for."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            if found := _not_finite(value, f"{prefix}{key}."):
                return found
        elif any(isinstance(one, float) and not math.isfinite(one) for one in (value, *_items(value))):
            return f"{prefix}{key} is {value}; allowed: finite numbers ('none' where a setting may be nothing)."
    return ""


def _items(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else ()


def _explain(problem: Any, values: dict[str, Any]) -> str:
    """Put a pydantic error into words, with the key as a user writes it."""
    path = _user_path(problem["loc"], values)
    key = ".".join(path)
    match problem["type"]:
        case "unexpected_keyword_argument":
            siblings = setting_names(path[:-1], values)
            hint = did_you_mean(path[-1], siblings)
            return f"no setting is called {key!r}; there are: {', '.join(siblings)}.{hint}"
        case "missing":
            return f"{key!r} is missing."
        case "union_tag_invalid" | "union_tag_not_found":
            tags = [str(tag).strip(" '") for tag in problem["ctx"].get("expected_tags", "").split(",")]
            given = _get(values, [*path, "kind"])
            allowed = ", ".join(filter(None, tags))
            return f"{key}.kind is {given!r}; allowed: {allowed or 'see the documentation'}.{did_you_mean(given, tags)}"
        case "literal_error":
            choices = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            given = problem["input"]
            return f"{key} is {given!r}; allowed: {', '.join(choices)}.{did_you_mean(given, choices)}"
        case "tuple_type":
            given = str(problem["input"])
            form = f"[{given}]" if re.fullmatch(r"\d+(, ?\d+)*", given) else "[1,2,3]"
            return f"{key} is {problem['input']!r}; it should be a list in brackets, like '{form}'."
        case "value_error":
            return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
        case _:
            wanted = problem["msg"].removeprefix("Input should be ").removesuffix(" without decimal")
            return f"{key} is {problem['input']!r}; it should be {wanted}."


def setting_names(path: list[str], values: dict[str, Any]) -> list[str]:
    """Return the names of the settings in the part at `path`, as the `kind`s in `values` choose it."""
    return [item.name for item in dataclasses.fields(_part_at(path, values))]


def _part_at(path: list[str], values: dict[str, Any]) -> Any:
    """The dataclass of the part at `path`."""
    part: Any = RunConfig
    for number, key in enumerate(path, start=1):
        hint = get_type_hints(part)[key]
        members = get_args(hint) or (hint,)
        kind = _get(values, [*path[:number], "kind"])
        part = next((member for member in members if _kind(member) == kind), members[0])
    return part


def _with_nones(values: dict[str, Any], part: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Let the word "none" stand for nothing where a setting may be nothing; TOML and flags have no other."""
    filled = dict(part)
    hints = get_type_hints(_part_at(path, values))
    for key, value in part.items():
        if key not in hints:
            continue  # the validation says so in better words
        if isinstance(value, dict):
            filled[key] = _with_nones(values, value, [*path, key])
        elif value == "none" and type(None) in get_args(hints[key]):
            filled[key] = None
    return filled


def _kind(part: Any) -> Any:
    return next((item.default for item in dataclasses.fields(part) if item.name == "kind"), None)


def _user_path(location: tuple[Any, ...], values: dict[str, Any]) -> list[str]:
    """Drop the union tags that pydantic puts between the keys."""
    path: list[str] = []
    for part in location:
        in_tagged_part = path and path[-1] in _TAGGED_PARTS
        if not (in_tagged_part and part == _get(values, [*path, "kind"])):
            path.append(str(part))
    return path


def _get(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


_ADAPTER = TypeAdapter(RunConfig)
