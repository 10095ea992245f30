"""The reliability diagram: how often answers of each confidence are right (Guo et al. 2017, Fig. 1)."""

from typing import Any

from matplotlib.figure import Figure

from reslab.report.html import figure_markup

from .style import COLORS, INK, styled, to_svg


def reliability(scores: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of the page and its words. scores: of `reslab.evaluation.summarize`."""
    found, temperature = scores["calibration"], scores["temperature"]
    bins = [part for part in found["bins"] if part["count"]]
    at = "" if temperature is None else f" at the model file's temperature {temperature:.3f}"
    label = (
        f"Reliability diagram of {found['total']} answers{at}. Expected calibration error {100 * found['ece']:.2f} %. "
        + "; ".join(f"confidence {p['confidence']:.2f}: {100 * p['accuracy']:.0f} % right" for p in bins)
    )
    return {"svg": figure_markup(to_svg(_figure(bins), "reliability", label)), "bins": bins, "at": at}


def _figure(bins: list[dict[str, Any]]) -> Figure:
    with styled():
        figure = Figure(figsize=(5.2, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        confidence = [part["confidence"] for part in bins]
        accuracy = [part["accuracy"] for part in bins]
        low = [part["accuracy"] - part["interval"]["low"] for part in bins]
        high = [part["interval"]["high"] - part["accuracy"] for part in bins]
        upper.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle=(0, (4, 4)))
        upper.errorbar(confidence, accuracy, yerr=(low, high), fmt="o", color=COLORS[0], markersize=4, capsize=2)
        upper.set_ylim(0, 1.02)
        upper.set_ylabel("part that is right")
        middles = [(part["low"] + part["high"]) / 2 for part in bins]
        widths = [0.9 * (part["high"] - part["low"]) for part in bins]
        lower.bar(middles, [part["count"] for part in bins], width=widths, color=COLORS[0])
        lower.set_ylabel("answers")
        lower.set_xlabel("confidence")
        lower.set_xlim(0, 1.01)
    return figure
