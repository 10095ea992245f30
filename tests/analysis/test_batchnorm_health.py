"""The health of batch norms against direct computations in float64; planted defects are named, nothing is changed."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab import UsageError, create_model
from reslab.analysis.batchnorm_health import BatchNormHealth, describe_health, judge_batch_norms
from reslab.models import ResNet
from reslab.models.folding import fold_batch_norm
from reslab.models.normalization import reestimate_running_statistics, use_fused_norm


@pytest.fixture
def images() -> Tensor:
    return torch.randn(24, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def sound(images: Tensor) -> ResNet:
    """A network whose running statistics are those of the images."""
    return _settled("cifar_resnet8", images)


def _settled(name: str, images: Tensor) -> ResNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_model(name, num_classes=10)
    assert isinstance(model, ResNet)
    reestimate_running_statistics(model, [images])
    return model.eval()


def _by_layer(model: ResNet, images: Tensor) -> dict[str, BatchNormHealth]:
    return {one.layer: one for one in judge_batch_norms(model, images)}


def test_a_sound_network_is_said_to_be_healthy(sound: Any, images: Tensor) -> None:
    found = judge_batch_norms(sound, images)
    assert [one.layer for one in found][:3] == ["bn1", "layer1.0.bn1", "layer1.0.bn2"]
    assert all(one.is_healthy for one in found)
    assert describe_health(found).startswith("All 7 batch-norm layers are healthy: no dead channel;")


def test_the_numbers_are_those_of_a_direct_computation(sound: Any, images: Tensor) -> None:
    generator = torch.Generator().manual_seed(2)
    norm = sound.layer1[0].bn2
    with torch.no_grad():
        norm.running_mean.add_(torch.randn(16, generator=generator))
        norm.running_var.mul_(torch.rand(16, generator=generator) * 3)
        norm.weight.copy_(torch.randn(16, generator=generator))
    found = _by_layer(sound, images)["layer1.0.bn2"]
    block = sound.layer1[0]
    with torch.no_grad():
        x = F.relu(_normalised(sound.bn1, F.conv2d(images.double(), sound.conv1.weight.double(), padding=1)))
        x = F.relu(_normalised(block.bn1, F.conv2d(x, block.conv1.weight.double(), padding=1)))
        x = F.conv2d(x, block.conv2.weight.double(), padding=1)
    values = x.transpose(0, 1).flatten(1)
    variance = values.var(1) + norm.eps
    shift = (norm.running_mean - values.mean(1)).abs() / variance.sqrt()
    ratio = ((norm.running_var.double() + norm.eps) / variance).log2()
    assert found.mean_shift == pytest.approx(shift.quantile(0.5).item(), rel=1e-4)
    assert found.variance_ratio == pytest.approx(ratio.quantile(0.5).item(), rel=1e-4)
    assert found.smallest_scale == pytest.approx(norm.weight.abs().min().item())
    assert found.median_scale == pytest.approx(norm.weight.double().abs().quantile(0.5).item())
    assert not found.has_relu
    assert found.is_far


def _normalised(norm: torch.nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm in training mode, in float64, by its formula."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    scale, bias = (parameter.double()[None, :, None, None] for parameter in (norm.weight, norm.bias))
    return (x - mean) / (variance + norm.eps).sqrt() * scale + bias


def test_dead_channels_are_counted_before_a_relu_and_before_an_addition(sound: Any, images: Tensor) -> None:
    with torch.no_grad():
        sound.layer2[0].bn1.weight[3] = 0  # and beta is 0: nothing behind the ReLU
        sound.layer2[0].bn1.bias[5] = -100
        sound.layer3[0].bn2.weight[11] = 0
        sound.layer3[0].bn2.bias[11] = 4  # a constant says nothing of an image
        sound.layer3[0].bn2.weight[12] = 0.01  # little is not nothing
    found = _by_layer(sound, images)
    assert found["layer2.0.bn1"].dead == (3, 5)
    assert found["layer3.0.bn2"].dead == (11,)
    assert found["layer3.0.bn2"].smallest_scale == 0
    assert [one.layer for one in found.values() if one.dead] == ["layer2.0.bn1", "layer3.0.bn2"]
    words = describe_health(list(found.values()))
    assert words == (
        "Of 7 batch-norm layers 5 are healthy; dead channels in 2 (layer2.0.bn1: 2 of 32, layer3.0.bn2: 1 of 64)."
    )


def test_a_whole_silent_residual_function_is_dead(sound: Any, images: Tensor) -> None:
    torch.nn.init.constant_(sound.layer1[0].bn2.weight, 1e-8)
    assert _by_layer(sound, images)["layer1.0.bn2"].dead == tuple(range(16))


def test_in_a_plain_net_the_last_norm_of_a_block_is_before_a_relu(images: Tensor) -> None:
    found = judge_batch_norms(_settled("cifar_plain8", images), images)
    assert all(one.has_relu for one in found)


def test_projections_and_the_end_of_a_bottleneck_are_before_an_addition(images: Tensor) -> None:
    found = judge_batch_norms(_settled("resnet50", images), images)
    before_addition = [one.layer for one in found if not one.has_relu]
    assert len(found) == 53
    assert len(before_addition) == 16 + 4
    assert all(name.endswith(("bn3", "downsample.1")) for name in before_addition)


def test_strange_running_statistics_are_named_and_those_behind_them_are_not(sound: Any, images: Tensor) -> None:
    with torch.no_grad():
        sound.layer1[0].bn1.running_var.mul_(100)
        sound.layer3[0].bn1.running_mean.add_(10 * sound.layer3[0].bn1.running_var.sqrt())
    found = judge_batch_norms(sound, images)
    assert [one.layer for one in found if one.is_far] == ["layer1.0.bn1", "layer3.0.bn1"]
    assert found[1].variance_ratio == pytest.approx(math.log2(100), rel=1e-3)
    assert found[5].mean_shift == pytest.approx(10, rel=1e-3)
    far = "in 2 (layer1.0.bn1: variance 100 times theirs, layer3.0.bn1: mean by 10 standard deviations)"
    assert f"running statistics far from those of the images {far}" in describe_health(found)


def test_a_nan_is_named_where_it_is_and_what_it_spoils_is_said(sound: Any, images: Tensor) -> None:
    with torch.no_grad():
        sound.layer2[0].bn1.weight[0] = float("nan")
    found = _by_layer(sound, images)
    assert found["layer2.0.bn1"].not_finite == ("weight",)
    assert [one.layer for one in found.values() if one.not_finite] == ["layer2.0.bn1"]
    assert [one.layer for one in found.values() if not one.is_measured] == [
        "layer2.0.bn2",
        "layer3.0.bn1",
        "layer3.0.bn2",
    ]
    words = describe_health(list(found.values()))
    assert (
        "3 are healthy; numbers that are not finite in 1 (layer2.0.bn1: weight); inputs that are not finite in 3"
        in words
    )


def test_looking_changes_nothing_and_a_chosen_kernel_stays_chosen(sound: Any, images: Tensor) -> None:
    use_fused_norm(sound)
    sound.layer2.train()
    before = {name: value.clone() for name, value in sound.state_dict().items()}
    modes = [module.training for module in sound.modules()]
    judge_batch_norms(sound, images)
    assert all(torch.equal(value, before[name]) for name, value in sound.state_dict().items())
    assert [module.training for module in sound.modules()] == modes
    assert sound.bn1.use_kernel
    assert all(parameter.grad is None for parameter in sound.parameters())
    assert not any(module._forward_hooks for module in sound.modules())


def test_networks_without_batch_norm_have_nothing_to_judge(sound: Any, images: Tensor) -> None:
    for model in (create_model("cifar_plain8", norm="none"), fold_batch_norm(sound)):
        assert judge_batch_norms(model, images) == ()


def test_one_image_is_too_few(sound: Any, images: Tensor) -> None:
    with pytest.raises(UsageError, match="needs at least 2"):
        judge_batch_norms(sound, images[:1])
