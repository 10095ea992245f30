"""The part of a page that judges a network: from a judgement, or from the confusion matrix of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from reslab.evaluation import Scores, summarize_confusion

from .figures.confusion import ConfusionPicture, ConfusionTable, confusion_view
from .figures.network import NetworkView, network_view
from .figures.reliability import ReliabilityView, reliability_view
from .judgement import Judgement


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgementSection:
    """What `judgement.html` shows.

    Attributes:
        scores: The scores on the judged split.
        notes: Sentences below them.
        confusion: The confusion matrix.
        reliability: The reliability diagram; None where only the confusion matrix is known, as are the next two.
        judgement: Where the images that deserve a look are from.
        network: What was measured inside the network; None where there was only one image.
    """

    scores: Scores
    notes: tuple[str, ...]
    confusion: ConfusionTable | ConfusionPicture
    reliability: ReliabilityView | None
    judgement: Judgement | None
    network: NetworkView | None


def from_judgement(judgement: Judgement, notes: Sequence[str] = ()) -> JudgementSection:
    """Return the section of a judgement.

    Args:
        judgement: From `reslab.report.judge`.
        notes: Sentences to put below the scores.
    """
    scores = judgement.scores
    return JudgementSection(
        scores=scores,
        notes=tuple(notes),
        confusion=_confusion(scores),
        reliability=None if scores.calibration is None else reliability_view(scores.calibration, scores.temperature),
        judgement=judgement,
        network=None if judgement.inside is None else network_view(judgement.inside),
    )


def from_counts(
    counts: Sequence[Sequence[int]], names: Sequence[str], split: str, protocol: str, notes: Sequence[str] = ()
) -> JudgementSection:
    """Return the section of a confusion matrix alone: no probabilities, no images.

    Args:
        counts: The confusion matrix; row: true class, column: that of the answer.
        names: The classes, in the order of the rows.
        split: The part of the data that was counted.
        protocol: Which views of each image were averaged, in words.
        notes: Sentences to put below the scores.
    """
    scores = summarize_confusion(torch.tensor(counts), names, split=split, protocol=protocol)
    return JudgementSection(
        scores=scores,
        notes=tuple(notes),
        confusion=_confusion(scores),
        reliability=None,
        judgement=None,
        network=None,
    )


def _confusion(scores: Scores) -> ConfusionTable | ConfusionPicture:
    return confusion_view(scores.confusion, [row.name for row in scores.classes])
