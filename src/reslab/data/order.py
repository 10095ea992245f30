"""In which order a stream shows the samples; both orders are functions of the seed and the position alone."""

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
    """Return (epoch, index) of the stream's samples start .. stop - 1: sample k is perm(seed, k // N)[k % N]."""
    position = torch.arange(start, stop)
    epoch, place = position // length, position % length
    index = torch.empty_like(position)
    for number in torch.unique(epoch).tolist():
        chosen = epoch == number
        index[chosen] = _epoch_order(seed, number, length)[place[chosen]]
    return epoch, index


def natural_order(seed: int, length: int) -> Order:
    """Every sample once in each epoch."""
    return lambda start, stop: sample_positions(seed, length, start, stop)


def balanced_order(seed: int, labels: Tensor) -> Order:
    """Every class once in each round, in an order of its own; within a class every sample once before any comes again.

    labels: int64 [n]. `epoch` then counts how often the sample's class has been through.
    """
    classes = labels.unique().tolist()
    members = [torch.nonzero(labels == label).flatten() for label in classes]

    @lru_cache(maxsize=4 * len(classes))
    def order_in(number: int, epoch: int) -> Tensor:
        own = members[number]
        return own[torch.argsort(draw_bits(seed, MEMBER, epoch, own), stable=True)]

    @lru_cache(maxsize=64)
    def order_of_classes(turn: int) -> Tensor:
        return permutation(seed, CLASS_ORDER, turn, len(classes))

    def order(start: int, stop: int) -> tuple[Tensor, Tensor]:
        found = []
        for position in range(start, stop):
            turn, place = divmod(position, len(classes))
            number = int(order_of_classes(turn)[place])
            epoch, within = divmod(turn, len(members[number]))
            found.append((epoch, int(order_in(number, epoch)[within])))
        pairs = torch.tensor(found, dtype=torch.int64)
        return pairs[:, 0], pairs[:, 1]

    return order
