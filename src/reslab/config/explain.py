"""What is wrong with a configuration, in words: pydantic's problems under the names that a user writes."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

from pydantic import JsonValue
from pydantic_core import ErrorDetails

from reslab.errors import did_you_mean

from .run import RunConfig
from .upgrade import answer

# parts that are one of several dataclasses, told apart by `kind`; the data's `kind` is an ordinary value
TAGGED_PARTS = ("augment", "optim", "schedule", "warmup")


def explain(problems: Sequence[ErrorDetails], values: dict[str, JsonValue]) -> str:
    """Return the new names of all settings that were renamed, or else what is wrong with the first bad one."""
    return " ".join(filter(None, (_answer(problem, values) for problem in problems))) or _explain(problems[0], values)


def settings_at(path: list[str], values: dict[str, JsonValue]) -> dict[str, Any]:
    """Return the settings of the part at `path` with their types, as the `kind`s in `values` choose the part."""
    part: Any = RunConfig
    for number, key in enumerate(path, start=1):
        hint = get_type_hints(part)[key]
        members = get_args(hint) or (hint,)
        kind = _get(values, [*path[:number], "kind"])
        part = next((member for member in members if _kind(member) == kind), members[0])
    return get_type_hints(part)


def _answer(problem: ErrorDetails, values: dict[str, JsonValue]) -> str:
    is_unknown = problem["type"] == "unexpected_keyword_argument"
    return answer(".".join(_user_path(problem["loc"], values)), problem["input"]) if is_unknown else ""


def _explain(problem: ErrorDetails, values: dict[str, JsonValue]) -> str:
    path = _user_path(problem["loc"], values)
    key, value = ".".join(path), problem["input"]
    match problem["type"]:
        case "unexpected_keyword_argument":
            siblings = list(settings_at(path[:-1], values))
            hint = did_you_mean(path[-1], siblings)
            return f"no setting is called {key!r}; there are: {', '.join(siblings)}.{hint}"
        case "missing":
            return f"{key!r} is missing."
        case "union_tag_invalid" | "union_tag_not_found":
            return _explain_kind(problem, path, values)
        case "literal_error":
            choices = re.findall(r"'([^']*)'", problem.get("ctx", {})["expected"])
            return f"{key} is {value!r}; allowed: {', '.join(choices)}.{did_you_mean(value, choices)}"
        case "tuple_type":
            form = f"[{value}]" if re.fullmatch(r"\d+(, ?\d+)*", str(value)) else "[1,2,3]"
            return f"{key} is {value!r}; it should be a list in brackets, like '{form}'."
        case "value_error":
            message = str(problem.get("ctx", {})["error"])
            return message if not key or message.startswith(key) else f"{key}: {message}"
        case _:
            wanted = problem["msg"].removeprefix("Input should be ").removesuffix(" without decimal")
            return f"{key} is {value!r}; it should be {wanted}."


def _explain_kind(problem: ErrorDetails, path: list[str], values: dict[str, JsonValue]) -> str:
    kinds = [kind.strip(" '") for kind in problem.get("ctx", {}).get("expected_tags", "").split(",")]
    value, key = _get(values, [*path, "kind"]), ".".join(path)
    allowed = ", ".join(filter(None, kinds))
    return f"{key}.kind is {value!r}; allowed: {allowed or 'see the documentation'}.{did_you_mean(value, kinds)}"


def _user_path(location: tuple[str | int, ...], values: dict[str, JsonValue]) -> list[str]:
    """Drop the kinds that pydantic puts between the keys."""
    path: list[str] = []
    for part in location:
        is_kind = path and path[-1] in TAGGED_PARTS and part == _get(values, [*path, "kind"])
        if not is_kind:
            path.append(str(part))
    return path


def _kind(part: Any) -> Any:
    return next((field.default for field in dataclasses.fields(part) if field.name == "kind"), None)


def _get(values: JsonValue, path: list[str]) -> JsonValue:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values
