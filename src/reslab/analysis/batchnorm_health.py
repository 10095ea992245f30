"""Whether a network's batch norms do their work: channels that say nothing, running statistics of something else."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.models.blocks import BasicBlock, Bottleneck
from reslab.models.build import Network
from reslab.models.hooks import recorded_outputs
from reslab.models.resnet import ResNet

from .signals import in_mode, parts

LARGEST_SHIFT = 0.5  # standard deviations between running mean and mean, for the median channel of a sound layer
LARGEST_RATIO = 1.0  # powers of two between running variance and variance: a factor of 2
SILENT = 1e-3  # of the median channel's deviation
ROUNDING = 1e-6  # a deviation that is lost in float32 when it is added to numbers of about 1
_AT_ONCE = 2**22  # numbers that are copied to float64 together

CRITERIA = (
    "Healthy is a batch norm whose numbers are all finite, without dead channels, whose running mean is at most "
    f"{LARGEST_SHIFT:g} standard deviations from the mean of the images, and whose running variance is within a factor "
    f"of {2**LARGEST_RATIO:g} of theirs (median channel of the layer; in training mode, so that no layer suffers from "
    "those before it). A channel is dead that says nothing of any of the images: in front of a ReLU, if it is 0 "
    "behind it everywhere; in front of an addition, if its standard deviation is at most "
    f"1/{1 / SILENT:g} of the layer's median channel's, or at most 1/{1 / ROUNDING:,.0f}. Other images may wake it."
)


@dataclass(frozen=True, slots=True)
class BatchNormHealth:
    """One batch norm, judged on some images. Channels are counted from 0.

    has_relu: whether a ReLU comes next; after the others (the last one of a residual block, and a projection's) comes
        the addition.
    dead: channels that say nothing of any image. Before a ReLU: those that are 0 behind it everywhere. Before an
        addition: those whose standard deviation is at most 1/1000 of the layer's median channel's, or at most 1e-6.
    mean_shift: median over channels of |running mean - mean| / standard deviation.
    variance_ratio: median over channels of log2(running variance / variance); variances as batch norm takes them, with
        its epsilon.
    smallest_scale, median_scale: of |gamma| over the channels.
    not_finite: which of the layer's tensors hold a number that is not finite: "weight", "running_var", ...

    NaN stands where nothing could be measured: the layer, or one before it, holds or makes numbers that are not finite.
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
        """Whether the running statistics are not those of the images: another mean, or another variance."""
        return self.mean_shift > LARGEST_SHIFT or abs(self.variance_ratio) > LARGEST_RATIO

    @property
    def is_healthy(self) -> bool:
        return self.is_measured and not (self.is_far or self.dead or self.not_finite)

    @property
    def is_measured(self) -> bool:
        return math.isfinite(self.mean_shift) and math.isfinite(self.variance_ratio)


def batchnorm_health(model: Network, images: Tensor) -> tuple[BatchNormHealth, ...]:
    """Judge every batch norm of a network by some images, in the order of its modules; nothing for one without any.

    images: float32 [n, channels, h, w], normalised, at least 2, of all classes; a hundred or more tell rare channels
    from dead ones. They go through the network twice, in parts of about a megapixel: in eval mode for dead channels,
    and in training mode for the statistics, so that one bad layer does not make those behind it look bad. Statistics
    are averaged over the parts, as running statistics are over batches. The network is left as it was.

    Raises UsageError for less than 2 images.
    """
    if len(images) < 2:
        raise UsageError(f"batch norm needs at least 2 images to be judged by; {len(images)} were given.")
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    before_relu = _before_relu(model)
    largest: dict[str, Tensor] = {}
    spreads = {name: _Moments() for name in norms}
    batches = {name: _Moments() for name in norms}

    def note_output(name: str, value: Tensor) -> None:
        peak = value.amax((0, 2, 3))
        largest[name] = torch.maximum(largest[name], peak) if name in largest else peak
        spreads[name].add(value)

    with torch.no_grad():
        with recorded_outputs(norms, lambda name, given, output: note_output(name, output)):
            _run(model, images, training=False)
        with recorded_outputs(norms, lambda name, given, output: batches[name].add(given)):
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
    """Means and variances of each channel, over all that was added, and averaged over the parts; in float64."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Tensor, Tensor]] = []

    def add(self, values: Tensor) -> None:
        """values: [n, channels, h, w]"""
        total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
        squares = torch.zeros_like(total)
        for some in values.split(max(1, _AT_ONCE // values[0].numel())):
            doubled = some.double()
            total += doubled.sum((0, 2, 3))
            squares += doubled.square_().sum((0, 2, 3))
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
    """largest: of each channel's outputs where a ReLU comes next; None where there is none."""
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
    """The batch norms whose output goes through a ReLU as it is: all but those in front of an addition."""
    found: set[nn.Module] = {model.bn1} if isinstance(model, ResNet) else set()
    for block in model.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
            found |= {norm for norm in (block.bn1, block.bn2, last) if norm is not last or block.is_plain}
    return found


def health_in_words(layers: Sequence[BatchNormHealth]) -> str:
    """Return one sentence about batch norms, at least one: all are healthy, or what is wrong with which."""
    wrong = [
        _named("numbers that are not finite", [one for one in layers if one.not_finite], _tensors),
        _named("what comes in is not finite", [one for one in layers if not one.is_measured and not one.not_finite]),
        _named("running statistics far from those of the images", [one for one in layers if one.is_far], _distance),
        _named("dead channels", [one for one in layers if one.dead], _dead),
    ]
    found = [words for words in wrong if words]
    if found:
        healthy = sum(one.is_healthy for one in layers)
        return f"Of {len(layers)} batch-norm layers {healthy} are healthy; " + "; ".join(found) + "."
    largest = max(one.mean_shift for one in layers)
    factor = 2 ** max(abs(one.variance_ratio) for one in layers)
    return (
        f"All {len(layers)} batch-norm layers are healthy: no dead channel; running means within {largest:.2f} "
        f"standard deviations of the images' and running variances within a factor of {factor:.2f} (median channel of "
        "each layer)."
    )


def _named(what: str, layers: Sequence[BatchNormHealth], detail: Callable[[BatchNormHealth], str] | None = None) -> str:
    names = [f"{one.layer}: {detail(one)}" if detail else one.layer for one in layers[:3]]
    more = f", and {len(layers) - 3} more" if len(layers) > 3 else ""
    return f"{what} in {len(layers)} ({', '.join(names)}{more})" if layers else ""


def _tensors(one: BatchNormHealth) -> str:
    return " and ".join(one.not_finite)


def _distance(one: BatchNormHealth) -> str:
    mean = f"mean by {one.mean_shift:.3g} standard deviations" if one.mean_shift > LARGEST_SHIFT else ""
    is_far = abs(one.variance_ratio) > LARGEST_RATIO
    variance = f"variance {2**one.variance_ratio:.3g} times theirs" if is_far else ""
    return " and ".join(filter(None, (mean, variance)))


def _dead(one: BatchNormHealth) -> str:
    return f"{len(one.dead)} of {one.num_channels}"
