"""Mixup and CutMix against their definitions; the loss of mixed images against a direct computation."""

import pytest
import torch
import torch.nn.functional as F

from reslab.data.mixing import Mixing, paste
from reslab.data.stream import Batch
from reslab.train.loss import CrossEntropy


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randn(6, 3, 16, 20, generator=generator), torch.arange(6))


def test_mixup_is_a_weighted_mean_of_each_image_and_its_partner() -> None:
    batch = make_batch()
    partners = batch.images.roll(1, 0), batch.labels.roll(1, 0)
    swapped = set()
    for step in range(20):
        mixed = Mixing(mixup_alpha=0.4, cutmix_alpha=0.0)(batch, seed=1, step=step)
        assert mixed.other_labels is not None
        is_swapped = torch.equal(mixed.labels, partners[1])
        larger, smaller = (partners, (batch.images, batch.labels))[:: 1 if is_swapped else -1]
        torch.testing.assert_close(mixed.images, mixed.lam * larger[0] + (1 - mixed.lam) * smaller[0])
        assert torch.equal(mixed.labels, larger[1])
        assert torch.equal(mixed.other_labels, smaller[1])
        swapped.add(is_swapped)
    assert swapped == {True, False}


@pytest.mark.parametrize("alphas", [(0.2, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_the_labels_are_those_of_the_larger_share_so_that_errors_count_by_them(alphas: tuple[float, float]) -> None:
    shares = [Mixing(*alphas)(make_batch(), seed=1, step=step).lam for step in range(100)]
    assert min(shares) >= 0.5


def test_cutmix_pastes_a_rectangle_and_its_share_is_the_area_that_is_left() -> None:
    batch = make_batch()
    for step in range(30):
        mixed = Mixing(mixup_alpha=0.0, cutmix_alpha=1.0)(batch, seed=1, step=step)
        is_own = (mixed.images == batch.images).all(1)
        is_other = (mixed.images == batch.images.roll(1, 0)).all(1)
        assert (is_own ^ is_other).all()
        share = mixed.lam if torch.equal(mixed.labels, batch.labels) else 1 - mixed.lam
        assert is_own.double().mean().item() == pytest.approx(share)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.999, 0.999), (0.5, 0.5)])
def test_what_lies_outside_the_picture_is_not_pasted(x: float, y: float) -> None:
    images = torch.stack([torch.zeros(1, 10, 10), torch.ones(1, 10, 10)])
    mixed, share = paste(images, 0.5, x, y)
    assert mixed[0].mean().item() == pytest.approx(1 - share)
    assert share >= 0.5


def test_mixing_depends_on_seed_and_step_alone() -> None:
    batch, mixing = make_batch(), Mixing(mixup_alpha=0.2, cutmix_alpha=1.0)
    shares = [mixing(batch, seed=1, step=step).lam for step in range(40)]
    assert shares == [mixing(batch, seed=1, step=step).lam for step in range(40)]
    assert shares != [mixing(batch, seed=2, step=step).lam for step in range(40)]


def test_pieces_of_a_mixed_batch_keep_their_labels_together() -> None:
    mixed = Mixing(mixup_alpha=0.4, cutmix_alpha=0.0)(make_batch(), seed=1, step=0)
    assert mixed.other_labels is not None
    pieces = mixed.micro_batches(3)
    assert [piece.labels.tolist() for piece in pieces] == mixed.labels.view(3, 2).tolist()
    others = [piece.other_labels.tolist() for piece in pieces if piece.other_labels is not None]
    assert others == mixed.other_labels.view(3, 2).tolist()
    assert {piece.lam for piece in pieces} == {mixed.lam}


def test_the_loss_of_mixed_labels_is_that_of_soft_targets() -> None:
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    labels, others, share = torch.arange(6), torch.arange(6).roll(1), 0.3
    soft = share * F.one_hot(labels, 6) + (1 - share) * F.one_hot(others, 6)
    expected = F.cross_entropy(logits, soft.double())
    found = CrossEntropy(torch.device("cpu"), None, 0.0)(logits, Batch(torch.empty(0), labels, others, share))
    torch.testing.assert_close(found, expected)
