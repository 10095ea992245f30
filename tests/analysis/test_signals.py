"""Responses and signals against direct computations; looking changes nothing."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reslab import create_model
from reslab.analysis.complexity import measure_complexity
from reslab.analysis.signals import layer_responses, layer_signals, num_activations, parts
from reslab.models.normalization import use_fused_norm


@pytest.mark.parametrize(("name", "options"), [("cifar_resnet8", {}), ("cifar_plain8", {"norm": "none"})])
def test_a_response_is_the_spread_after_norm_and_before_relu_and_addition(name: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    model: Any = create_model(name, **options).eval()  # type: ignore[arg-type]
    images = torch.randn(4, 3, 32, 32)
    found = {response.layer: response.std for response in layer_responses(model, images)}
    assert list(found) == ["conv1", *(f"layer{s}.0.conv{n}" for s in (1, 2, 3) for n in (1, 2))]
    first = model.bn1(model.conv1(images))
    assert found["conv1"] == pytest.approx(first.std(correction=0).item(), rel=1e-5)
    block = model.layer1[0]
    inner = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(F.relu(first))))))
    assert found["layer1.0.conv2"] == pytest.approx(inner.std(correction=0).item(), rel=1e-5)


def test_bottlenecks_are_seen_by_their_3x3_layers() -> None:
    found = layer_responses(create_model("resnet50", num_classes=10), torch.randn(2, 3, 64, 64))
    assert len(found) == 16
    assert all(response.layer.endswith("conv2") for response in found)


def test_signals_are_autograds_and_leave_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    model: Any = create_model("cifar_resnet8").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    use_fused_norm(model)
    images = torch.randn(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = {signal.layer: signal for signal in layer_signals(model, images, labels)}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.bn1.use_kernel
    use_fused_norm(model, False)  # another order of rounding
    F.cross_entropy(model.train()(images), labels).backward()
    for name in ("conv1", "layer2.0.conv1", "layer3.0.conv2"):
        weight = model.get_parameter(f"{name}.weight")
        expected = weight.grad.norm().item()  # type: ignore[union-attr]
        assert found[name].gradient_norm == pytest.approx(expected, rel=1e-4)
        assert found[name].relative_gradient == pytest.approx(expected / weight.norm().item(), rel=1e-4)
        if name.endswith("conv1"):
            assert found[name].variance == pytest.approx(1.0, rel=1e-3)  # batch norm as initialised


def test_without_batch_norm_signals_grow_or_shrink_with_depth() -> None:
    torch.manual_seed(0)
    images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 10
    plain = layer_signals(create_model("cifar_plain20", norm="none"), images, labels)
    with_norm = layer_signals(create_model("cifar_plain20"), images, labels)
    spread = [max(s.variance for s in found) / min(s.variance for s in found) for found in (plain, with_norm)]
    assert spread[0] > 2 * spread[1]


def test_of_vgg_the_convolutions_are_looked_at() -> None:
    torch.manual_seed(0)
    model: Any = create_model("vgg16", num_classes=10).eval()
    images = torch.randn(1, 3, 224, 224)
    found = layer_responses(model, images)
    assert len(found) == 13
    with torch.no_grad():
        expected = model.features[0](images).std(correction=0).item()
    assert found[0].layer == "features.0"
    assert found[0].std == pytest.approx(expected, rel=1e-5)


def test_images_in_several_parts_respond_as_they_do_together(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model: Any = create_model("cifar_resnet8").eval()
    images = torch.randn(25, 3, 32, 32)
    together = layer_responses(model, images)
    monkeypatch.setattr("reslab.analysis.signals._PIXELS_AT_ONCE", 32 * 32 * 10)
    assert [len(part) for part in parts(images)] == [9, 8, 8]
    for one, other in zip(layer_responses(model, images), together, strict=True):
        assert one.layer == other.layer
        assert one.std == pytest.approx(other.std, rel=1e-5)


def test_modes_and_fixed_weights_stay_as_they_were() -> None:
    model: Any = create_model("cifar_resnet8")
    model.layer1.eval()
    model.conv1.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    found = layer_signals(model, torch.randn(4, 3, 32, 32), torch.arange(4))
    assert found[0].gradient_norm > 0
    assert not model.conv1.weight.requires_grad
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize(("name", "size"), [("cifar_resnet8", 32), ("resnet50", 64)])
def test_activations_are_those_of_every_convolution(name: str, size: int) -> None:
    spec = create_model(name).spec
    expected = sum(math.prod(layer.output) for layer in measure_complexity(spec, size).layers if len(layer.output) == 3)
    assert num_activations(create_model(name), torch.randn(1, 3, size, size)) == expected
