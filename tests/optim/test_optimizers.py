"""SGD against the update written out by hand."""

import torch
from torch import nn

from reslab.models import create_model
from reslab.optim import WeightAverage, make_sgd

_SETTINGS = {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-2, "decay_norm_and_bias": True}


def test_two_steps_equal_momentum_written_out_by_hand() -> None:
    layer = nn.Linear(2, 1, bias=False).double()
    weight = layer.weight.detach().clone()
    optimizer = make_sgd(layer, **_SETTINGS)
    velocity = torch.zeros_like(weight)
    for gradient in (torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])):
        layer.weight.grad = gradient.double()
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 1e-2 * weight
        weight = weight - 0.1 * velocity
        torch.testing.assert_close(layer.weight.detach(), weight, rtol=1e-12, atol=0)


def test_weight_decay_can_leave_out_norms_and_biases() -> None:
    model = create_model("cifar_resnet8")
    optimizer = make_sgd(model, **{**_SETTINGS, "decay_norm_and_bias": False})
    decayed, free = optimizer.param_groups
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert free["weight_decay"] == 0
    assert all(parameter.ndim == 1 for parameter in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_weight_average_equals_its_definition_and_gives_the_weights_back() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    average = WeightAverage(layer, 0.9)
    expected = layer.weight.detach().clone().double()
    for _ in range(5):
        with torch.no_grad():
            layer.weight.add_(torch.randn_like(layer.weight))
        average.update()
        expected = 0.9 * expected + 0.1 * layer.weight.detach().double()
    now = layer.weight.detach().clone()
    with average.applied():
        torch.testing.assert_close(layer.weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(layer.weight.detach(), now)
