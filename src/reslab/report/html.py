"""HTML pages from templates: self-contained, escaped, written whole or not at all."""

import base64
import hashlib
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reslab import __version__
from reslab.system.files import write_atomically


def _load(name: str) -> str:
    return (files("reslab.report") / "templates" / name).read_text(encoding="utf-8")


def write_page(
    template: str, path: Path, *, is_interactive: bool = False, reload_seconds: int | None = None, **values: Any
) -> Path:
    """Fill a template and write it; everything that is not `Markup` is escaped.

    is_interactive: with the script that sorts, filters and enlarges. The page's own policy lets no other script run,
    and nothing be fetched. reload_seconds: how often the page reloads itself; None for never.
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
        **values,
    )
    write_atomically(path, content)
    return path


def _policy(script: str | None) -> str:
    allowed = "'none'"
    if script is not None:
        allowed = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def without_folders(command: str) -> str:
    """Leave of every absolute path its last part: a page is passed on, and others have other folders."""

    def last_part(path: re.Match[str]) -> str:
        return shlex.quote((path[1] or path[2]).rstrip("/").rpartition("/")[2])

    return re.sub(r"(?<!\S)(?:'(/[^']+)'|(/\S+))", last_part, command)


def figure_markup(svg: str) -> Markup:
    """Mark an SVG of ours as safe to put on a page."""
    return Markup(svg)
