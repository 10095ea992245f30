"""HTML pages from templates: self-contained, escaped, and written whole or not at all."""

import base64
import hashlib
import re
import shlex
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reslab import __version__
from reslab.system.files import write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def _load(name: str) -> str:
    return (files("reslab.report") / "templates" / name).read_text(encoding="utf-8")


def write_page(
    template: str,
    path: Path,
    page: "DataclassInstance",
    *,
    is_interactive: bool = False,
    reload_seconds: int | None = None,
) -> Path:
    """Fill a template and write it; everything that is not `Markup` is escaped.

    Args:
        template: The template's file name.
        path: The file to write.
        page: What the page shows. The template knows its fields by their names.
        is_interactive: With the script that sorts, filters and enlarges. The page's own policy lets no other script
            run, and fetches nothing.
        reload_seconds: How often the page reloads itself; None for never.

    Returns:
        The path.
    """
    environment = Environment(
        loader=FunctionLoader(_load),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["without_folders"] = without_folders
    script = _load("page.js") if is_interactive else None
    content = environment.get_template(template).render(
        version=__version__,
        script=None if script is None else Markup(script),
        policy=_policy(script),
        reload_seconds=reload_seconds,
        **{field.name: getattr(page, field.name) for field in fields(page)},
    )
    write_atomically(path, content)
    return path


def _policy(script: str | None) -> str:
    allowed = "'none'"
    if script is not None:
        allowed = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def without_folders(command: str) -> str:
    """Keep only the last part of every absolute path: a page is passed on, and others have other folders."""

    def last_part(path: re.Match[str]) -> str:
        return shlex.quote((path[1] or path[2]).rstrip("/").rpartition("/")[2])

    return re.sub(r"(?<!\S)(?:'(/[^']+)'|(/\S+))", last_part, command)


def figure_markup(svg: str) -> Markup:
    """Mark an SVG that we made as safe to put on a page."""
    return Markup(svg)
