"""The forest plot shows every judged difference in points, and which side of its margin the claim takes."""

from matplotlib.figure import Figure

from reslab.experiments.chapters import Chapter
from reslab.experiments.claims import degradation, shortcuts, warmup
from reslab.experiments.forest import draw_forest
from reslab.report.figures.style import INK, as_dark, to_svg

from .evidence import made_up


def _figure() -> Figure:
    def errors(number: int) -> list[tuple[float, float]]:
        return [(5.0 + number, 5.0 + number + noise) for noise in (-0.1, 0.0, 0.1)]

    chapters = []
    for experiment in (degradation.EXPERIMENT, shortcuts.EXPERIMENT, warmup.EXPERIMENT):
        arms = experiment.arms("digits")
        found = {arm: errors(number) for number, arm in enumerate(arms)}
        chapters.append(Chapter(experiment, made_up(experiment.name, found)))
    return draw_forest(chapters)


def test_each_difference_in_points_with_an_interval_has_a_row() -> None:
    labels = [label.get_text() for label in _figure().axes[0].get_yticklabels()]
    # the training errors of degradation are the same in every seed, and warm-up judges times
    assert labels == ["shortcuts, digits: A minus C"]


def test_the_bar_is_the_claims_side_of_the_margin() -> None:
    (bar,) = _figure().axes[0].collections
    xs = [float(x) for x, _ in bar.get_paths()[0].vertices]  # type: ignore[union-attr]
    assert max(xs) == 1.0  # A may be at most 1 point above C
    assert min(xs) < -1.0


def test_on_a_dark_page_only_ink_grid_and_background_change() -> None:
    light = to_svg(_figure(), "forest", "")
    dark = as_dark(light)
    assert INK in light
    assert INK not in dark
    assert len(dark) == len(light)
    assert dark.count("#6b7280") == light.count("#6b7280") > 0
