"""The style of all figures: matplotlib without global state, and SVG that is the same each time."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Okabe and Ito's palette: told apart by everybody
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GRID = "#1c1f24", "#d9dce1"
_DARK = {INK: "#e4e7eb", GRID: "#3b414a", "#ffffff": "#1f2329"}  # the same figure on a dark page

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "reslab",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of our figures inside the block, and leave the user's settings alone."""
    with mpl.rc_context(_STYLE):
        yield


def make_figure(draw_on: Callable[[Sequence[Axes]], None], panels: int = 1, *, height: float = 3.9) -> Figure:
    """Make a figure of panels in a row, in our style.

    Args:
        draw_on: Draws on the panels' axes.
        panels: One or two.
        height: In inches.
    """
    with styled():
        figure = Figure(figsize=(9.6 if panels > 1 else 7.2, height), layout="constrained")
        draw_on(list(figure.subplots(1, panels, squeeze=False)[0]))
    return figure


def as_dark(svg: str) -> str:
    """Return an SVG of our style for a dark page: ink, grid and background change, the colours of the data stay.

    Args:
        svg: The text of the file.
    """
    return re.sub("|".join(_DARK), lambda color: _DARK[color[0]], svg)


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an inline SVG element.

    Args:
        figure: The figure.
        name: Makes its inner ids unique on a page with several figures.
        label: Says what it shows to those who cannot see it.
    """
    buffer = io.StringIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    width = re.search(r'width="([\d.]+)pt"', svg)
    size = f' style="max-width:{float(width[1]) * 4 / 3:.0f}px"' if width else ""
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{_escape(label)}"{size}', 1)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def in_iterations(axes: Axes) -> None:
    """Label the x axis in iterations, thousands as 10k."""
    axes.set_xlabel("iterations")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"))
