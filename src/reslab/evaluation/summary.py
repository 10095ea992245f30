"""The scores of a network's answers: what `reslab evaluate --json` prints and what reports show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reslab.evaluation.metrics import error_percent

from .calibration import Calibration, measure_calibration, recalibrated
from .intervals import Interval, bootstrap, wilson
from .predictions import Predictions
from .scores import class_scores, confused_pairs, confusion_matrix, top_k

_PAIRS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreIntervals:
    """95 % confidence intervals of three scores.

    Attributes:
        error: Wilson's score interval in %, which is valid even if every answer is right.
        balanced_accuracy: From the bootstrap, in [0, 1].
        macro_f1: From the bootstrap, in [0, 1].
    """

    error: Interval
    balanced_accuracy: Interval
    macro_f1: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """The scores of one class.

    Attributes:
        name: The class.
        precision: Of the images predicted as this class, the fraction that belongs to it; 0 if there are none.
        recall: Of the images that belong to this class, the fraction predicted as it; 0 if there are none.
        f1: The harmonic mean of precision and recall.
        support: How many images belong to this class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusedClasses:
    """One kind of mistake.

    Attributes:
        label: The true class.
        prediction: The predicted class.
        count: How often the network made this mistake.
        share: `count` as a fraction of the true class's images.
    """

    label: str
    prediction: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TopKError:
    """A top-k error.

    Attributes:
        k: How many of the most probable classes of each image are taken as its answers.
        correct: Images with their label among these answers.
        total: Images in all.
        error: The fraction of images whose label is not among these answers, in %.
    """

    k: int
    correct: int
    total: int
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusionCells:
    """A confusion matrix without its empty cells.

    Attributes:
        num_classes: Rows and columns.
        cells: (row, column, count); the row is the true class, the column the predicted one.
    """

    num_classes: int
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The scores of a network on labelled images; docs/how-to/judge.md explains each number.

    Attributes:
        split: The part of the data that was judged.
        protocol: Which views of each image were averaged, in words.
        members: How many networks were averaged; more than 1 for an ensemble.
        correct: Images whose most probable class is their label.
        total: Images in all.
        error: Top-1 error in %.
        macro_precision: Mean precision over the classes that have images, in [0, 1]; the next three
            are means over these classes too.
        macro_recall: Mean recall.
        macro_f1: Mean F1.
        balanced_accuracy: The same number as `macro_recall`, under its other usual name.
        intervals: How far the scores could differ on other images.
        classes: The scores of each class.
        confused: The most frequent mistakes, at most 20.
        loss: Mean negative log-likelihood at temperature 1, in nats. This and the two calibrations are None if a
            probability is not finite or only a confusion matrix is known.
        top_k: The top-k errors that were asked for.
        temperature: The temperature that the model file holds; None if it holds none.
        calibration: The calibration at the model file's temperature, or at 1 if it holds none.
        uncalibrated: The calibration at temperature 1.
        confusion: The confusion matrix.
    """

    split: str
    protocol: str
    members: int
    correct: int
    total: int
    error: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    balanced_accuracy: float
    intervals: ScoreIntervals
    classes: tuple[ClassRow, ...]
    confused: tuple[ConfusedClasses, ...]
    loss: float | None
    top_k: tuple[TopKError, ...]
    temperature: float | None
    calibration: Calibration | None
    uncalibrated: Calibration | None
    confusion: ConfusionCells

    @property
    def wrong(self) -> int:
        """Images whose most probable class is not their label."""
        return self.total - self.correct


def summarize(
    answers: Predictions, class_names: Sequence[str], ks: tuple[int, ...] = (1,), temperature: float | None = None
) -> Scores:
    """Return the scores of a network's answers.

    Args:
        answers: The answers, with the labels.
        class_names: The classes, in the order of the probabilities.
        ks: The values of k to compute the top-k error for.
        temperature: The temperature that the model file holds, if any.

    Raises:
        UsageError: A k is outside 1 .. num_classes, or there are no images.
    """
    raw = measure_calibration(answers.probabilities, answers.labels) if answers.are_finite else None
    at_temperature = raw
    if raw is not None and temperature is not None:
        at_temperature = measure_calibration(recalibrated(answers.probabilities, temperature), answers.labels)
    confusion = confusion_matrix(answers.classes, answers.labels, len(class_names))
    counts = top_k(answers.probabilities, answers.labels, ks)
    return replace(
        summarize_confusion(confusion, class_names, split=answers.split, protocol=answers.protocol),
        members=answers.members,
        loss=None if raw is None else raw.nll,
        top_k=tuple(TopKError(k=one.k, correct=one.correct, total=one.total, error=one.error) for one in counts),
        temperature=temperature,
        calibration=at_temperature,
        uncalibrated=raw,
    )


def summarize_confusion(confusion: Tensor, class_names: Sequence[str], *, split: str, protocol: str) -> Scores:
    """Return what a confusion matrix alone says: no loss, no top-k errors, no calibration.

    Args:
        confusion: int64 [num_classes, num_classes]; the row is the true class, the column the predicted one.
        class_names: The classes, in the order of the rows.
        split: The part of the data that was judged.
        protocol: Which views of each image were averaged, in words.

    Raises:
        UsageError: There are no images.
    """
    total, correct = int(confusion.sum()), int(confusion.diagonal().sum())
    error = wilson(total - correct, total)
    scores = class_scores(confusion)
    columns = (scores.precision, scores.recall, scores.f1, scores.support)
    rows = zip(class_names, *(column.tolist() for column in columns), strict=True)
    return Scores(
        split=split,
        protocol=protocol,
        members=1,
        correct=correct,
        total=total,
        error=error_percent(correct, total),
        macro_precision=scores.macro_precision,
        macro_recall=scores.macro_recall,
        macro_f1=scores.macro_f1,
        balanced_accuracy=scores.balanced_accuracy,
        intervals=ScoreIntervals(
            error=Interval(100 * error.low, 100 * error.high, error.level, error.method),
            balanced_accuracy=bootstrap(confusion, "balanced_accuracy"),
            macro_f1=bootstrap(confusion, "macro_f1"),
        ),
        classes=tuple(
            ClassRow(name=name, precision=precision, recall=recall, f1=f1, support=support)
            for name, precision, recall, f1, support in rows
        ),
        confused=tuple(
            ConfusedClasses(
                label=class_names[pair.label],
                prediction=class_names[pair.prediction],
                count=pair.count,
                share=pair.share,
            )
            for pair in confused_pairs(confusion, _PAIRS)
        ),
        loss=None,
        top_k=(),
        temperature=None,
        calibration=None,
        uncalibrated=None,
        confusion=ConfusionCells(num_classes=len(class_names), cells=_cells(confusion)),
    )


def _cells(confusion: Tensor) -> tuple[tuple[int, int, int], ...]:
    """Return the cells that are not empty, as (row, column, count)."""
    rows, columns = torch.nonzero(confusion, as_tuple=True)
    counts = confusion[rows, columns]
    return tuple(zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True))
