"""Blocks against their equations, written out with torch's functions in float64."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.models.blocks import BasicBlock, Bottleneck, ZeroPad, make_shortcut, zero_init_last_scale
from reslab.spec import ModelSpec
from reslab.spec.families import model_spec

BASIC = model_spec("cifar_resnet8")
DEEP = model_spec("resnet50")


def _bn(norm: Any, x: Tensor) -> Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    scale, shift = (p.view(1, -1, 1, 1) for p in (norm.weight, norm.bias))
    return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift


def _shortcut(block: Any, spec: ModelSpec, x: Tensor, out: int, stride: int) -> Tensor:
    changes = stride > 1 or x.shape[1] != out
    if spec.shortcut == "C" or (spec.shortcut == "B" and changes):
        return _bn(block.downsample[1], F.conv2d(x, block.downsample[0].weight, stride=stride))
    if not changes:
        return x
    padded = x.new_zeros(len(x), out, *(-(-side // stride) for side in x.shape[2:]))
    first = (out - x.shape[1]) // 2 if spec.zero_pad == "split" else 0
    padded[:, first : first + x.shape[1]] = x[:, :, ::stride, ::stride]
    return padded


def _randomize(block: nn.Module) -> Any:
    torch.manual_seed(0)
    block = block.double().train()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "none"])
@pytest.mark.parametrize("zero_pad", ["after", "split"])
@pytest.mark.parametrize(("c_in", "width", "stride"), [(16, 16, 1), (16, 32, 2), (32, 64, 2)])
def test_a_basic_block_is_its_equation(shortcut: str, zero_pad: str, c_in: int, width: int, stride: int) -> None:
    spec = replace(BASIC, shortcut=shortcut, zero_pad=zero_pad)  # type: ignore[arg-type]
    block = _randomize(BasicBlock(spec, c_in, width, stride))
    x = torch.randn(4, c_in, 9, 8).double()
    y = F.relu(_bn(block.bn1, F.conv2d(x, block.conv1.weight, stride=stride, padding=1)))
    y = _bn(block.bn2, F.conv2d(y, block.conv2.weight, padding=1))
    expected = F.relu(y if shortcut == "none" else y + _shortcut(block, spec, x, width, stride))
    torch.testing.assert_close(block(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "none"])
@pytest.mark.parametrize("stride_on", ["1x1", "3x3"])
@pytest.mark.parametrize(("c_in", "stride"), [(16, 1), (64, 1), (32, 2)])
def test_a_bottleneck_is_its_equation_with_the_stride_where_the_spec_says(
    shortcut: str, stride_on: str, c_in: int, stride: int
) -> None:
    spec = replace(DEEP, shortcut=shortcut, stride_on=stride_on)  # type: ignore[arg-type]
    block = _randomize(Bottleneck(spec, c_in, 16, stride))
    x = torch.randn(4, c_in, 8, 8).double()
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    y = F.relu(_bn(block.bn1, F.conv2d(x, block.conv1.weight, stride=first)))
    y = F.relu(_bn(block.bn2, F.conv2d(y, block.conv2.weight, stride=second, padding=1)))
    y = _bn(block.bn3, F.conv2d(y, block.conv3.weight))
    expected = F.relu(y if shortcut == "none" else y + _shortcut(block, spec, x, 64, stride))
    torch.testing.assert_close(block(x), expected, rtol=1e-9, atol=1e-9)


def test_zero_padding_has_no_parameters_and_keeps_every_input_channel() -> None:
    x = torch.randn(2, 3, 5, 5)
    after, split = ZeroPad(3, 7, 2, split=False), ZeroPad(3, 7, 2, split=True)
    assert list(after.parameters()) == []
    assert torch.equal(after(x)[:, :3], x[:, :, ::2, ::2])
    assert torch.equal(split(x)[:, 2:5], x[:, :, ::2, ::2])
    for padded in (after(x), split(x)):
        assert padded.shape == (2, 7, 3, 3)
        assert (padded.abs().sum((0, 2, 3)) > 0).sum() == 3


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_block_with_a_zero_last_scale_starts_as_its_shortcut(kind: type[BasicBlock] | type[Bottleneck]) -> None:
    spec = BASIC if kind is BasicBlock else DEEP
    block = kind(spec, 16 * spec.expansion, 16, 1)
    zero_init_last_scale(block)
    x = torch.randn(2, 16 * spec.expansion, 4, 4)
    assert torch.equal(block(x), F.relu(x))


@pytest.mark.parametrize("in_channels", [1, 4, 8, 15, 16])
@pytest.mark.parametrize("side", [7, 8, 32])
def test_gradients_of_a_strided_projection_are_those_of_float64_however_narrow_it_is(
    in_channels: int, side: int
) -> None:
    spec = model_spec("cifar_resnet8", shortcut="B")
    shortcut = make_shortcut(spec, in_channels, 2 * in_channels, 2)
    assert isinstance(shortcut, nn.Sequential)
    projection = shortcut[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(64, in_channels, side, side, generator=torch.Generator().manual_seed(side))
    images = images.contiguous(memory_format=torch.channels_last)
    slopes = torch.randn(projection(images).shape, generator=torch.Generator().manual_seed(0))
    reference = images[:, :, ::2, ::2].double()
    torch.testing.assert_close(
        projection(images).double(), torch.einsum("nchw,oc->nohw", reference, projection.weight[:, :, 0, 0].double()),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    for _ in range(3):
        projection.zero_grad()
        (projection(images) * slopes).sum().backward()
        expected = torch.einsum("nchw,nohw->oc", reference, slopes.double())
        torch.testing.assert_close(projection.weight.grad[:, :, 0, 0].double(), expected, rtol=1e-4, atol=1e-3)
