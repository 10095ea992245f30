"""The reliability diagram: how often answers of each confidence are right (Guo et al. 2017, Fig. 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from reslab.evaluation import Calibration, Interval
from reslab.report.html import figure_markup

from .style import COLORS, INK, styled, to_svg


@dataclass(frozen=True, slots=True)
class FilledBin:
    """A bin of confidences that has answers; see `reslab.evaluation.calibration.Bin`."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class ReliabilityView:
    """The diagram on a page.

    Attributes:
        svg: The figure.
        bins: Its bins, those that have answers.
        at: At which temperature the probabilities are, in words that follow "Probabilities"; may be empty.
    """

    svg: Markup
    bins: tuple[FilledBin, ...]
    at: str


def reliability_view(calibration: Calibration, temperature: float | None) -> ReliabilityView:
    """Draw a reliability diagram.

    Args:
        calibration: The calibration of a network's answers.
        temperature: The model file's temperature, at which that is; None for one without.
    """
    bins = _filled(calibration)
    at = "" if temperature is None else f" at the model file's temperature {temperature:.3f}"
    label = (
        f"Reliability diagram of {calibration.total} answers{at}. "
        f"Expected calibration error {100 * calibration.ece:.2f} %. "
        + "; ".join(f"confidence {one.confidence:.2f}: {100 * one.accuracy:.0f} % right" for one in bins)
    )
    return ReliabilityView(figure_markup(to_svg(_figure(bins), "reliability", label)), bins, at)


def _filled(calibration: Calibration) -> tuple[FilledBin, ...]:
    return tuple(
        FilledBin(one.low, one.high, one.count, one.confidence, one.accuracy, one.interval)
        for one in calibration.bins
        if one.confidence is not None and one.accuracy is not None and one.interval is not None
    )


def _figure(bins: Sequence[FilledBin]) -> Figure:
    with styled():
        figure = Figure(figsize=(5.2, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        confidence = [one.confidence for one in bins]
        accuracy = [one.accuracy for one in bins]
        low = [one.accuracy - one.interval.low for one in bins]
        high = [one.interval.high - one.accuracy for one in bins]
        upper.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=(0, (4, 4)))
        upper.errorbar(confidence, accuracy, yerr=(low, high), fmt="o", color=COLORS[0], markersize=4, capsize=2)
        upper.set_ylim(0, 1.02)
        upper.set_ylabel("part that is right")
        middles = [(one.low + one.high) / 2 for one in bins]
        widths = [0.9 * (one.high - one.low) for one in bins]
        lower.bar(middles, [one.count for one in bins], width=widths, color=COLORS[0])
        lower.set_ylabel("answers")
        lower.set_xlabel("confidence")
        lower.set_xlim(0, 1.01)
    return figure
