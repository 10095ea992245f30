"""The part of a page that judges a network: from a judgement, or from the confusion matrix of a finished run."""

from collections.abc import Sequence
from typing import Any

import torch

from reslab.evaluation import summarize_confusion

from .figures.confusion import confusion_view
from .figures.network import network_view
from .figures.reliability import reliability

NOTHING: dict[str, Any] = {
    "judged": None,
    "judged_notes": [],
    "confusion": None,
    "reliability": None,
    "judgement": None,
    "inside": None,
}


def from_judgement(judgement: dict[str, Any], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the template's values for a judgement (`reslab.report.judgement.judge`)."""
    scores = judgement["scores"]
    names = [row["name"] for row in scores["classes"]]
    return {
        "judged": scores,
        "judged_notes": list(notes),
        "confusion": confusion_view(scores["confusion"]["cells"], names),
        "reliability": reliability(scores),
        "judgement": judgement,
        "inside": None if judgement["inside"] is None else network_view(judgement["inside"]),
    }


def from_counts(
    counts: Sequence[Sequence[int]], names: Sequence[str], split: str, protocol: str, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the template's values for a confusion matrix alone: no probabilities, no images."""
    cells = [[i, j, count] for i, row in enumerate(counts) for j, count in enumerate(row) if count]
    scores = summarize_confusion(torch.tensor(counts), names)
    return {
        **NOTHING,
        "judged": {"split": split, "protocol": protocol, "top_k": [], "calibration": None, **scores},
        "judged_notes": list(notes),
        "confusion": confusion_view(cells, names),
    }
