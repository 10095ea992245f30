"""Input gradients against autograd and finite differences; cosines and noise against closed forms."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reslab import create_model
from reslab.analysis.input_gradients import cosines, image_noise, input_gradients


def _network(name: str = "cifar_resnet8", **options: Any) -> Any:
    torch.manual_seed(0)
    return create_model(name, num_classes=4, **options)


def test_gradients_are_autograds_in_training_mode_and_leave_the_network_as_it_was() -> None:
    model, images, labels = _network().eval(), torch.randn(6, 3, 16, 16), torch.arange(6) % 4
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = input_gradients(model, images, labels)
    assert not model.training
    assert not images.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    leaf = images.clone().requires_grad_(True)
    F.cross_entropy(model.train()(leaf), labels).backward()
    torch.testing.assert_close(found, leaf.grad)


def test_gradients_are_the_slope_of_the_whole_batchs_loss_through_its_statistics() -> None:
    model, labels = _network("cifar_plain8").double().train(), torch.arange(4)
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    found = input_gradients(model, images, labels)
    place, step = (2, 1, 3, 4), 1e-6
    losses = []
    for sign in (1, -1):
        moved = images.clone()
        moved[place] += sign * step
        losses.append(F.cross_entropy(model(moved), labels).item())
    assert found[place].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4)


def test_without_batch_norm_an_images_gradient_is_of_its_own_loss_alone() -> None:
    model, images, labels = _network(norm="none"), torch.randn(4, 3, 8, 8), torch.arange(4)
    together = input_gradients(model, images, labels)
    for number in range(4):
        alone = input_gradients(model, images[number : number + 1], labels[number : number + 1])
        torch.testing.assert_close(4 * together[number], alone[0], rtol=1e-3, atol=1e-6)


def test_cosines_are_those_of_angles_and_0_where_there_is_no_direction() -> None:
    first = torch.tensor([[[1.0, 0.0]], [[1e-30, 0.0]], [[3.0, 4.0]], [[0.0, 0.0]], [[math.inf, 1.0]]])
    second = torch.tensor([[[1.0, 1.0]], [[-1e30, 0.0]], [[3.0, 4.0]], [[1.0, 0.0]], [[1.0, 1.0]]])
    assert cosines(first, second).tolist() == pytest.approx([math.sqrt(0.5), -1, 1, 0, 0], abs=1e-12)


def test_noise_has_each_images_own_standard_deviation() -> None:
    images = torch.randn(2, 3, 64, 64) * torch.tensor([1.0, 5.0]).view(2, 1, 1, 1) + 7
    noise = image_noise(images, torch.Generator().manual_seed(1))
    ratio = noise.std((1, 2, 3)) / images.std((1, 2, 3))
    assert ratio.tolist() == pytest.approx([1, 1], rel=0.03)
    assert noise.mean((1, 2, 3)).abs().max().item() < 0.2
    assert torch.equal(noise, image_noise(images, torch.Generator().manual_seed(1)))
