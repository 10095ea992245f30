"""Two documents compared value by value: JSON, rows of JSON, CSV, TOML."""

import csv
import io
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from tests.reference.comparison import Comparison
from tests.reference.renamed import ANY, CLOCK_KEYS, Renames
from tests.reference.texts import numbers_in, read_text, reword
from tests.reference.translate import Flat, flatten, is_in, rename_key, translate_document


def compare_flat(old: Flat, new: Flat, file: str, renames: Renames, *, is_config: bool = False) -> Comparison:
    """Compare two documents, value by value, under today's keys."""
    old = translate_document(old, file, renames, is_config=is_config)
    ignored = (*CLOCK_KEYS, *(() if renames.strict else renames.layout))
    keys = [key for key in dict.fromkeys([*old, *new]) if not is_in(ignored, file, key)]
    differences = []
    for key in keys:
        if key not in new:
            if not (_is_known(renames.removed, file, key, old[key]) or _is_repeated(renames, file, key, old, new)):
                differences.append(f"{key}: only the reference has it ({_short(old[key])})")
        elif key not in old:
            if not (_is_known(renames.added, file, key, new[key]) or _is_error(renames, file, key, new)):
                differences.append(f"{key}: only the current tree has it ({_short(new[key])})")
        elif _has_new_value(renames, file, key, old[key], new[key]) or (
            is_in(renames.words, file, key) and _has_same_numbers(old[key], new[key], renames)
        ):
            continue
        elif not _is_same(old[key], new[key]):
            differences.append(f"{key}: reference {_short(old[key])}, current {_short(new[key])}")
    return Comparison(file, len(keys), tuple(differences))


def _is_known(table: tuple[tuple[str, str, Any], ...], file: str, key: str, value: Any) -> bool:
    return any(is_in([row], file, key) and (row[2] is ANY or _is_same(row[2], value)) for row in table)


def _is_repeated(renames: Renames, file: str, key: str, old: Flat, new: Flat) -> bool:
    rows = [row for row in renames.repeated if is_in([row], file, key)]
    return any(_is_same(old[key], new.get(rename_key(key, row[1], row[2]), ANY)) for row in rows)


def _has_new_value(renames: Renames, file: str, key: str, old: Any, new: Any) -> bool:
    rows = [row for row in renames.values if is_in([row], file, key)]
    return any(_is_same(row[2], old) and _is_same(row[3], new) for row in rows)


def _is_error(renames: Renames, file: str, key: str, new: Flat) -> bool:
    if not is_in(renames.errors, file, key):
        return False
    counts = key.removesuffix("error")
    correct, total = new[f"{counts}correct"], new[f"{counts}total"]
    return bool(new[key] == 100 * (total - correct) / total)


def _has_same_numbers(old: Any, new: Any, renames: Renames) -> bool:
    is_text = isinstance(old, str) and isinstance(new, str)
    return is_text and numbers_in(reword(old, renames)) == numbers_in(reword(new, renames))


def _is_same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and (old == new or (old != old and new != new))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 90 else f"{text[:60]} ... {text[-20:]}"


def compare_json(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    documents = [flatten(json.loads(read_text(path))) for path in (old, new)]
    return compare_flat(documents[0], documents[1], name, renames, is_config=Path(name).name == "config.json")


def compare_json_lines(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    rows = [flatten([json.loads(line) for line in read_text(path).splitlines()]) for path in (old, new)]
    return compare_flat(rows[0], rows[1], name, renames)


def compare_csv(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    tables = [flatten(list(csv.DictReader(io.StringIO(read_text(path), newline="")))) for path in (old, new)]
    return compare_flat(tables[0], tables[1], name, renames)


def compare_toml(old: Path, new: Path, name: str, renames: Renames) -> Comparison:
    texts = [read_text(path) for path in (old, new)]
    settings = [flatten(tomllib.loads(re.sub(r"(?m)^# (\w+) = none$", r'\1 = "none"', text))) for text in texts]
    return compare_flat(settings[0], settings[1], name, renames, is_config=True)
