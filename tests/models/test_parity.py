"""State dicts of torchvision's and timm's own networks, through `convert`, give their logits; skipped without them."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors.torch
import torch
from torch import nn

from reslab.artifacts.model_file import load_model
from reslab.weights.convert import convert_weights
from reslab.weights.state_dict import Source

_OPS: list[Any] = []


def _register_missing_operators() -> None:
    """PyPI's torchvision lacks two operators beside a CPU build of torch, which no network here uses."""
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _OPS.append(library)


@pytest.fixture(scope="module", params=["torchvision", "timm"])
def package(request: pytest.FixtureRequest) -> tuple[Source, Callable[[str], nn.Module]]:
    """A package's name, and how it makes a network by name, without its weights."""
    _register_missing_operators()
    assert request.param in get_args(Source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "timm":
            timm = pytest.importorskip("timm", exc_type=ImportError)
            return "timm", lambda name: timm.create_model(name, pretrained=False)
        models = pytest.importorskip("torchvision.models", exc_type=ImportError)
        return "torchvision", lambda name: getattr(models, name)(weights=None)


def _shake(model: nn.Module) -> None:
    """Give batch norms scales, shifts and statistics that are not those of the start."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(std=0.1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("depth", "suffix"),
    [
        *((18, ".safetensors"), (18, ".pth"), (34, ".pth"), (50, ".pth")),
        *(pytest.param(depth, ".pth", marks=pytest.mark.slow) for depth in (101, 152)),
    ],
)
def test_a_converted_state_dict_gives_the_logits_of_the_package_it_came_from(
    package: tuple[Source, Callable[[str], nn.Module]], depth: int, suffix: str, tmp_path: Path
) -> None:
    source, make = package
    torch.manual_seed(depth)
    theirs = make(f"resnet{depth}")
    _shake(theirs)
    path = tmp_path / f"resnet{depth}{suffix}"
    if suffix == ".pth":
        torch.save(theirs.state_dict(), path)
    else:
        safetensors.torch.save_file(theirs.state_dict(), path)
    done = convert_weights(path, tmp_path / "model.safetensors", source=source)
    assert done.spec.depth == depth
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = theirs.eval()(images), load_model(done.path).model(images)
    difference = float((found - expected).abs().max() / expected.abs().max())
    print(f"\n{source} resnet{depth}{suffix}: largest difference {difference:.1e} of the largest logit")
    assert difference <= 1e-5
