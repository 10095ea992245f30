"""Figures of a network's layers: their responses, the gradients that reach them, the batch norms' health."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reslab.analysis.batchnorm_health import CRITERIA, LARGEST_RATIO, LARGEST_SHIFT
from reslab.report.html import figure_markup
from reslab.report.measurements import BatchNorms, LayerMeasurements

from .layers import LayerLine, draw_by_depth, draw_responses
from .style import COLORS, styled, to_svg

_DOTTED = 120  # layers of which each has a dot; of more there is no room


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerFigure:
    """A figure of one value for each layer.

    Attributes:
        title: Its heading.
        caption: The words under it.
        svgs: Its panels.
        rows: (layer, value) as text.
    """

    title: str
    caption: str
    svgs: tuple[Markup, ...]
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NormsFigure:
    """The figure of a network's batch norms.

    Attributes:
        measured: The health of each.
        svgs: The figure's panels.
        caption: The words under it.
        criteria: What a healthy batch norm is, in words.
    """

    measured: BatchNorms
    svgs: tuple[Markup, ...]
    caption: str
    criteria: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkView:
    """What a page shows of a network's layers.

    Attributes:
        figures: The figures.
        norms: The figure of batch norms; None for a network that has none.
    """

    figures: tuple[LayerFigure, ...]
    norms: NormsFigure | None


def network_view(measured: LayerMeasurements) -> NetworkView:
    """Draw what was measured inside a network."""
    images = f"{measured.images} images of the {measured.split} split"
    figures = (
        _figure("responses", "Layer responses", measured.responses, measured.layers, _draw_responses,
                "Standard deviation of each 3x3 layer's response: after batch norm, where there is one, before ReLU "
                f"and addition (paper Fig. 7); {images}, eval mode."),
        _figure("gradients", "Gradients", measured.gradients, measured.layers, _draw_gradients,
                "Norm of the gradient of the loss by each 3x3 layer's weight, over the norm of the weight; "
                f"one batch of {measured.batch} images of the {measured.split} split, training mode, no step taken."),
    )  # fmt: skip
    return NetworkView(
        figures=tuple(figure for figure in figures if figure),
        norms=None if measured.norms is None else _norms_figure(measured.norms, images),
    )


def _figure(
    name: str,
    title: str,
    values: Sequence[float | None],
    layers: Sequence[str],
    draw: Callable[[Sequence[float]], Sequence[Figure]],
    caption: str,
) -> LayerFigure | None:
    known = [(value, layer) for value, layer in zip(values, layers, strict=True) if value is not None]
    if not known:
        return None
    least, most = min(known), max(known)
    median = statistics.median(value for value, _ in known)
    unknown = f" Of {len(values) - len(known)} layers it is not finite." if len(known) < len(values) else ""
    label = (
        f"Line chart of {len(values)} layers in order of depth: first {known[0][0]:.3g}, last {known[-1][0]:.3g}; "
        f"smallest {least[0]:.3g} ({least[1]}), median {median:.3g}, largest {most[0]:.3g} ({most[1]}).{unknown}"
    )
    return LayerFigure(
        title=title,
        caption=caption + unknown,
        svgs=_svgs(draw(_with_gaps(values)), name, (label, "The same values, sorted.")),
        rows=tuple(
            (layer, "not finite" if value is None else f"{value:.4g}")
            for layer, value in zip(layers, values, strict=True)
        ),
    )


def _svgs(figures: Sequence[Figure], name: str, labels: Sequence[str]) -> tuple[Markup, ...]:
    """Make each panel a picture of its own, so that they stand one above the other on a phone."""
    return tuple(
        figure_markup(to_svg(figure, f"{name}{number}", label))
        for number, (figure, label) in enumerate(zip(figures, labels, strict=False))
    )


def _panels(count: int, height: float) -> tuple[list[Figure], list[Axes]]:
    with styled():
        figures = [Figure(figsize=(4.8, height), layout="constrained") for _ in range(count)]
        return figures, [figure.add_subplot() for figure in figures]


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _line(values: Sequence[float], color: str = COLORS[0], label: str = "") -> LayerLine:
    return LayerLine(values, color, ".-" if len(values) <= _DOTTED else "-", label)


def _count_layers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _draw_responses(values: Sequence[float]) -> list[Figure]:
    figures, panels = _panels(2, 3.6)
    with styled():
        draw_responses(panels, [_line(values)])
        for axes in panels:
            _count_layers(axes)
    return figures


def _draw_gradients(values: Sequence[float]) -> list[Figure]:
    figures, (axes,) = _panels(1, 3.2)
    figures[0].set_size_inches(5.8, 3.2)
    with styled():
        draw_by_depth(axes, _line(values))
        _count_layers(axes)
        if positive := [value for value in values if value > 0]:
            axes.set_yscale("log")
            middle = math.sqrt(min(positive) * max(positive))
            # at least two decades, so that small differences look small
            axes.set_ylim(min(min(positive) / 1.5, middle / 10), max(1.5 * max(positive), middle * 10))
        axes.set_ylabel("gradient norm over weight norm")
    return figures


def _norms_figure(norms: BatchNorms, images: str) -> NormsFigure:
    rows = norms.rows
    dead = sum(row.dead for row in rows)
    shifts = _with_gaps([row.mean_shift for row in rows])
    ratios = [abs(ratio) for ratio in _with_gaps([row.variance_ratio for row in rows])]
    shares = [100 * row.dead / row.channels for row in rows]
    largest = [max(filter(math.isfinite, values), default=0) for values in (shifts, ratios)]
    labels = (
        f"Line chart of {len(rows)} batch-norm layers. Running means are at most {largest[0]:.2g} standard deviations "
        f"from the images', running variances within a factor of {2 ** largest[1]:.3g}.",
        f"Line chart. Dead channels: {dead} in all; in one layer at most {max(shares):.3g} %.",
    )
    figures, panels = _panels(2, 3.2)
    with styled():
        _draw_statistics(panels[0], shifts, ratios)
        draw_by_depth(panels[1], _line(shares), "batch norm")
        panels[1].set_ylim(-0.5, max(5.0, 1.1 * max(shares)))
        panels[1].set_ylabel("dead channels (%)")
        for axes in panels:
            _count_layers(axes)
    caption = (
        "First: the running statistics against those of the images, median channel of each layer; dashed: from here on "
        f"it is far. Second: dead channels. {images[0].upper()}{images[1:]}, training and eval mode."
    )
    return NormsFigure(measured=norms, svgs=_svgs(figures, "norms", labels), caption=caption, criteria=CRITERIA)


def _draw_statistics(axes: Axes, shifts: Sequence[float], ratios: Sequence[float]) -> None:
    lines = (
        (shifts, COLORS[0], LARGEST_SHIFT, "mean: shift in standard deviations"),
        (ratios, COLORS[1], LARGEST_RATIO, "variance: |log2 of the ratio|"),
    )
    for values, color, limit, label in lines:
        draw_by_depth(axes, _line(values, color, label), "batch norm")
        axes.axhline(limit, color=color, linewidth=0.8, linestyle=(0, (4, 4)))
    known = [value for value in (*shifts, *ratios) if math.isfinite(value)]
    axes.set_ylim(0, max(1.6 * LARGEST_RATIO, 1.3 * max(known, default=0)))
    axes.set_ylabel("running against these images")
    axes.legend(fontsize=9, loc="upper right")
