"""He initialisation, by its variances."""

import math

import pytest
import torch
from torch import nn

from reslab.models import create_model


def test_convolutions_have_variance_two_over_fan_in_and_biases_are_zero() -> None:
    torch.manual_seed(0)
    model = create_model("resnet18", norm="none")
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 30_000:
            expected = math.sqrt(2 / module.weight[0].numel())
            assert module.weight.std().item() == pytest.approx(expected, rel=0.02), name
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert torch.count_nonzero(module.bias) == 0  # type: ignore[arg-type]
    assert model.fc.weight.std().item() == pytest.approx(math.sqrt(1 / 512), rel=0.02)  # type: ignore[union-attr]


def test_batch_norm_starts_as_the_identity() -> None:
    for module in create_model("cifar_resnet8").modules():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.bias, torch.zeros_like(module.bias))


def test_signals_keep_their_size_through_a_deep_plain_net_without_batch_norm() -> None:
    torch.manual_seed(0)
    features = create_model("cifar_plain20", norm="none").forward_features(torch.randn(8, 3, 32, 32))
    mean_squares = [feature.square().mean().item() for feature in features.values()]
    assert 0.2 < mean_squares[-1] / mean_squares[0] < 5


def test_the_seed_decides_every_weight() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(create_model("cifar_resnet8").state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])
