"""The same keys and logits as torchvision's networks; skipped where torchvision is not installed."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from reslab.models import create_model

_OPS: list[Any] = []


@pytest.fixture(scope="module")
def models() -> Any:
    """torchvision.models; its wheel lacks two operators beside a CPU build of torch, which no network here uses."""
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _OPS.append(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torchvision.models", exc_type=ImportError)


def _shake(model: nn.Module) -> None:
    """Give batch norms scales, shifts and statistics that are not those of the start."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(std=0.1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("ours", "theirs", "size"),
    [
        ("resnet18", "resnet18", 64), ("resnet34", "resnet34", 64), ("resnet50_v1_5", "resnet50", 64),
        ("resnet101_v1_5", "resnet101", 64), ("resnet152_v1_5", "resnet152", 64), ("vgg16", "vgg16", 224),
    ],
)  # fmt: skip
def test_torchvisions_weights_give_torchvisions_logits(models: Any, ours: str, theirs: str, size: int) -> None:
    torch.manual_seed(0)
    reference = getattr(models, theirs)(weights=None)
    _shake(reference)
    model = create_model(ours)
    assert list(model.state_dict()) == list(reference.state_dict())
    model.load_state_dict(reference.state_dict(), strict=True)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected, found = reference.eval()(images), model.eval()(images)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
