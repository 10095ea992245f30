"""Which samples deserve a look: worst mistakes, least certain answers, labels that are likely wrong."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError

_TINY = torch.finfo(torch.float32).tiny
_SIMILARITIES_AT_ONCE = 2**25


@dataclass(frozen=True, slots=True)
class Ranking:
    """Samples in the order in which to look at them, the first first.

    indices: int64 [m]; scores: float64 [m], descending, in the ranking's own unit; suggestions: int64 [m], the class
    that speaks against the label, or the answer.
    """

    indices: Tensor
    scores: Tensor
    suggestions: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, count: int) -> "Ranking":
        """Return the first `count` of it."""
        return Ranking(self.indices[:count], self.scores[:count], self.suggestions[:count])


def _ranked(indices: Tensor, scores: Tensor, suggestions: Tensor) -> Ranking:
    order = torch.argsort(scores, descending=True, stable=True)
    return Ranking(indices[order], scores[order], suggestions[order])


def worst_mistakes(probabilities: Tensor, labels: Tensor) -> Ranking:
    """Return every sample that is answered wrong, by its loss -log p(label) in nats, the largest first.

    probabilities: [n, num_classes]; labels: int64 [n]. The suggestions are the answers.
    """
    answers = probabilities.argmax(1)
    wrong = torch.nonzero(answers != labels).flatten()
    loss = -_log(probabilities[wrong]).gather(1, labels[wrong, None])[:, 0]
    return _ranked(wrong, loss, answers[wrong])


def least_certain(probabilities: Tensor) -> Ranking:
    """Return all samples by how little the most probable class is ahead of the second: 1 - (p1 - p2), in [0, 1].

    probabilities: [n, num_classes]. The suggestions are the second classes.
    """
    best = probabilities.double().topk(2, dim=1)
    margin = best.values[:, 0] - best.values[:, 1]
    return _ranked(torch.arange(len(probabilities)), 1 - margin, best.indices[:, 1])


def mislabelled(probabilities: Tensor, labels: Tensor, votes: Tensor | None = None) -> Ranking:
    """Return all samples by how much speaks for another class than the label, the likeliest mislabelled first.

    The score is log p(best other class) - log p(label), in nats: 0 where both are alike. A confused sample keeps some
    probability for its own class; a wrong label has nearly none, so that it comes before (the self-confidence ranking
    of confident learning, Northcutt et al. 2021, as odds).

    probabilities: [n, num_classes]; better of a network that has not seen these samples, as it learns its own training
    labels by heart. labels: int64 [n].
    votes: what a sample's neighbours say, [n, num_classes] (`neighbour_votes`); probabilities then count as the
        geometric mean of both, so that a label must be defended by the network and by the samples that look like it.
    """
    evidence = _log(probabilities)
    if votes is not None:
        evidence = (evidence + _log(votes)) / 2
    own = evidence.gather(1, labels[:, None])
    other, suggestions = evidence.scatter(1, labels[:, None], -torch.inf).max(1)
    return _ranked(torch.arange(len(labels)), other - own[:, 0], suggestions)


def neighbour_votes(features: Tensor, labels: Tensor, num_classes: int, k: int = 50) -> Tensor:
    """Return the classes of each sample's `k` nearest others, as probabilities, float32 [n, num_classes].

    features: [n, d], compared by cosine; labels: int64 [n]. Every class gets one vote in advance, shared by all
    (Laplace), so that none is impossible. Memory grows with n x (d + num_classes); time with n^2 d.

    Raises UsageError where there are not k others.
    """
    if not 1 <= k < len(labels):
        raise UsageError(f"k is {k}; of {len(labels)} samples, each has 1 to {len(labels) - 1} neighbours.")
    directions = F.normalize(features.float(), dim=1)
    rows_at_once = max(_SIMILARITIES_AT_ONCE // len(labels), 1)
    votes = torch.full((len(labels), num_classes), 1 / num_classes)
    for start in range(0, len(labels), rows_at_once):
        similarity = directions[start : start + rows_at_once] @ directions.T
        own = torch.arange(len(similarity))
        similarity[own, start + own] = -torch.inf  # nobody votes for itself
        nearest = similarity.topk(k, dim=1).indices
        votes[start : start + rows_at_once].scatter_add_(1, labels[nearest], torch.ones(nearest.shape))
    return votes / (k + 1)


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.double().clamp(min=_TINY).log()
