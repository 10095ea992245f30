"""HTML pages from templates: self-contained, escaped, written whole or not at all."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reslab.files import write_atomically


def _load(name: str) -> str:
    return (files("reslab.report") / "templates" / name).read_text(encoding="utf-8")


def write_page(template: str, path: Path, **values: Any) -> Path:
    """Fill a template and write it; everything that is not `Markup` is escaped."""
    environment = Environment(
        loader=FunctionLoader(_load),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_atomically(path, environment.get_template(template).render(version=version("reslab"), **values))
    return path


def figure_markup(svg: str) -> Markup:
    """Mark an SVG of ours as safe to put on a page."""
    return Markup(svg)
