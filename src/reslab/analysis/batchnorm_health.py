"""The health of batch norms: dead channels, and running statistics that do not match the images."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, first_few
from reslab.models.blocks import BasicBlock, Bottleneck
from reslab.models.build import Network
from reslab.models.hooks import recorded_outputs
from reslab.models.resnet import ResNet

from .signals import in_mode, parts

LARGEST_SHIFT = 0.5  # standard deviations between running mean and mean, for the median channel of a healthy layer
LARGEST_RATIO = 1.0  # powers of two between running variance and variance: a factor of 2
SILENT = 1e-3  # relative to the median channel's deviation
ROUNDING = 1e-6  # a deviation that float32 loses when it is added to numbers of about 1
_AT_ONCE = 2**22  # numbers that are copied to float64 together

CRITERIA = (
    "A batch norm is healthy if all its numbers are finite, no channel is dead, its running mean is at most "
    f"{LARGEST_SHIFT:g} standard deviations from the mean of the images, and its running variance is within a factor "
    f"of {2**LARGEST_RATIO:g} of theirs (median channel of the layer; in training mode, so that no layer suffers from "
    "those before it). A dead channel gives the same output for all of the images. Before a ReLU, it is 0 after the "
    "ReLU everywhere. Before an addition, its standard deviation is at most "
    f"1/{1 / SILENT:g} of the layer's median channel's, or at most 1/{1 / ROUNDING:,.0f}. Other images may activate it."
)


@dataclass(frozen=True, slots=True)
class BatchNormHealth:
    """The health of one batch norm, measured on some images.

    Numbers are NaN where nothing could be measured, because the layer or one before it has numbers that are not finite.

    Attributes:
        layer: The layer's name.
        num_channels: Its channels.
        has_relu: Whether a ReLU comes next; otherwise (the last batch norm of a residual block, and a projection's)
            the addition does.
        dead: Channels, from 0, that give the same output for all images. Before a ReLU: 0 after it everywhere. Before
            an addition: a standard deviation of at most 1/1000 of the layer's median channel's, or at most 1e-6.
        mean_shift: Median over channels of |running mean - mean| / standard deviation.
        variance_ratio: Median over channels of log2(running variance / variance), both with batch norm's epsilon.
        smallest_scale: Smallest |gamma| of the channels.
        median_scale: Median |gamma| of the channels.
        not_finite: The layer's tensors with a number that is not finite, such as "weight" or "running_var".
    """

    layer: str
    num_channels: int
    has_relu: bool
    dead: tuple[int, ...]
    mean_shift: float
    variance_ratio: float
    smallest_scale: float
    median_scale: float
    not_finite: tuple[str, ...]

    @property
    def is_far(self) -> bool:
        """Whether the running mean or variance is far from that of the images."""
        return self.mean_shift > LARGEST_SHIFT or abs(self.variance_ratio) > LARGEST_RATIO

    @property
    def is_healthy(self) -> bool:
        """Whether the layer meets all criteria (`CRITERIA`)."""
        return self.is_measured and not (self.is_far or self.dead or self.not_finite)

    @property
    def is_measured(self) -> bool:
        """Whether the shift and the ratio are finite."""
        return math.isfinite(self.mean_shift) and math.isfinite(self.variance_ratio)


def judge_batch_norms(model: Network, images: Tensor) -> tuple[BatchNormHealth, ...]:
    """Measure the health of every batch norm on some images.

    The images pass through the network twice, in parts of about a megapixel: in eval mode to find dead channels, and in
    training mode for the statistics, so that one bad layer does not make later ones look bad. Statistics are averaged
    over the parts, as running statistics are over batches. The network does not change.

    Args:
        model: The network.
        images: float32 [n, channels, h, w], normalised, of all classes. At least 2; a hundred or more distinguish rare
            channels from dead ones.

    Returns:
        The health of each batch norm, in the order of the modules; empty for a network without any.

    Raises:
        UsageError: There are fewer than 2 images.
    """
    if len(images) < 2:
        raise UsageError(f"judging batch norm needs at least 2 images, not {len(images)}.")
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    before_relu = _before_relu(model)
    largest: dict[str, Tensor] = {}
    spreads = {name: _Moments() for name in norms}
    batches = {name: _Moments() for name in norms}

    def record_output(name: str, _: Tensor, output: Tensor) -> None:
        peak = output.amax((0, 2, 3))
        largest[name] = torch.maximum(largest[name], peak) if name in largest else peak
        spreads[name].add(output)

    with torch.no_grad():
        with recorded_outputs(norms, record_output):
            _run(model, images, training=False)
        with recorded_outputs(norms, lambda name, inputs, _: batches[name].add(inputs)):
            _run(model, images, training=True)
        return tuple(
            _judged(name, norm, largest[name] if norm in before_relu else None, spreads[name], batches[name])
            for name, norm in norms.items()
        )


def _run(model: Network, images: Tensor, *, training: bool) -> None:
    with in_mode(model, training=training):
        for part in parts(images):
            model(part)


class _Moments:
    """Means and variances of each channel in float64, over everything added or averaged over the parts."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Tensor, Tensor]] = []

    def add(self, values: Tensor) -> None:
        """Add a part, [n, channels, h, w]."""
        total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
        squares = torch.zeros_like(total)
        for chunk in values.split(max(1, _AT_ONCE // values[0].numel())):
            doubles = chunk.double()
            total += doubles.sum((0, 2, 3))
            squares += doubles.square_().sum((0, 2, 3))
        count = values.numel() // values.shape[1]
        mean = total / count
        self._parts.append((count, mean, (squares / count - mean.square()).clamp(min=0)))

    def averaged(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the unbiased variance of each channel, averaged over the parts."""
        means = torch.stack([mean for _, mean, _ in self._parts])
        variances = torch.stack([variance * count / (count - 1) for count, _, variance in self._parts])
        return means.mean(0), variances.mean(0)

    def deviation(self) -> Tensor:
        """Return the standard deviation of each channel over everything."""
        counts = torch.tensor([count for count, _, _ in self._parts], dtype=torch.float64)
        weights = (counts / counts.sum()).to(self._parts[0][1].device)[:, None]
        means = torch.stack([mean for _, mean, _ in self._parts])
        within = torch.stack([variance for _, _, variance in self._parts])
        mean = (weights * means).sum(0)
        return (weights * (within + (means - mean).square())).sum(0).sqrt()


def _judged(
    name: str, norm: nn.BatchNorm2d, largest: Tensor | None, spread: _Moments, batch: _Moments
) -> BatchNormHealth:
    """Judge one batch norm; `largest` is each channel's largest output before a ReLU, None before an addition."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = batch.averaged()
    deviation = (variance + norm.eps).sqrt()
    shift = (norm.running_mean - mean).abs() / deviation
    ratio = torch.log2((norm.running_var.double() + norm.eps) / (variance + norm.eps))
    scales = norm.weight.double().abs()
    if largest is None:
        spreads = spread.deviation()
        silent = spreads <= max(SILENT * spreads.quantile(0.5).item(), ROUNDING)
    else:
        silent = largest <= 0
    tensors = {**dict(norm.named_parameters()), **dict(norm.named_buffers())}
    return BatchNormHealth(
        layer=name,
        num_channels=norm.num_features,
        has_relu=largest is not None,
        dead=tuple(torch.nonzero(silent).flatten().tolist()),
        mean_shift=shift.quantile(0.5).item(),
        variance_ratio=ratio.quantile(0.5).item(),
        smallest_scale=scales.min().item(),
        median_scale=scales.quantile(0.5).item(),
        not_finite=tuple(kind for kind, tensor in tensors.items() if not bool(tensor.isfinite().all())),
    )


def _before_relu(model: Network) -> set[nn.Module]:
    """Return the batch norms directly before a ReLU: all except those before an addition."""
    norms: set[nn.Module] = {model.bn1} if isinstance(model, ResNet) else set()
    for block in model.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
            norms |= {norm for norm in (block.bn1, block.bn2, last) if norm is not last or block.is_plain}
    return norms


def describe_health(layers: Sequence[BatchNormHealth]) -> str:
    """Describe the health of a network's batch norms in one sentence.

    Args:
        layers: The layers, at least one.

    Returns:
        That all are healthy, or which are not and why.
    """
    not_finite = [layer for layer in layers if layer.not_finite]
    not_measured = [layer for layer in layers if not layer.is_measured and not layer.not_finite]
    far = [layer for layer in layers if layer.is_far]
    dead = [layer for layer in layers if layer.dead]
    defects = [
        _describe("numbers that are not finite", not_finite, _tensors),
        _describe("inputs that are not finite", not_measured),
        _describe("running statistics far from those of the images", far, _distance),
        _describe("dead channels", dead, _dead),
    ]
    if any(defects):
        healthy = sum(layer.is_healthy for layer in layers)
        return f"Of {len(layers)} batch-norm layers {healthy} are healthy; {'; '.join(filter(None, defects))}."
    largest = max(layer.mean_shift for layer in layers)
    factor = 2 ** max(abs(layer.variance_ratio) for layer in layers)
    return (
        f"All {len(layers)} batch-norm layers are healthy: no dead channel; running means within {largest:.2f} "
        f"standard deviations of the images' and running variances within a factor of {factor:.2f} (median channel of "
        "each layer)."
    )


def _describe(
    defect: str, layers: Sequence[BatchNormHealth], detail: Callable[[BatchNormHealth], str] | None = None
) -> str:
    names = (f"{layer.layer}: {detail(layer)}" if detail else layer.layer for layer in layers)
    return f"{defect} in {len(layers)} ({first_few(names, 3)})" if layers else ""


def _tensors(layer: BatchNormHealth) -> str:
    return " and ".join(layer.not_finite)


def _distance(layer: BatchNormHealth) -> str:
    mean = f"mean by {layer.mean_shift:.3g} standard deviations" if layer.mean_shift > LARGEST_SHIFT else ""
    is_far = abs(layer.variance_ratio) > LARGEST_RATIO
    variance = f"variance {2**layer.variance_ratio:.3g} times theirs" if is_far else ""
    return " and ".join(filter(None, (mean, variance)))


def _dead(layer: BatchNormHealth) -> str:
    return f"{len(layer.dead)} of {layer.num_channels}"
