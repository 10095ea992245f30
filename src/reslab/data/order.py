"""The order of a stream's samples, as a function of the seed and the position only."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from .draws import CLASS_ORDER, MEMBER, ORDER, draw_bits, permutation

# (start, stop) -> (epoch, index), int64 [stop - start] each; no pair comes twice
Order = Callable[[int, int], tuple[Tensor, Tensor]]


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, length: int) -> Tensor:
    return permutation(seed, ORDER, epoch, length)


def sample_positions(seed: int, length: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Locate the stream's samples start to stop - 1: sample k is perm(seed, k // N)[k % N].

    Args:
        seed: The run's seed.
        length: Samples of the data set, N.
        start: Position of the first sample.
        stop: Position after the last sample.

    Returns:
        Epoch and index of each sample, int64 [stop - start] each.
    """
    position = torch.arange(start, stop)
    epoch, offset = position // length, position % length
    index = torch.empty_like(position)
    for number in torch.unique(epoch).tolist():
        in_epoch = epoch == number
        index[in_epoch] = _epoch_order(seed, number, length)[offset[in_epoch]]
    return epoch, index


def natural_order(seed: int, length: int) -> Order:
    """Show every sample once in each epoch, in an order of the epoch's own.

    Args:
        seed: The run's seed.
        length: Samples of the data set.

    Returns:
        The order: a function from (start, stop) to (epoch, index).
    """
    return lambda start, stop: sample_positions(seed, length, start, stop)


def balanced_order(seed: int, labels: Tensor) -> Order:
    """Show every class once in each round, and every sample of a class once before any of it again.

    The epoch of a sample then counts how often its class has been shown completely.

    Args:
        seed: The run's seed.
        labels: int64 [n].

    Returns:
        The order: a function from (start, stop) to (epoch, index).
    """
    classes = labels.unique().tolist()
    members = [torch.nonzero(labels == label).flatten() for label in classes]

    @lru_cache(maxsize=4 * len(classes))
    def order_in_class(number: int, epoch: int) -> Tensor:
        indices = members[number]
        return indices[torch.argsort(draw_bits(seed, MEMBER, epoch, indices), stable=True)]

    @lru_cache(maxsize=64)
    def order_of_classes(turn: int) -> Tensor:
        return permutation(seed, CLASS_ORDER, turn, len(classes))

    def order(start: int, stop: int) -> tuple[Tensor, Tensor]:
        samples: list[tuple[int, int]] = []
        for position in range(start, stop):
            turn, offset = divmod(position, len(classes))
            number = int(order_of_classes(turn)[offset])
            epoch, within = divmod(turn, len(members[number]))
            samples.append((epoch, int(order_in_class(number, epoch)[within])))
        pairs = torch.tensor(samples, dtype=torch.int64)
        return pairs[:, 0], pairs[:, 1]

    return order
