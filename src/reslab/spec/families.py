"""The networks that have a name: the paper's Table 1 and Sec. 4.2 as data."""

import re
from dataclasses import replace
from typing import Literal

from reslab.errors import UsageError, check_choice, did_you_mean

from .specs import Block, ModelSpec, Norm, Shortcut, ZeroPad

# paper Table 1: depth -> (block, blocks in conv2_x .. conv5_x)
IMAGENET_STAGES: dict[int, tuple[Block, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
IMAGENET_WIDTHS = (64, 128, 256, 512)
CIFAR_WIDTHS = (16, 32, 64)
CIFAR_PAPER_DEPTHS = (20, 32, 44, 56, 110, 1202)  # paper Table 6
VGG_STAGES = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
VGG_WIDTHS = (64, 128, 256, 512, 512)

_IMAGENET_NAME = re.compile(r"(resnet|plain)(\d+)(_v1_5)?")
_CIFAR_NAME = re.compile(r"cifar_(resnet|plain)(-?\d+)")
_VGG_NAME = re.compile(r"vgg(\d+)")


def model_names() -> list[str]:
    """List the names of the paper's networks; `model_spec` also takes any `cifar_{resnet,plain}{6n+2}`."""
    imagenet = [f"{kind}{depth}" for kind in ("resnet", "plain") for depth in IMAGENET_STAGES]
    v1_5 = [f"{kind}{depth}_v1_5" for kind in ("resnet", "plain") for depth in (50, 101, 152)]
    cifar = [f"cifar_{kind}{depth}" for kind in ("resnet", "plain") for depth in CIFAR_PAPER_DEPTHS]
    return imagenet + v1_5 + cifar + [f"vgg{depth}" for depth in VGG_STAGES]


def model_spec(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int = 3,
    shortcut: Shortcut | None = None,
    zero_pad: ZeroPad = "after",
    norm: Norm = "batch",
    zero_init_residual: bool = False,
    stem: Literal["imagenet", "cifar"] | None = None,
) -> ModelSpec:
    """Return the spec of a network by name.

    Args:
        name: `resnet50` and its kin are the paper's (stride on a bottleneck's first 1x1), `resnet50_v1_5` and its kin
            torchvision's (stride on the 3x3). `plain...` are the same networks without shortcuts. `cifar_resnet20` and
            `cifar_plain20` have 6n+2 layers; `vgg16` and `vgg19` are for comparison.
        num_classes: Outputs of the last layer; by default 10 for the CIFAR family, 1000 for the others.
        in_channels: Channels of the input image.
        shortcut: "A", "B" or "C" (paper Sec. 4.1); by default B for ImageNet networks, A for CIFAR networks.
        zero_pad: Where option A puts the zero channels: "after" the input's, or "split" before and after.
        norm: "batch" or "none"; VGG never has batch norm.
        zero_init_residual: Start every block's last batch-norm scale at zero.
        stem: "imagenet" or "cifar"; by default the family's own.

    Returns:
        The spec, ready for `reslab.models.build`.

    Raises:
        UsageError: The name, the depth, an option or the combination is not known.
    """
    spec = _named_spec(name)
    if shortcut is not None:
        check_choice("shortcut", shortcut, ("A", "B", "C"))
        if spec.is_plain:
            raise UsageError(
                f"shortcut is {shortcut!r}, but {name!r} has no shortcuts; leave it out or use the residual twin."
            )
    if stem is not None:
        check_choice("stem", stem, ("imagenet", "cifar"))
    return replace(
        spec,
        num_classes=spec.num_classes if num_classes is None else num_classes,
        in_channels=in_channels,
        shortcut=shortcut or spec.shortcut,
        zero_pad=zero_pad,
        norm=norm if spec.family != "vgg" else "none",
        zero_init_residual=zero_init_residual,
        stem=stem or spec.stem,
    )


def _named_spec(name: str) -> ModelSpec:
    if match := _IMAGENET_NAME.fullmatch(name):
        return _imagenet(match[1], int(match[2]), match[3] is not None)
    if match := _CIFAR_NAME.fullmatch(name):
        return _cifar(match[1], int(match[2]))
    if match := _VGG_NAME.fullmatch(name):
        return _vgg(int(match[1]))
    raise UsageError(
        f"no network is called {name!r}; reslab.model_names() lists them.{did_you_mean(name, model_names())}"
    )


def _imagenet(kind: str, depth: int, is_v1_5: bool) -> ModelSpec:
    if depth not in IMAGENET_STAGES:
        nearest = min(IMAGENET_STAGES, key=lambda known: abs(known - depth))
        raise UsageError(
            f"no {kind} of depth {depth} in the ImageNet family; allowed: {', '.join(map(str, IMAGENET_STAGES))}. "
            f"Nearest: {kind}{nearest}. Networks of 6n+2 layers are called cifar_{kind}20, cifar_{kind}32, ..."
        )
    block, num_blocks = IMAGENET_STAGES[depth]
    if is_v1_5 and block != "bottleneck":
        raise UsageError(
            f"{kind}{depth}_v1_5 does not exist: only bottlenecks (50, 101, 152) have two versions. Use {kind}{depth}."
        )
    return ModelSpec(
        family="imagenet",
        block=block,
        num_blocks=num_blocks,
        widths=IMAGENET_WIDTHS,
        stride_on="3x3" if is_v1_5 or block == "basic" else "1x1",
        stem="imagenet",
        num_classes=1000,
        shortcut="B" if kind == "resnet" else "none",
    )


def _cifar(kind: str, depth: int) -> ModelSpec:
    if depth < 8 or (depth - 2) % 6:
        nearest = 6 * max(1, round((depth - 2) / 6)) + 2
        raise UsageError(
            f"depth is {depth}; CIFAR networks have 6n+2 layers for n >= 1: 8, 14, 20, 26, 32, ... (paper Sec. 4.2). "
            f"Nearest: cifar_{kind}{nearest}."
        )
    return ModelSpec(
        family="cifar",
        block="basic",
        num_blocks=((depth - 2) // 6,) * 3,
        widths=CIFAR_WIDTHS,
        stride_on="3x3",
        stem="cifar",
        num_classes=10,
        shortcut="A" if kind == "resnet" else "none",
    )


def _vgg(depth: int) -> ModelSpec:
    if depth not in VGG_STAGES:
        raise UsageError(f"no VGG of depth {depth}; allowed: {', '.join(map(str, VGG_STAGES))}.")
    return ModelSpec(
        family="vgg",
        block="conv",
        num_blocks=VGG_STAGES[depth],
        widths=VGG_WIDTHS,
        stride_on="3x3",
        stem="none",
        norm="none",
        num_classes=1000,
        shortcut="none",
    )
