"""The paper's construction (Sec. 1): a deeper network that equals a shallower one, by added identity layers.

"There exists a solution by construction to the deeper model: the added layers are identity mapping, and the other
layers are copied from the learned shallower model."
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, check_choice

from .blocks import BasicBlock, Bottleneck
from .build import Network, build
from .normalization import GroupedBatchNorm2d, freeze_batch_norm
from .resnet import ResNet


def deepen(model: Network, *, stage: str | None = None, blocks: int = 1, calibrate: Tensor | None = None) -> ResNet:
    """Copy a network and append identity blocks to its stages; in eval mode the logits stay the same (paper Sec. 1).

    A residual block becomes the identity by F(x) = 0: its last batch-norm scale (without batch norm, its last
    convolution) is zero. A plain block becomes the identity by convolutions that copy their input. Both need inputs
    that are not negative, which the ReLU before every block ensures. Logits agree up to rounding, 1e-5 of the largest
    in float32. On a GPU set `torch.backends.cudnn.allow_tf32 = False`: otherwise cuDNN convolves with 10-bit mantissas.

    What is frozen in the network (see `freeze`) is frozen in the copy, and so are blocks added to a stage in which
    nothing trains.

    Args:
        model: A plain or residual network; not changed.
        stage: The stage to extend, "layer1" and so on; by default every stage.
        blocks: How many blocks to append to each stage.
        calibrate: Normalised images, float32 [n, channels, h, w], for identities that pass through batch norm: in a
            plain network and in the projections of option C. Without them these are identities in eval mode only; the
            images measure the signal for the norm's scale and shift, so that training continues from the same function.

    Returns:
        The deeper network, in the mode of `model`.

    Raises:
        UsageError: The network has no stages, consists of plain bottlenecks (the narrow layer cannot carry the whole
            input), or no longer has the layers of its spec (another head, or folded batch norm); the stage does not
            exist; `blocks` is less than 1; or the images have other channels, are too few or are not finite.
    """
    if not isinstance(model, ResNet):
        raise UsageError(f"{model.spec.label} has no stages to extend; deepen() takes plain and residual networks.")
    if blocks < 1:
        raise UsageError(f"blocks is {blocks}; allowed: 1 or more.")
    if stage is not None:
        check_choice("stage", stage, model.stage_names)
    if model.spec.is_plain and model.spec.block == "bottleneck":
        raise UsageError(
            f"{model.spec.label} cannot be deepened: a plain bottleneck squeezes {model.spec.expansion} n channels "
            "through n, so it cannot be an identity. Use a network of basic blocks, or the residual twin."
        )
    _check_layers(model)
    grown = _grow(model, stage, blocks)
    if calibrate is not None:
        _check_images(model, calibrate)
    signals = None if calibrate is None or model.spec.norm == "none" else _measure_signals(model, calibrate)
    for name, old in model.stages().items():
        for block in list(getattr(grown, name))[len(old) :]:
            _make_identity(block, None if signals is None else signals[name])
            if not any(parameter.requires_grad for parameter in old.parameters()):
                block.requires_grad_(False)
            if all(norm.is_frozen for norm in _norms(old)):
                freeze_batch_norm(block)
    return grown


def _grow(model: ResNet, stage: str | None, blocks: int) -> ResNet:
    """Build the deeper network with the shallower one's weights."""
    added = [blocks if stage in (None, name) else 0 for name in model.stage_names]
    sizes = tuple(old + new for old, new in zip(model.spec.num_blocks, added, strict=True))
    grown = build(
        replace(model.spec, num_blocks=sizes),
        bn_group_size=getattr(model.bn1, "bn_group_size", None),
        checkpoint_activations=model.checkpoint_activations,
    )
    assert isinstance(grown, ResNet)
    grown.load_state_dict(model.state_dict(), strict=False)
    weight = model.conv1.weight
    is_channels_last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    grown.to(device=weight.device, dtype=weight.dtype, memory_format=layout)  # type: ignore[call-overload]
    _normalize_alike(grown, model)
    _freeze_alike(grown, model)
    return grown.train(model.training)


