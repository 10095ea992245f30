"""Scores of answers: top-k error, confusion, and what follows from it for each class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.evaluation.metrics import error_percent


@dataclass(frozen=True, slots=True)
class TopK:
    """How many samples have their label among the `k` most probable classes."""

    k: int
    correct: int
    total: int

    @property
    def error(self) -> float:
        """Top-k error in %."""
        return error_percent(self.correct, self.total)


def top_k(probabilities: Tensor, labels: Tensor, ks: tuple[int, ...] = (1, 5)) -> tuple[TopK, ...]:
    """Count top-k answers. probabilities (or logits): [n, num_classes]; labels: int64 [n].

    Of equally probable classes the one with the smaller number comes first, so that top-1 is `argmax`. Raises
    UsageError for a k outside 1 .. num_classes, and for no samples. NaN counts as the largest, as in `argmax`.
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
    """Return counts, int64 [num_classes, num_classes]; row: true class, column: predicted."""
    cells = labels * num_classes + predictions
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of every class, float64 [num_classes] in [0, 1], and their plain means over classes.

    precision: of the samples given this class, the part that has it; 0 for a class that was never given.
    recall: of the samples of this class, the part that was given it; 0 for a class without samples.
    f1: 2 TP / (2 TP + FP + FN), the harmonic mean of both; 0 where there is nothing to divide by.
    support: samples of this class, int64.

    The means leave out classes without samples, of which nothing can be recalled.
    """

    precision: Tensor
    recall: Tensor
    f1: Tensor
    support: Tensor

    def _mean(self, scores: Tensor) -> float:
        return scores[self.support > 0].mean().item()

    @property
    def macro_precision(self) -> float:
        return self._mean(self.precision)

    @property
    def macro_recall(self) -> float:
        return self._mean(self.recall)

    @property
    def macro_f1(self) -> float:
        return self._mean(self.f1)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have samples (Brodersen et al. 2010); another name of macro recall."""
        return self.macro_recall


def class_scores(confusion: Tensor) -> ClassScores:
    """Return the scores of every class. confusion: int64 [num_classes, num_classes], row: true, column: predicted."""
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
    """`count` samples of class `label` were given class `prediction`; `share`: of the samples of that class."""

    label: int
    prediction: int
    count: int
    share: float


def confused_pairs(confusion: Tensor, limit: int = 10) -> tuple[ConfusedPair, ...]:
    """Return the most frequent kinds of mistake, at most `limit`; a -> b and b -> a are two kinds.

    Ordered by count, then by the share of the class, then by class number.
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
