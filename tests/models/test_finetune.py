"""Frozen parts of a network: to the bit as they were, computing as in eval mode; and a rate for each stage."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.models import create_model, freeze, lr_multipliers
from reslab.models.kernels.compiler import compiler
from reslab.models.normalization import (
    GroupedBatchNorm2d,
    reestimate_running_statistics,
    set_bn_group_size,
    use_fused_norm,
)
from reslab.optim import make_muon, make_sgd

_SGD: dict[str, Any] = {
    "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-2, "decay_norm_and_bias": True,
}  # fmt: skip
_KERNELS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")),
]


def _network(**options: Any) -> Any:
    """A network whose running statistics are not those of the start."""
    torch.manual_seed(0)
    model = create_model("cifar_resnet8", shortcut="B", **options).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return model


def _images(n: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, 16, 16, generator=generator).contiguous(memory_format=torch.channels_last)


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    for _ in range(steps):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(_images()), torch.arange(8)).backward()
        optimizer.step()


def _changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("use_kernel", _KERNELS)
@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
@pytest.mark.parametrize(
    ("num_stages", "frozen"),
    [(1, ("conv1", "bn1", "layer1")), (2, ("conv1", "bn1", "layer1", "layer2")), (3, ("conv1", "bn1", "layer"))],
)
def test_frozen_stages_stay_to_the_bit_and_the_rest_moves(
    num_stages: int, frozen: tuple[str, ...], optimizer: str, use_kernel: bool
) -> None:
    model = _network()
    use_fused_norm(model, use_kernel)
    freeze(model, num_stages=num_stages)
    before = copy.deepcopy(model.state_dict())
    muon = {"lr": 0.1, "momentum": 0.6, "sgd_lr": 0.1, "sgd_momentum": 0.9, "weight_decay": 5e-4}
    _train(model, make_sgd(model, **_SGD) if optimizer == "sgd" else make_muon(model, **muon))
    assert _changed(model, before) == {name for name in before if not name.startswith(frozen)}


@pytest.mark.parametrize("use_kernel", _KERNELS)
def test_frozen_batch_norm_keeps_its_statistics_while_its_scales_and_shifts_train(use_kernel: bool) -> None:
    model = _network()
    use_fused_norm(model, use_kernel)
    freeze(model, batch_norm=True)
    before = copy.deepcopy(model.state_dict())
    _train(model, make_sgd(model, **_SGD))
    assert _changed(model, before) == {name for name in before if "running" not in name and "num_batches" not in name}


@pytest.mark.parametrize("use_kernel", _KERNELS)
@pytest.mark.parametrize(
    ("frozen", "names"),
    [({"num_stages": 1}, {"stem", "layer1"}), ({"batch_norm": True}, {"stem", "layer1", "layer2", "layer3"})],
)
def test_frozen_parts_answer_in_training_as_in_eval_mode(
    frozen: dict[str, Any], names: set[str], use_kernel: bool
) -> None:
    model = _network()
    reference = copy.deepcopy(model).eval()
    use_fused_norm(model, use_kernel)
    set_bn_group_size(model, 2)
    freeze(model, **frozen)
    found, expected = (net.forward_features(_images()) for net in (model.train(), reference))
    assert {name for name in found if torch.equal(found[name], expected[name])} == names


def test_recomputed_blocks_freeze_as_kept_ones_do() -> None:
    kept, recomputed = _network(), _network(checkpoint_activations=True)
    recomputed.load_state_dict(kept.state_dict())
    for model in (kept, recomputed):
        freeze(model, num_stages=1)
        _train(model, make_sgd(model, **_SGD))
    assert _changed(recomputed, kept.state_dict()) == set()


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(UsageError, match=r"num_stages is 4; allowed for ResNet-8 .*: 0 to 3"):
        freeze(_network(), num_stages=4)


def test_a_vggs_first_stages_freeze_too() -> None:
    with torch.device("meta"):
        model = create_model("vgg16")
    freeze(model, num_stages=2)
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == [f"features.{number}.{kind}" for number in (0, 2, 5, 7) for kind in ("weight", "bias")]


def test_each_stage_below_the_head_has_the_rate_times_the_decay_once_more() -> None:
    model = _network()
    scales = lr_multipliers(model, 0.5)
    named = {name: scales[parameter] for name, parameter in model.named_parameters()}
    assert len(named) == len(list(model.parameters()))
    parts = {"conv1": 1 / 16, "bn1": 1 / 16, "layer1": 1 / 8, "layer2": 1 / 4, "layer3": 1 / 2, "fc": 1.0}
    assert all(scale == parts[name.split(".")[0]] for name, scale in named.items())


@pytest.mark.parametrize("decays_all", [True, False])
def test_a_decayed_rate_moves_each_weight_by_that_part_of_a_whole_step(decays_all: bool) -> None:
    whole, scaled = _network(), _network()
    settings = {**_SGD, "momentum": 0.0, "decay_norm_and_bias": decays_all}
    scales = lr_multipliers(scaled, 0.5)
    before = {name: parameter.detach().clone().double() for name, parameter in whole.named_parameters()}
    _train(whole, make_sgd(whole, **settings), steps=1)
    _train(scaled, make_sgd(scaled, **settings, lr_multipliers=scales), steps=1)
    ours = dict(scaled.named_parameters())
    for name, parameter in whole.named_parameters():
        expected = before[name] + scales[ours[name]] * (parameter.detach().double() - before[name])
        torch.testing.assert_close(ours[name].detach().double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("group_size", [None, 2])
@pytest.mark.parametrize("use_kernel", _KERNELS)
def test_reestimated_statistics_are_the_plain_average_of_the_batches(use_kernel: bool, group_size: int | None) -> None:
    torch.manual_seed(0)
    norm = GroupedBatchNorm2d(3)
    nn.init.constant_(norm.running_mean, 100.0)  # type: ignore[arg-type]
    set_bn_group_size(norm, group_size)
    use_fused_norm(norm, use_kernel)
    batches = [torch.randn(4, 3, 5, 5).mul(k).add(k).contiguous(memory_format=torch.channels_last) for k in (1, 2, 4)]
    reestimate_running_statistics(norm, batches)
    groups = [group.double() for batch in batches for group in batch.split(group_size or 4)]
    mean = torch.stack([group.mean((0, 2, 3)) for group in groups]).mean(0)
    variance = torch.stack([group.var((0, 2, 3)) for group in groups]).mean(0)
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-6, atol=1e-6)  # type: ignore[union-attr]
    torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-6, atol=1e-6)  # type: ignore[union-attr]
    assert norm.momentum == 0.1


def test_reestimation_leaves_weights_and_frozen_statistics_alone() -> None:
    model = _network()
    freeze(model, num_stages=2)
    before = copy.deepcopy(model.state_dict())
    reestimate_running_statistics(model, [_images()])
    changed = _changed(model, before)
    moving = {name for name in before if name.startswith("layer3") and "running" in name}
    assert {name for name in changed if "num_batches" not in name} == moving
    assert all(name.startswith("layer3") for name in changed)
