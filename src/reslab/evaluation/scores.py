"""Scores of answers: top-k errors, the confusion matrix, and the scores of each class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.evaluation.metrics import error_percent


@dataclass(frozen=True, slots=True)
class TopK:
    """How many samples have their label among the most probable classes.

    Attributes:
        k: How many classes count.
        correct: Samples with their label among them.
        total: Samples in all.
    """

    k: int
    correct: int
    total: int

    @property
    def error(self) -> float:
        """Top-k error in %."""
        return error_percent(self.correct, self.total)


def top_k(probabilities: Tensor, labels: Tensor, ks: tuple[int, ...] = (1, 5)) -> tuple[TopK, ...]:
    """Count the samples whose label is among the `k` most probable classes.

    Of equally probable classes the one with the smaller number comes first, so that top-1 is `argmax`. NaN counts as
    the largest, as in `argmax`.

    Args:
        probabilities: [n, num_classes]; logits give the same counts.
        labels: int64 [n].
        ks: The numbers of classes that count.

    Returns:
        The counts, one for each k.

    Raises:
        UsageError: A k is outside 1 .. num_classes, or there are no samples.
    """
    num_classes = probabilities.shape[1]
    wrong = [k for k in ks if not 1 <= k <= num_classes]
    if wrong or len(labels) == 0:
        raise UsageError(
            f"top-k error for k = {ks} of {len(labels)} samples; allowed: k from 1 to {num_classes}, n > 0."
        )
    probabilities = probabilities.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    own = probabilities.gather(1, labels[:, None])
    is_before = torch.arange(num_classes, device=labels.device) < labels[:, None]
    rank = ((probabilities > own) | ((probabilities == own) & is_before)).sum(1)
    return tuple(TopK(k, int((rank < k).sum()), len(labels)) for k in ks)


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count the answers by true class and predicted class.

    Args:
        predictions: The predicted classes, int64 [n].
        labels: The true classes, int64 [n].
        num_classes: Rows and columns of the matrix.

    Returns:
        int64 [num_classes, num_classes]; row: true class, column: predicted.
    """
    cells = labels * num_classes + predictions
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of every class, float64 [num_classes] in [0, 1], and their plain means over classes.

    The means leave out classes without samples, of which nothing can be recalled.

    Attributes:
        precision: Of the samples predicted as this class, the fraction that has it; 0 for a class never predicted.
        recall: Of the samples of this class, the fraction predicted as it; 0 for a class without samples.
        f1: 2 TP / (2 TP + FP + FN), the harmonic mean of both; 0 where that would divide by 0.
        support: Samples of this class, int64.
    """

    precision: Tensor
    recall: Tensor
    f1: Tensor
    support: Tensor

    def _mean(self, scores: Tensor) -> float:
        return scores[self.support > 0].mean().item()

    @property
    def macro_precision(self) -> float:
        """Mean precision over the classes that have samples."""
        return self._mean(self.precision)

    @property
    def macro_recall(self) -> float:
        """Mean recall over the classes that have samples."""
        return self._mean(self.recall)

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have samples."""
        return self._mean(self.f1)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have samples (Brodersen et al. 2010): macro recall by another name."""
        return self.macro_recall


def class_scores(confusion: Tensor) -> ClassScores:
    """Return the scores of every class.

    Args:
        confusion: int64 [num_classes, num_classes]; row: true class, column: predicted.
    """
    hits = confusion.diagonal().double()
    support, given = confusion.sum(1), confusion.sum(0)
    return ClassScores(
        precision=hits / given.clamp(min=1),
        recall=hits / support.clamp(min=1),
        f1=2 * hits / (support + given).clamp(min=1),
        support=support,
    )


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """One kind of mistake.

    Attributes:
        label: The true class.
        prediction: The predicted class.
        count: How often.
        share: The same as a fraction of the true class's samples.
    """

    label: int
    prediction: int
    count: int
    share: float


def confused_pairs(confusion: Tensor, limit: int = 10) -> tuple[ConfusedPair, ...]:
    """Return the most frequent kinds of mistake; a -> b and b -> a are two kinds.

    Args:
        confusion: int64 [num_classes, num_classes]; row: true class, column: predicted.
        limit: Kinds to return at most.

    Returns:
        The kinds, ordered by count, then by their share of the class, then by class number.
    """
    support = confusion.sum(1).tolist()
    rows, columns = torch.nonzero(confusion, as_tuple=True)
    counts = confusion[rows, columns]
    pairs = [
        ConfusedPair(label, prediction, count, count / support[label])
        for label, prediction, count in zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True)
        if label != prediction
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.count, -pair.share, pair.label, pair.prediction))[:limit])
