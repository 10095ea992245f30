"""Flags like `--optim.lr 0.05`, that name a setting of the config, into nested changes."""

import tomllib
from collections.abc import Sequence
from typing import Any

from reslab.errors import UsageError


def parse_overrides(tokens: Sequence[str]) -> dict[str, Any]:
    """Return nested changes: ["--optim.lr", "0.05"] -> {"optim": {"lr": 0.05}}.

    A value is read as TOML (number, true, false, [1, 2], "text") and otherwise taken as text.

    Raises UsageError for a flag without a value, or a value without a flag.
    """
    changes: dict[str, Any] = {}
    rest = list(tokens)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise UsageError(
                f"{flag!r} belongs to no option; settings are given as --part.name VALUE, e.g. --optim.lr 0.05."
            )
        name, equals, text = flag[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(f"{flag} needs a value, e.g. {flag} VALUE.")
            text = rest.pop(0)
        _set(changes, name.replace("-", "_").split("."), parse_value(text))
    return changes


def parse_value(text: str) -> Any:
    """Return the TOML value that `text` is, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(changes: dict[str, Any], path: list[str], value: Any) -> None:
    part = changes
    for key in path[:-1]:
        part = part.setdefault(key, {})
        if not isinstance(part, dict):
            raise UsageError(f"--{'.'.join(path)}: {key!r} was given a value of its own before.")
    part[path[-1]] = value
