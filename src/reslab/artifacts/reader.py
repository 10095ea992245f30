"""JSON documents: written from dataclasses, and read back strictly."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from reslab.errors import RunError
from reslab.system.files import read_json, to_json, write_atomically

from .upgrade import FORMAT_VERSION, Kind, upgrade

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


def write_document(path: Path, document: "DataclassInstance | dict[str, JsonValue]") -> None:
    """Write a JSON document with the format version, atomically.

    Args:
        path: The file.
        document: A dataclass, or a mapping of JSON values.

    Raises:
        RunError: The file cannot be written.
    """
    write_atomically(path, document_bytes(document))


def document_bytes(document: "DataclassInstance | dict[str, JsonValue]") -> bytes:
    """Return a dataclass, or a mapping of JSON values, as a JSON file with the format version."""
    values = document if isinstance(document, dict) else asdict(document)
    return to_json({"format_version": FORMAT_VERSION, **values}).encode(errors="backslashreplace")


def read_document(path: Path, kind: Kind, form: type[T]) -> T:
    """Read a JSON document of this or an earlier format version.

    Args:
        path: The file.
        kind: Which document it is.
        form: The dataclass that it is read into.

    Raises:
        RunError: The file is missing, damaged, of another version, or a field is wrong; the message names the field.
    """
    return checked(current(read_json(path), kind, path), form, path)


def current(values: Any, kind: Kind, where: object) -> Any:
    """Upgrade a document to today's format version.

    Args:
        values: What the JSON file holds.
        kind: Which document it is.
        where: The file, for an error.

    Returns:
        Its fields, without the format version.

    Raises:
        RunError: It is not a document, is damaged, or is of an unknown format version.
    """
    if not isinstance(values, dict):
        raise RunError(f"{where}: not a JSON object.")
    document = cast("dict[str, JsonValue]", values)
    version = document.get("format_version", 1 if kind == "checkpoint" else None)  # whose version 1 did not name it
    if version not in range(1, FORMAT_VERSION + 1):
        raise RunError(f"{where}: format version is {version}; this reslab reads versions 1 to {FORMAT_VERSION}.")
    fields = {key: value for key, value in document.items() if key != "format_version"}
    if version == FORMAT_VERSION:
        return fields
    try:
        return upgrade(fields, kind)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{where}: damaged: not a whole {kind} document of format version {version} ({error})."
        ) from None


def checked(values: Any, form: type[T], where: object) -> T:
    """Turn JSON values into a dataclass, strictly.

    Args:
        values: The fields.
        form: The dataclass.
        where: The file, for an error.

    Raises:
        RunError: A field is missing, unknown or of another type; the message names the first one.
    """
    try:
        # as JSON, because there a list is a tuple and a dict a dataclass even in strict mode
        return _adapter(form).validate_json(json.dumps(values), strict=True, extra="forbid")
    except ValidationError as error:
        raise RunError(f"{where}: {first_problem(error)}") from None


def first_problem(error: ValidationError, prefix: str = "") -> str:
    """Describe what is wrong with the first wrong field of a document.

    Args:
        error: What pydantic raised.
        prefix: Where the document is within a larger one, such as "data"; "" for a whole document.

    Returns:
        A sentence with the field's path and the reason.
    """
    problem = error.errors()[0]
    field = ".".join(str(part) for part in (*([prefix] if prefix else []), *problem["loc"]))
    reason = str(problem.get("ctx", {}).get("error", problem["msg"])).removesuffix(".")
    return f"{field}: {reason}." if field else f"{reason}."


@cache
def _adapter(form: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(form)
