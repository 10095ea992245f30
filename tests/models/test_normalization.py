"""Batch norm over groups, against torch's over each group alone."""

import pytest
import torch
from torch import nn

from reslab.models.normalization import GroupedBatchNorm2d


def _pair() -> tuple[GroupedBatchNorm2d, nn.BatchNorm2d]:
    ours, theirs = GroupedBatchNorm2d(5).double(), nn.BatchNorm2d(5).double()
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, -0.5)
    return ours, theirs


@pytest.mark.parametrize("is_training", [True, False])
def test_without_groups_it_is_torchs(is_training: bool) -> None:
    ours, theirs = _pair()
    x = torch.randn(6, 5, 3, 3).double()
    assert torch.equal(ours.train(is_training)(x), theirs.train(is_training)(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert ours.state_dict().keys() == theirs.state_dict().keys()


@pytest.mark.parametrize("size", [2, 3, 4])
def test_with_groups_each_is_normalised_alone_and_the_statistics_are_averaged(size: int) -> None:
    ours, _ = _pair()
    ours.bn_group_size = size
    x = torch.randn(6, 5, 3, 3).double() * torch.arange(1, 7).view(-1, 1, 1, 1)
    found = ours.train()(x)
    references = [_pair()[1].train() for _ in x.split(size)]
    expected = torch.cat([norm(group) for norm, group in zip(references, x.split(size), strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for name in ("running_mean", "running_var"):
        mean = torch.stack([getattr(norm, name) for norm in references]).mean(0)
        torch.testing.assert_close(getattr(ours, name), mean, rtol=1e-12, atol=1e-12)
    assert ours.num_batches_tracked == 1


def test_groups_do_not_matter_in_eval_mode() -> None:
    ours, theirs = _pair()
    ours.bn_group_size = 2
    x = torch.randn(6, 5, 3, 3).double()
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
