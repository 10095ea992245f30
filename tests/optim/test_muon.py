"""Muon against its definition by singular values, and against torch's SGD for the rest."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab import UsageError, override, recipe
from reslab.models import create_model
from reslab.optim import make_muon, make_sgd
from reslab.optim.muon import orthogonalize

_SETTINGS = {"lr": 0.1, "momentum": 0.6, "sgd_lr": 0.05, "sgd_momentum": 0.9, "weight_decay": 1e-2}


@pytest.mark.parametrize("shape", [(3, 16, 144), (2, 10, 4), (1, 5, 5)])
def test_directions_keep_their_singular_vectors_and_get_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    found = orthogonalize(matrices)
    for matrix, direction in zip(matrices, found, strict=True):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        along = (left.T @ direction @ right.T).diagonal()
        strong = values > 0.1 * values.max()  # five iterations do not lift what is nearly zero
        assert ((along > 0.6) & (along < 1.3))[strong].all()
        torch.testing.assert_close(left @ along.diag() @ right, direction, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 16, 144), (5, 64, 576), (2, 10, 4)])
def test_the_iteration_on_the_small_square_is_the_iteration_on_the_matrix(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    x = matrices.double() / matrices.double().flatten(1).norm(dim=1)[:, None, None]
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    torch.testing.assert_close(orthogonalize(matrices).double(), x, rtol=0, atol=1e-4)


def test_inner_convolutions_keep_their_norm_and_move_by_the_learning_rate() -> None:
    torch.manual_seed(0)
    model = create_model("cifar_resnet8")
    optimizer = make_muon(model, **_SETTINGS)
    F.cross_entropy(model(torch.randn(8, 3, 32, 32)), torch.arange(8)).backward()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer.step()
    for name, weight in model.named_parameters():
        if weight.ndim == 4 and name != "conv1.weight":
            held = before[name] * weight.shape[0] ** 0.5 / before[name].norm()
            length = (weight - held).norm() / held.norm()
            assert 0.07 < length < 0.12, name


def test_the_stem_the_norms_and_the_last_layer_are_trained_by_sgd_with_nesterov_momentum() -> None:
    torch.manual_seed(0)
    ours = create_model("cifar_resnet8")
    theirs = copy.deepcopy(ours)
    muon = make_muon(ours, **_SETTINGS)
    sgd = make_sgd(theirs, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2, decay_norm_and_bias=True)
    for _ in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        muon.step()
        sgd.step()
    inner = {name for name, p in ours.named_parameters() if p.ndim == 4} - {"conv1.weight"}
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-6, atol=1e-6) is (name not in inner), name


def test_every_parameter_is_trained_by_exactly_one_of_the_two() -> None:
    model = create_model("cifar_resnet8", shortcut="B")
    groups = make_muon(model, **_SETTINGS).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert all(parameter.ndim == 4 for parameter in groups[0]["params"])
    assert groups[1]["lr_scale"] == pytest.approx(0.5)


def test_a_network_without_batch_norm_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs a batch norm behind them, but model\.norm is 'none'"):
        override(recipe("cifar-resnet20-fast"), {"model": {"norm": "none"}})


def test_it_learns() -> None:
    torch.manual_seed(0)
    model = create_model("cifar_resnet8").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_muon(model, **_SETTINGS)
    images, labels = torch.randn(64, 3, 16, 16), torch.arange(64) % 10
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert isinstance(model, nn.Module)
