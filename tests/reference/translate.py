"""From the names of ebf7f61 to today's: the words of a command, its settings, the keys of a document."""

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from typing import Any

from tests.reference.renamed import Key, Renames

Flat = dict[str, Any]  # the path of each value in a document -> the value


def flatten(value: Any, prefix: str = "") -> Flat:
    """Return every value of a document by its path; an empty list or object is a value of its own."""
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping) and value:
        items = value.items()
    elif isinstance(value, list) and value:
        items = enumerate(value)
    else:
        return {prefix.removesuffix("."): value}
    found: Flat = {}
    for key, item in items:
        found |= flatten(item, f"{prefix}{key}.")
    return found


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested objects, for paths without numbers."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parts, last = path.split(".")
        part = nested
        for name in parts:
            part = part.setdefault(name, {})
        part[last] = value
    return nested


@cache
def key_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern of keys as a regular expression with a group for each wildcard."""
    escaped = re.escape(pattern)
    escaped = escaped.replace(r"\*\*\.", r"((?:[^.]+\.)*)").replace(r"\.\*\*", r"((?:\.[^.]+)*)")
    return re.compile(escaped.replace(r"\*", r"([^.]+)"))


def is_in(table: Iterable[tuple[Any, ...]], file: str, key: str) -> bool:
    """Whether a table of (file, key, ...) has a row for this key of this file."""
    return any(fnmatch(file, row[0]) and key_pattern(row[1]).fullmatch(key) for row in table)


# --- documents --------------------------------------------------------------------------------------------------------


def translate_document(flat: Flat, file: str, renames: Renames, *, is_config: bool = False) -> Flat:
    """Return a document of ebf7f61 under today's keys and, where a setting has other values, with today's.

    Args:
        flat: The document.
        file: Its path, for the tables.
        renames: What is called otherwise.
        is_config: Whether the whole document is a config; else configs are what is below a key "config".
    """
    for prefix in [""] if is_config else _config_prefixes(flat):
        flat = _translate_config(flat, prefix, renames.config)
    for pattern, old, new in renames.documents:
        if fnmatch(file, pattern):
            flat = {rename_key(key, old, new): value for key, value in flat.items()}
    return flat


def _config_prefixes(flat: Flat) -> list[str]:
    found = (re.match(r"(?:.*?\.)?config\.", key) for key in flat)
    return sorted({match[0] for match in found if match})


def _translate_config(flat: Flat, prefix: str, table: tuple[Key, ...]) -> Flat:
    renamed = {prefix + key.old: key for key in table if _applies(key, flat, prefix)}
    translated: Flat = {}
    for path, value in flat.items():
        key = renamed.get(path)
        translated[path if key is None else prefix + key.new] = value if key is None else _value(key, value)
    return translated


def _applies(key: Key, flat: Flat, prefix: str) -> bool:
    return key.when is None or flat.get(prefix + key.when[0]) == key.when[1]


def _value(key: Key, value: Any) -> Any:
    return value if key.values is None or value not in key.values else key.values[value]


def rename_key(key: str, old: str, new: str) -> str:
    match = key_pattern(old).fullmatch(key)
    if match is None:
        return key
    groups = iter(match.groups())
    return re.sub(r"\*\*\.|\.\*\*|\*", lambda _: next(groups), new)


def translate_file(path: str, renames: Renames) -> str:
    """Return the path that a file of ebf7f61 has today."""
    for pattern, replacement in renames.files:
        path = re.sub(pattern, replacement, path)
    return path


def translate_tensor(name: str, file: str, renames: Renames) -> str:
    """Return the name that a tensor of ebf7f61 has today."""
    for pattern, old, new in renames.tensors:
        if fnmatch(file, pattern):
            name = rename_key(name, old, new)
    return name


# --- commands ---------------------------------------------------------------------------------------------------------


def translate_words(words: tuple[str, ...], renames: Renames) -> tuple[str, ...]:
    """Return the words of today's command for one of ebf7f61; a setting is a flag with a dot and its value a word."""
    rest, verb = _without_verb(words, renames.verbs or {})
    settings = {flag[2:]: value for flag, value in pairwise(words) if _is_setting(flag)}
    keys = {key.old: key for key in renames.config if _flag_applies(key, settings)}
    translated: list[str] = list(verb)
    expects: Key | None = None
    for word in rest:
        if expects is not None:
            translated.append(_as_word(_value(expects, word)))
            expects = None
        elif _is_setting(word) and (key := keys.get(word[2:])):
            translated.append(f"--{key.new}")
            expects = key
        else:
            translated.append((renames.flags or {}).get((words[0], word), word))
    return tuple(translated)


def _without_verb(
    words: tuple[str, ...], verbs: Mapping[tuple[str, ...], tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    for old in sorted(verbs, key=len, reverse=True):
        if words[: len(old)] == old:
            return words[len(old) :], verbs[old]
    return words[1:], words[:1]


def _is_setting(word: str) -> bool:
    return word.startswith("--") and "." in word


def _flag_applies(key: Key, settings: Mapping[str, str]) -> bool:
    """Whether a command's setting is the renamed one: the command has to say the kind that this depends on."""
    if key.when is None or key.old not in settings:
        return key.when is None
    if key.when[0] not in settings:
        raise ValueError(f"a command that sets {key.old} must say {key.when[0]} too, by which it is called.")
    return settings[key.when[0]] == key.when[1]


def _as_word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def translate_settings(settings: Mapping[str, Any], renames: Renames) -> dict[str, Any]:
    """Return nested settings under today's names, for a file of settings."""
    return nest(_translate_config(flatten_settings(settings), "", renames.config))


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> Flat:
    """Return settings by their path; a list is one value."""
    found: Flat = {}
    for key, value in settings.items():
        found |= flatten_settings(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def to_toml(settings: Mapping[str, Any]) -> str:
    """Return nested settings as TOML, with dotted keys."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in flatten_settings(settings).items())
