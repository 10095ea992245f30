"""Figures of the experiments: axes that do not begin at 0 say so, and bold lines say of which split they are."""

from collections.abc import Sequence
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.experiments.claims import shortcuts
from reslab.experiments.figures import draw_curves, draw_dots, make_figure

from .evidence import change, made_up


def _texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("values", "begins_at_zero"),
    [([[16.8, 17.0, 17.4], [17.1, 17.2, 17.6]], False), ([[1.0, 2.0], [0.4, 0.6]], True), ([[0.0], [0.0]], True),
     ([[17.0], [17.0]], False)],
)  # fmt: skip
def test_dots_that_lie_close_together_are_seen_apart_and_the_axis_says_so(
    values: list[list[float]], begins_at_zero: bool
) -> None:
    axes = Figure().subplots()
    draw_dots(axes, {str(number): group for number, group in enumerate(values)})
    bottom, top = axes.get_ylim()
    flat = [value for group in values for value in group]
    assert bool(bottom == 0) is begins_at_zero
    assert ("the axis does not begin at 0" in _texts(axes)) is not begins_at_zero
    assert bottom <= min(flat)
    assert max(flat) < top
    assert begins_at_zero or max(flat) - min(flat) >= 0.5 * (top - bottom) or max(flat) == min(flat)


@pytest.mark.parametrize(
    ("monitor", "title"), [("test", "thin: training error; bold: test error"), ("none", "training error")]
)
def test_the_legend_says_which_split_is_bold(monitor: str, title: str) -> None:
    arm = shortcuts.EXPERIMENT.arms("digits")[0]
    evidence = made_up("shortcuts", {arm: [(5, 6), (6, 7)]})
    for number, record in enumerate(evidence.records[arm.name]):
        config: Any = record.config()
        config["evaluation"]["monitor"] = monitor
        curve = record.document.curve
        change(evidence, arm.name, number, config=config, curve={**curve, "test": curve["validation"]})

    def draw_on(panels: Sequence[Axes]) -> None:
        draw_curves(panels[0], evidence, {arm.name: "A"})

    (axes,) = make_figure(draw_on).axes
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == title
    assert [text.get_text() for text in legend.get_texts()] == ["A"]
