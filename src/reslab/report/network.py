"""Inside a network, on a page: its layers' responses, the gradients that reach them, its batch norms' health."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.models.health import CRITERIA, LARGEST_RATIO, LARGEST_SHIFT

from .figures import COLORS, INK, make_figure, to_svg
from .layers import LayerLine, draw_by_depth, draw_responses
from .pages import figure_markup

_DOTTED = 120  # layers of which each has a dot; of more there is no room


def network_view(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the template shows. found: of `reslab.report.inside.look_inside`."""
    layers = found["layers"]
    figures = [
        _figure("responses", "Layer responses", found["responses"], layers, _draw_responses,
                "Standard deviation of each 3x3 layer's response: after batch norm, where there is one, before ReLU "
                f"and addition (paper Fig. 7); {found['images']} images of the {found['split']} split, eval mode."),
        _figure("gradients", "Gradients", found["gradients"], layers, _draw_gradients,
                "Norm of the gradient of the loss by each 3x3 layer's weight, over the norm of the weight; "
                f"one batch of {found['batch']} images of the {found['split']} split, training mode, no step taken."),
    ]  # fmt: skip
    return {"figures": [figure for figure in figures if figure], "norms": _norms_view(found)}


def _figure(
    name: str,
    title: str,
    values: Sequence[float | None],
    layers: Sequence[str],
    draw: Callable[[Sequence[float]], Figure],
    caption: str,
) -> dict[str, Any] | None:
    known = [(value, layer) for value, layer in zip(values, layers, strict=True) if value is not None]
    if not known:
        return None
    least, most = min(known), max(known)
    median = sorted(known)[len(known) // 2][0]
    unknown = f" {len(values) - len(known)} layers have none that is finite." if len(known) < len(values) else ""
    label = (
        f"Line chart of {len(values)} layers in order of depth: first {known[0][0]:.3g}, last {known[-1][0]:.3g}; "
        f"smallest {least[0]:.3g} ({least[1]}), median {median:.3g}, largest {most[0]:.3g} ({most[1]}).{unknown}"
    )
    svg = to_svg(draw([math.nan if value is None else value for value in values]), name, label)
    rows = [
        (layer, "not finite" if value is None else f"{value:.4g}") for layer, value in zip(layers, values, strict=True)
    ]
    return {"name": name, "title": title, "caption": caption + unknown, "svg": figure_markup(svg), "rows": rows}


def _draw_responses(values: Sequence[float]) -> Figure:
    return make_figure(lambda panels: draw_responses(panels, [LayerLine(values, COLORS[0], _style(values))]), 2)


def _draw_gradients(values: Sequence[float]) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        draw_by_depth(panels[0], LayerLine(values, COLORS[0], _style(values)))
        if any(value > 0 for value in values):
            panels[0].set_yscale("log")
        panels[0].set_ylabel("gradient norm over weight norm")

    return make_figure(draw_on, height=3.2)


def _style(values: Sequence[float]) -> str:
    return ".-" if len(values) <= _DOTTED else "-"


def _norms_view(found: dict[str, Any]) -> dict[str, Any] | None:
    norms = found["norms"]
    if norms is None:
        return None
    rows = norms["rows"]
    shifts, ratios = [row["mean_shift"] for row in rows], [row["variance_ratio"] for row in rows]
    measured = [(abs(ratio), shift) for ratio, shift in zip(ratios, shifts, strict=True) if None not in (ratio, shift)]
    dead = sum(row["dead"] for row in rows)
    label = f"Line charts of {len(rows)} batch-norm layers. Dead channels: {dead} in all."
    if measured:
        label += (
            f" Running means are at most {max(shift for _, shift in measured):.2g} standard deviations from the "
            f"images', running variances within a factor of {2 ** max(ratio for ratio, _ in measured):.3g}."
        )
    svg = to_svg(make_figure(lambda panels: _draw_norms(panels, rows), 2, height=3.2), "norms", label)
    caption = (
        "Left: the running statistics against those of the images, median channel of each layer; dashed: what is far. "
        f"Right: dead channels. {found['images']} images of the {found['split']} split."
    )
    return {**norms, "svg": figure_markup(svg), "caption": caption, "words": CRITERIA}


def _draw_norms(panels: Sequence[Axes], rows: Sequence[dict[str, Any]]) -> None:
    columns = {
        key: [math.nan if row[key] is None else row[key] for row in rows] for key in ("mean_shift", "variance_ratio")
    }
    lines = (
        (columns["mean_shift"], COLORS[0], "mean: shift in standard deviations"),
        ([abs(value) for value in columns["variance_ratio"]], COLORS[1], "variance: |log2 of the ratio|"),
    )
    for (values, color, label), limit in zip(lines, (LARGEST_SHIFT, LARGEST_RATIO), strict=True):
        draw_by_depth(panels[0], LayerLine(values, color, _style(values), label), "batch norm")
        panels[0].axhline(limit, color=color, linewidth=0.8, linestyle=(0, (4, 4)))
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("running against these images")
    panels[0].legend(fontsize=9)
    shares = [100 * row["dead"] / row["channels"] for row in rows]
    draw_by_depth(panels[1], LayerLine(shares, COLORS[0], _style(shares)), "batch norm")
    panels[1].set_ylim(-0.5, max(5.0, 1.1 * max(shares)))
    panels[1].axhline(0, color=INK, linewidth=0.5)
    panels[1].set_ylabel("dead channels (%)")
