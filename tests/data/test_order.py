"""In which order samples come: naturally and balanced by class."""

from collections import Counter

import pytest
import torch

from reslab.data.dataset import balanced_weights
from reslab.data.order import balanced_order, natural_order

LABELS = torch.tensor([0] * 50 + [1] * 5 + [3] * 2)


def test_every_class_comes_equally_often_and_no_image_again_before_the_rest_of_its_class() -> None:
    epoch, index = balanced_order(7, LABELS)(0, 300)
    assert Counter(LABELS[index].tolist()) == {0: 100, 1: 100, 3: 100}
    for label in (0, 1, 3):
        own = index[LABELS[index] == label].tolist()
        size = LABELS.tolist().count(label)
        for start in range(0, len(own) - size + 1, size):
            assert len(set(own[start : start + size])) == size
    assert len(set(zip(epoch.tolist(), index.tolist(), strict=True))) == 300  # so no augmentation comes twice


def test_the_balanced_order_is_a_function_of_seed_and_position() -> None:
    whole = balanced_order(7, LABELS)(0, 90)
    parts = [balanced_order(7, LABELS)(start, start + 30) for start in (0, 30, 60)]
    assert torch.equal(torch.cat([part[1] for part in parts]), whole[1])
    assert not torch.equal(balanced_order(8, LABELS)(0, 90)[1], whole[1])


def test_the_natural_order_shows_everything_once_in_an_epoch() -> None:
    epoch, index = natural_order(0, 10)(0, 20)
    assert sorted(index[:10].tolist()) == sorted(index[10:].tolist()) == list(range(10))
    assert epoch.tolist() == [0] * 10 + [1] * 10


def test_balanced_weights_give_every_class_the_same_total() -> None:
    weights = torch.tensor(balanced_weights(LABELS, 6), dtype=torch.float64)
    counts = torch.bincount(LABELS, minlength=6).double()
    assert weights[counts == 0].tolist() == [0, 0, 0]  # one in between, and the last two
    assert weights[LABELS].mean().item() == pytest.approx(1)
    totals = (weights * counts)[counts > 0]
    assert totals.tolist() == pytest.approx([57 / 3] * 3)
