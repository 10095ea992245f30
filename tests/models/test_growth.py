"""Deeper by construction: the same logits, the same error, and training that goes on."""

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import reslab
from reslab import UsageError
from reslab.artifacts.model_file import ModelCard, load_model, save_model
from reslab.models import build, create_model, freeze
from reslab.models.folding import fold_batch_norm
from reslab.spec import PreprocessSpec
from reslab.spec.families import model_spec

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    *(("cifar_resnet14", {"shortcut": option}) for option in "ABC"),
    ("cifar_resnet14", {"zero_pad": "split"}),
    ("cifar_resnet14", {"norm": "none"}),
    ("cifar_resnet14", {"shortcut": "C", "norm": "none"}),
    ("cifar_resnet14", {"zero_init_residual": True}),
    ("cifar_plain14", {}),
    ("cifar_plain14", {"norm": "none"}),
    *(("resnet18", {"shortcut": option}) for option in "ABC"),
    ("plain18", {}),
    *(("resnet50", {"shortcut": option}) for option in "ABC"),
    ("resnet50_v1_5", {}),
]


def _trained(name: str, options: dict[str, Any], seed: int) -> Any:
    """A network of few channels whose batch norms are not as initialised, in eval mode."""
    torch.manual_seed(seed)
    spec = model_spec(name, num_classes=10, **options)
    model = build(replace(spec, widths=(8, 16, 32, 64)[: len(spec.widths)]))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model.eval()


def _assert_grows_unchanged(model: Any, stage: str | None, blocks: int, is_calibrated: bool) -> None:
    images = torch.randn(3, 3, 32, 32)
    expected = model(images)
    grown = reslab.deepen(model, stage=stage, blocks=blocks, calibrate=images if is_calibrated else None)
    scale = max(expected.abs().max().item(), 1.0)
    torch.testing.assert_close(grown(images), expected, rtol=0, atol=1e-5 * scale)
    added = [new - old for new, old in zip(grown.spec.num_blocks, model.spec.num_blocks, strict=True)]
    assert added == [blocks if stage in (None, name) else 0 for name in model.stage_names]
    assert torch.equal(model(images), expected)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_logits_do_not_change_in_eval_mode_whatever_stage_grows(network: tuple[str, dict[str, Any]]) -> None:
    model = _trained(*network, seed=0)
    for stage in (None, *model.stage_names):
        for is_calibrated in (True, False):
            _assert_grows_unchanged(model, stage, 1, is_calibrated)