def _check_layers(model: ResNet) -> None:
    """Check that a network has the layers of its spec, because the copy is built from the spec alone."""
    with torch.device("meta"):
        built = build(model.spec)
    for describe in (_types, _shapes):
        actual, expected = describe(model), describe(built)
        for name in [*actual, *expected]:
            if actual.get(name) != expected.get(name):
                raise UsageError(
                    f"{model.spec.label} no longer has the layers of its spec: {name} is "
                    f"{actual.get(name, 'missing')}, expected {expected.get(name, 'missing')}. Deepen the network "
                    "first, then change its layers."
                )


def _types(model: nn.Module) -> dict[str, str]:
    return {name: type(module).__name__ for name, module in model.named_modules() if name}


def _shapes(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def _normalize_alike(grown: ResNet, model: ResNet) -> None:
    """Copy batch norm's constants, which no state dict holds; added blocks take their stage's."""
    for name, stage in model.stages().items():
        for block in list(getattr(grown, name))[len(stage) :]:
            for norm in _norms(block):
                _copy_constants(norm, _norms(stage)[0])
    for name, norm in model.named_modules():
        if isinstance(norm, GroupedBatchNorm2d):
            _copy_constants(grown.get_submodule(name), norm)


def _copy_constants(norm: nn.Module, other: GroupedBatchNorm2d) -> None:
    assert isinstance(norm, GroupedBatchNorm2d)
    norm.eps, norm.momentum = other.eps, other.momentum


def _freeze_alike(grown: ResNet, model: ResNet) -> None:
    """Freeze in the deeper network what is frozen in the shallower one."""
    trained = dict(grown.named_parameters())
    for name, parameter in model.named_parameters():
        trained[name].requires_grad_(parameter.requires_grad)
    for name, module in model.named_modules():
        if isinstance(module, GroupedBatchNorm2d) and module.is_frozen:
            freeze_batch_norm(grown.get_submodule(name))


def _norms(module: nn.Module) -> list[GroupedBatchNorm2d]:
    return [norm for norm in module.modules() if isinstance(norm, GroupedBatchNorm2d)]


def _check_images(model: ResNet, images: Tensor) -> None:
    channels = model.spec.in_channels
    if images.dim() != 4 or images.shape[1] != channels or not len(images):
        raise UsageError(
            f"calibrate has shape {list(images.shape)}; allowed: normalised images [n, {channels}, h, w], one or more."
        )
    if not images.isfinite().all():
        raise UsageError("calibrate contains values that are not finite; allowed: normalised images.")


@torch.no_grad()
def _make_identity(block: nn.Module, signal: tuple[Tensor, Tensor] | None) -> None:
    assert isinstance(block, BasicBlock | Bottleneck)
    last = (block.conv2, block.bn2) if isinstance(block, BasicBlock) else (block.conv3, block.bn3)
    if block.is_plain:
        for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
            _copy_input(conv, norm, signal)
        return
    if isinstance(last[1], nn.BatchNorm2d):
        nn.init.zeros_(last[1].weight)
        nn.init.zeros_(last[1].bias)
    else:
        nn.init.zeros_(last[0].weight)
        nn.init.zeros_(last[0].bias)  # type: ignore[arg-type]
    if isinstance(block.downsample, nn.Sequential):
        projection, norm = block.downsample
        _copy_input(projection, norm, signal)  # type: ignore[arg-type]


def _copy_input(conv: nn.Conv2d, norm: nn.Module, signal: tuple[Tensor, Tensor] | None) -> None:
    """Make `norm(conv(x))` return x: a Dirac convolution, and the scale and shift that undo the normalisation."""
    nn.init.dirac_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    if not isinstance(norm, nn.BatchNorm2d):
        return
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if signal is not None:
        norm.running_mean.copy_(signal[0])
        norm.running_var.copy_(signal[1])
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean)


@torch.no_grad()
def _measure_signals(model: ResNet, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and variance per channel of each stage's output, with batch norm as in training."""
    # training mode moves running statistics, so a copy runs; a new one has no hooks and no compiled code
    copy = _grow(model, None, 0)
    weight = model.conv1.weight
    outputs = copy.eval().forward_features(images[:1].to(weight))
    if any(len(images) * outputs[name][0, 0].numel() < 2 for name in model.stage_names):
        raise UsageError(
            f"calibrate has shape {list(images.shape)}, which leaves one value per channel and no variance; "
            "give more images."
        )
    features = copy.train().forward_features(images.to(weight))
    return {name: (features[name].mean((0, 2, 3)), features[name].var((0, 2, 3))) for name in model.stage_names}
