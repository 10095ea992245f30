"""What networks predict: for every sample its class probabilities, of one network or averaged over several."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reslab.errors import UsageError


@dataclass(frozen=True, slots=True)
class Predictions:
    """A network's predictions of every sample of a split, in its order.

    Attributes:
        probabilities: float32 [n, num_classes], on the CPU.
        labels: int64 [n].
        split: Whose samples.
        protocol: How each was shown to the network, in words.
        members: How many networks were averaged.
    """

    probabilities: Tensor
    labels: Tensor
    split: str
    protocol: str
    members: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> Tensor:
        """The most probable class of each sample, int64 [n]; the first of equals."""
        return self.probabilities.argmax(1)

    @property
    def are_finite(self) -> bool:
        """Whether every probability is a number; not where a network's logits overflow."""
        return bool(self.probabilities.isfinite().all())

    def __str__(self) -> str:
        networks = f", ensemble of {self.members} networks (softmax averaged)" if self.members > 1 else ""
        return f"{self.split} split, {len(self)} samples, {self.protocol}{networks}"


def ensemble(members: Iterable[Predictions]) -> Predictions:
    """Average several networks' probabilities (the paper's Table 5 has ensembles, and does not say how it averages).

    Args:
        members: Taken one by one, so that a generator keeps no more than two in memory. Each network may have views of
            its own sizes.

    Raises:
        UsageError: Without members, or unless all are of the same samples and classes.
    """
    first: Predictions | None = None
    sums, count = torch.empty(0), 0
    protocols: list[str] = []
    for member in members:
        if first is None:
            first, sums = member, torch.zeros_like(member.probabilities, dtype=torch.float64)
        _check_alike(first, member)
        sums += member.probabilities
        count += 1
        if member.protocol not in protocols:
            protocols.append(member.protocol)
    if first is None:
        raise UsageError("an ensemble needs the predictions of at least one network; none were given.")
    return replace(first, probabilities=(sums / count).float(), protocol=" | ".join(protocols), members=count)


def _check_alike(first: Predictions, other: Predictions) -> None:
    if other.probabilities.shape != first.probabilities.shape or not torch.equal(other.labels, first.labels):
        shapes = " and ".join(" x ".join(map(str, member.probabilities.shape)) for member in (first, other))
        raise UsageError(
            f"the members of an ensemble must predict the same samples with the same classes; got {shapes} "
            "(samples x classes)" + (", with different labels." if other.labels.shape == first.labels.shape else ".")
        )
    if other.split != first.split:
        raise UsageError(f"one member predicts split {first.split!r} and another {other.split!r}; take one split.")