@settings(max_examples=40)
@given(
    network=st.sampled_from(NETWORKS),
    number=st.integers(0, 4),
    blocks=st.integers(1, 3),
    is_calibrated=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_logits_do_not_change_in_eval_mode_whatever_the_weights_are(
    network: tuple[str, dict[str, Any]], number: int, blocks: int, is_calibrated: bool, seed: int
) -> None:
    model = _trained(*network, seed)
    stages = (None, *model.stage_names)
    _assert_grows_unchanged(model, stages[number % len(stages)], blocks, is_calibrated)


@pytest.mark.parametrize(("name", "options"), [("cifar_plain14", {}), ("cifar_resnet14", {"shortcut": "C"})])
def test_calibrated_blocks_are_nearly_identities_in_training_mode_too(name: str, options: dict[str, Any]) -> None:
    model = _trained(name, options, 0)
    images = torch.randn(64, 3, 32, 32)
    shallow = copy.deepcopy(model).train()
    expected = shallow(images)
    distance = {}
    for label, calibrate in (("calibrated", images), ("not", None)):
        grown = reslab.deepen(model, blocks=2, calibrate=calibrate).train()
        distance[label] = ((grown(images) - expected).norm() / expected.norm()).item()
    assert distance["calibrated"] < 0.01
    assert distance["not"] > 0.3


def test_residual_blocks_are_identities_in_training_mode_without_calibration() -> None:
    model = _trained("cifar_resnet14", {}, 0).train()
    images = torch.randn(16, 3, 32, 32)
    grown = reslab.deepen(model)
    assert grown.training
    torch.testing.assert_close(grown(images), model(images), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["cifar_plain14", "cifar_resnet14"])
def test_the_grown_network_learns_in_its_new_layers(name: str) -> None:
    model = _trained(name, {}, 0)
    images, labels = torch.randn(32, 3, 32, 32), torch.arange(32) % 10
    grown = reslab.deepen(model, calibrate=images).train()
    optimizer = torch.optim.SGD(grown.parameters(), lr=0.01, momentum=0.9)
    before = copy.deepcopy(grown.state_dict())
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(grown(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for key in ("layer1.2.conv1.weight", "layer3.2.conv2.weight", "layer2.2.bn2.weight"):
        assert not torch.equal(grown.state_dict()[key], before[key]), key


def test_the_grown_network_is_saved_and_loaded_like_any_other(tmp_path: Path) -> None:
    grown = reslab.deepen(_trained("cifar_resnet14", {}, 0), stage="layer2", blocks=2)
    spec = PreprocessSpec(channels=3, height=32, width=32, mean=(0.0,) * 3, std=(1.0,) * 3)
    card = ModelCard(preprocess=spec, class_names=tuple("abcdefghij"), recipe="grown")
    save_model(tmp_path / "grown.safetensors", grown, card)
    again = load_model(tmp_path / "grown.safetensors")
    assert again.spec.num_blocks == (2, 4, 2)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(again.model(images), grown(images))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cifar_resnet14", {"blocks": 0}, "blocks is 0; allowed: 1 or more"),
        ("cifar_resnet14", {"stage": "layer4"}, "stage is 'layer4'; allowed: 'layer1', 'layer2', 'layer3'"),
        ("plain50", {}, "squeezes 4 n channels through n"),
        ("vgg16", {}, "has no stages"),
    ],
)
def test_what_cannot_grow_is_said(name: str, arguments: dict[str, Any], message: str) -> None:
    with torch.device("meta"):  # nothing is computed
        model = create_model(name)
    with pytest.raises(UsageError, match=message):
        reslab.deepen(model, **arguments)


def test_what_is_frozen_stays_frozen_with_the_blocks_added_to_it() -> None:
    model = _trained("cifar_plain14", {}, seed=0)
    freeze(model, num_stages=1)
    grown = reslab.deepen(model.train(), calibrate=torch.randn(16, 3, 32, 32))
    assert {name for name, one in grown.named_parameters() if not one.requires_grad} == {
        name for name, _ in grown.named_parameters() if name.startswith(("conv1", "bn1", "layer1"))
    }
    frozen = {name for name, one in grown.named_modules() if getattr(one, "is_frozen", False)}
    assert frozen == {
        name for name, one in grown.named_modules() if "bn" in name and name.startswith(("bn1", "layer1"))
    }
    assert not any(grown.get_submodule(name).training for name in frozen)


def test_frozen_batch_norm_keeps_the_answers_in_training_mode_too() -> None:
    model = _trained("cifar_plain14", {}, seed=0)
    freeze(model, batch_norm=True)
    images = torch.randn(8, 3, 32, 32)
    grown = reslab.deepen(model.train())
    torch.testing.assert_close(grown(images), model(images), rtol=1e-5, atol=1e-5)
    assert all(one.requires_grad for one in grown.parameters())


@pytest.mark.parametrize(
    ("name", "images", "words"),
    [
        ("cifar_plain14", torch.zeros(0, 3, 32, 32), r"\[0, 3, 32, 32\]; allowed: normalised images \[n, 3, h, w\]"),
        ("cifar_plain14", torch.zeros(4, 1, 32, 32), r"shape \[4, 1, 32, 32\]"),
        ("cifar_plain14", torch.zeros(3, 32, 32), r"shape \[3, 32, 32\]"),
        ("cifar_plain14", torch.full((4, 3, 32, 32), torch.nan), "not finite"),
        ("plain18", torch.zeros(1, 3, 32, 32), "no variance; give more images"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_measured_are_refused(name: str, images: torch.Tensor, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        reslab.deepen(_trained(name, {}, seed=0), calibrate=images)


def test_the_logits_stay_with_an_eps_that_is_not_torchs() -> None:
    model = _trained("cifar_plain14", {}, seed=0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.mul_(0.01)  # type: ignore[union-attr]
            module.eps, module.momentum = 1e-3, 0.01
    for is_calibrated in (True, False):
        _assert_grows_unchanged(model, None, 2, is_calibrated)
    norms = [module for module in reslab.deepen(model).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: setattr(model, "fc", nn.Identity()), "fc is Identity, expected Linear"),
        (lambda model: setattr(model, "fc", nn.Linear(64, 5)), "fc.weight is [5, 64], expected [10, 64]"),
        (lambda model: setattr(model, "fc", nn.Sequential(nn.Dropout(), nn.Linear(64, 10))), "fc is Sequential"),
        (lambda model: setattr(model.layer1[0], "bn2", nn.Identity()), "layer1.0.bn2 is Identity"),
        (lambda model: model.layer2.append(nn.ReLU()), "layer2.2 is ReLU, expected missing"),
    ],
)
def test_a_network_with_other_layers_than_its_spec_says_is_refused(change: Any, said: str) -> None:
    model = create_model("cifar_resnet14")
    change(model)
    with pytest.raises(UsageError, match=re.escape(said)):
        reslab.deepen(model)


def test_a_network_with_batch_norm_folded_away_is_refused() -> None:
    with pytest.raises(UsageError, match=r"bn1 is Identity, expected GroupedBatchNorm2d"):
        reslab.deepen(fold_batch_norm(create_model("cifar_resnet14")))
