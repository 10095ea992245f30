"""Rankings of samples to check: worst mistakes, least certain answers, likely wrong labels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError

_TINY = torch.finfo(torch.float32).tiny
_SIMILARITIES_AT_ONCE = 2**25


@dataclass(frozen=True, slots=True)
class Ranking:
    """Samples in the order in which to check them.

    Attributes:
        indices: Positions of the samples, int64 [m].
        scores: float64 [m], descending, in the ranking's own unit.
        suggestions: A class for each sample, int64 [m]: the answer, or the best class besides the label.
    """

    indices: Tensor
    scores: Tensor
    suggestions: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, count: int) -> "Ranking":
        """Shorten the ranking.

        Args:
            count: Samples to keep.

        Returns:
            The first `count` samples.
        """
        return Ranking(self.indices[:count], self.scores[:count], self.suggestions[:count])


def _ranked(indices: Tensor, scores: Tensor, suggestions: Tensor) -> Ranking:
    order = torch.argsort(scores, descending=True, stable=True)
    return Ranking(indices[order], scores[order], suggestions[order])


def worst_mistakes(probabilities: Tensor, labels: Tensor) -> Ranking:
    """Rank wrongly answered samples by their loss -log p(label).

    Args:
        probabilities: [n, num_classes].
        labels: int64 [n].

    Returns:
        The wrong samples, with scores in nats and the answers as suggestions.
    """
    answers = probabilities.argmax(1)
    wrong = torch.nonzero(answers != labels).flatten()
    loss = -_log(probabilities[wrong]).gather(1, labels[wrong, None])[:, 0]
    return _ranked(wrong, loss, answers[wrong])


def least_certain(probabilities: Tensor) -> Ranking:
    """Rank all samples by 1 - (p1 - p2), where p1 and p2 are the two largest probabilities.

    Args:
        probabilities: [n, num_classes].

    Returns:
        All samples, with scores in [0, 1] and the second classes as suggestions.
    """
    best = probabilities.double().topk(2, dim=1)
    margin = best.values[:, 0] - best.values[:, 1]
    return _ranked(torch.arange(len(probabilities)), 1 - margin, best.indices[:, 1])


def likely_mislabelled(probabilities: Tensor, labels: Tensor, votes: Tensor | None = None) -> Ranking:
    """Rank all samples by log p(best other class) - log p(label), the likeliest wrong label first.

    A confusing sample keeps some probability for its label; a wrong label has nearly none and ranks higher. This is the
    self-confidence ranking of confident learning (Northcutt et al. 2021), as odds.

    Args:
        probabilities: [n, num_classes], best from a network that was not trained on these samples: it memorises the
            labels of those that it was trained on.
        labels: int64 [n].
        votes: The neighbours' votes, [n, num_classes] (`neighbour_votes`). The score then uses the geometric mean of
            votes and probabilities, so a label needs support from the network and from similar samples.

    Returns:
        All samples, with scores in nats and the best other classes as suggestions.
    """
    evidence = _log(probabilities)
    if votes is not None:
        evidence = (evidence + _log(votes)) / 2
    own = evidence.gather(1, labels[:, None])
    other, suggestions = evidence.scatter(1, labels[:, None], -torch.inf).max(1)
    return _ranked(torch.arange(len(labels)), other - own[:, 0], suggestions)


def neighbour_votes(features: Tensor, labels: Tensor, num_classes: int, k: int = 50) -> Tensor:
    """Count the labels among each sample's nearest neighbours, as probabilities.

    All classes share one vote in advance (Laplace), so none has probability 0. Memory grows with n (d + num_classes),
    time with n^2 d.

    Args:
        features: [n, d], compared by cosine.
        labels: int64 [n].
        num_classes: Number of classes.
        k: Number of neighbours.

    Returns:
        float32 [n, num_classes].

    Raises:
        UsageError: `k` is less than 1, or n - 1 is less than `k`.
    """
    if not 1 <= k < len(labels):
        raise UsageError(f"k is {k}; allowed for {len(labels)} samples: 1 to {len(labels) - 1}.")
    directions = F.normalize(features.float(), dim=1)
    rows_at_once = max(_SIMILARITIES_AT_ONCE // len(labels), 1)
    votes = torch.full((len(labels), num_classes), 1 / num_classes)
    for start in range(0, len(labels), rows_at_once):
        similarity = directions[start : start + rows_at_once] @ directions.T
        rows = torch.arange(len(similarity))
        similarity[rows, start + rows] = -torch.inf  # no sample is its own neighbour
        nearest = similarity.topk(k, dim=1).indices
        votes[start : start + rows_at_once].scatter_add_(1, labels[nearest], torch.ones(nearest.shape))
    return votes / (k + 1)


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.double().clamp(min=_TINY).log()
