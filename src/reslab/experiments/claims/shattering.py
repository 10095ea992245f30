"""Beyond the paper: gradients of deep plain nets look like white noise (Balduzzi et al. 2017)."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.input_gradients import cosines, image_noise, input_gradients
from reslab.builders import build_preprocess, build_splits
from reslab.data.stream import Batch
from reslab.data.views import batches
from reslab.experiments.arms import kind_in_words, make_arm, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, ResultTable, SingleMeasurement
from reslab.experiments.figures import GREY, draw_means, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import paired_difference, spread
from reslab.experiments.verdict import Verdict, decide
from reslab.models import Network, build
from reslab.report.figures.style import COLORS

_NETS = (("plain", 20), ("plain", 56), ("resnet", 20), ("resnet", 56), ("resnet", 110))
_DEEP = 56  # the depth that is judged
_NOISES = (0.2, 0.6, 2.0, 6.0, 20.0)  # % of each image's standard deviation
_JUDGED = _NOISES.index(2.0)
_NOISY, _SMOOTH = 0.05, 0.2  # cosines: at most the first in plain nets, above the second in residual ones
_IMAGES = 128
_SEEDS = 5


@dataclass(frozen=True, slots=True)
class NetworkCosines:
    """How alike an untrained network's input gradients are at images and at the same images plus noise.

    Attributes:
        kind: "plain" or "resnet".
        depth: Weighted layers.
        seed: Seed of the weights and of the noise.
        cosines: The mean over the images at each level of noise, in ascending order.
    """

    kind: str
    depth: int
    seed: int
    cosines: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shattering:
    """The cosines of all networks; `noises` are the levels in % of each image's standard deviation."""

    noises: tuple[float, ...]
    rows: tuple[NetworkCosines, ...]

    def of(self, kind: str, depth: int) -> list[NetworkCosines]:
        """Return a network's rows, by seed."""
        return [row for row in self.rows if (row.kind, row.depth) == (kind, depth)]


ShatteringEvidence = Evidence[None, Shattering]


def gradient_cosines(model: Network, batch: Batch, noises: Sequence[float], seed: int) -> tuple[float, ...]:
    """Compute the mean cosine between input gradients at a batch and at the same batch plus noise.

    All images of the batch get noise at once, of the same draw at every level. Batch norm is in training mode: each
    of the two batches is normalised by its own statistics, which couple its images.

    Args:
        model: The network; not changed.
        batch: Normalised images with their labels.
        noises: Levels of noise, in % of each image's standard deviation.
        seed: Seed of the noise.

    Returns:
        The mean over the images for each level, rounded to five significant digits.
    """
    noise = image_noise(batch.images, torch.Generator().manual_seed(seed))
    clean = input_gradients(model, batch.images, batch.labels)
    noisy = (input_gradients(model, batch.images + level / 100 * noise, batch.labels) for level in noises)
    return tuple(float(f"{cosines(clean, gradients).mean().item():.5g}") for gradients in noisy)


def _measure(bench: Bench) -> Shattering:
    data = make_arm(bench.size, *_NETS[0]).at(bench.data).config.data
    train = build_splits(data).train
    batch = next(iter(batches(train, build_preprocess(data, train), batch_size=_IMAGES, device=bench.device)))
    rows = []
    for seed, (kind, depth) in product(range(_SEEDS), _NETS):
        spec = replace(make_arm(bench.size, kind, depth).config.model, num_classes=len(train.class_names))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(spec).to(bench.device)
        rows.append(NetworkCosines(kind, depth, seed, gradient_cosines(model, batch, _NOISES, seed)))
    return Shattering(_NOISES, tuple(rows))


def _judged(evidence: ShatteringEvidence, kind: str, depth: int) -> list[float]:
    """The cosines at the noise that is judged, by seed."""
    return [row.cosines[_JUDGED] for row in evidence.next_to_runs.of(kind, depth)]


def _judge_kind(evidence: ShatteringEvidence, kind: str, side: Literal["above", "below"], threshold: float) -> Verdict:
    found = {net: _judged(evidence, *net) for net in _NETS if net[0] == kind}
    values, name = found[kind, _DEEP], net_name(kind, _DEEP)
    mean = paired_difference(values, [0.0] * len(values))  # Student's t of one sample
    others = ", ".join(f"{spread(seen, 3)} in {net_name(*net)}" for net, seen in found.items() if net[1] != _DEEP)
    sentence = (
        f"At images {_NOISES[_JUDGED]:g} % of noise apart the cosine of the input gradients is {spread(values, 3)} in "
        f"{name} (95 % interval {mean.low:.3f} to {mean.high:.3f}); it is {others}."
    )
    estimate = Estimate(what=f"cosine in {name}", difference=mean, side=side, threshold=threshold, unit="")
    return decide(sentence, estimate, part=f"{kind_in_words(kind)} nets")


def _judge(evidence: ShatteringEvidence) -> tuple[Verdict, ...]:
    return (_judge_kind(evidence, "plain", "below", _NOISY), _judge_kind(evidence, "resnet", "above", _SMOOTH))


def _table(evidence: ShatteringEvidence) -> ResultTable:
    rows = []
    for net in _NETS:
        networks = evidence.next_to_runs.of(*net)
        levels = zip(*(network.cosines for network in networks), strict=True)
        rows.append((net_name(*net), str(len(networks)), *(spread(values, 3) for values in levels)))
    levels = (f"cosine at {level:g} % of noise" for level in evidence.next_to_runs.noises)
    return ResultTable(("network", "seeds", *levels), tuple(rows))


def _draw(evidence: ShatteringEvidence) -> Figure:
    noises = evidence.next_to_runs.noises

    def draw_on(panels: Sequence[Axes]) -> None:
        for place, (color, net) in enumerate(zip(COLORS, _NETS, strict=False)):
            networks = evidence.next_to_runs.of(*net)
            label = f"{net_name(*net)} ({len(networks)} seeds)"
            values = _judged(evidence, *net)
            panels[0].plot([place] * len(values), values, "o", color=color, ms=5, alpha=0.7)
            panels[0].plot([place - 0.25, place + 0.25], [statistics.mean(values)] * 2, color=color, lw=2)
            levels = list(zip(*(network.cosines for network in networks), strict=True))
            draw_means(panels[1], noises, levels, color=color, label=label)
        panels[0].set_xticks(range(len(_NETS)), [net_name(*net).replace("-", "-\n") for net in _NETS])
        panels[0].set_title(f"at {noises[_JUDGED]:g} % of noise", fontsize=10)
        panels[0].axhline(_NOISY, color=GREY, lw=1, linestyle=":", label=f"claim: plain-{_DEEP} below {_NOISY:g}")
        panels[0].axhline(_SMOOTH, color=GREY, lw=1, linestyle="--", label=f"claim: ResNet-{_DEEP} above {_SMOOTH:g}")
        panels[0].grid(axis="x", visible=False)
        panels[1].set_xscale("log")
        panels[1].set_xticks(noises, [f"{level:g}" for level in noises])
        panels[1].minorticks_off()
        panels[1].set_xlabel("noise (% of the image's standard deviation)")
        panels[1].set_title("by noise", fontsize=10)
        for axes in panels:
            axes.set_ylim(-0.05, 1.05)
            axes.set_ylabel("cosine of input gradients")
            axes.legend(fontsize=9)

    return make_figure(draw_on, 2, height=4.2)


EXPERIMENT = Experiment(
    name="shattering",
    title="Gradients of deep plain nets look like white noise (beyond the paper)",
    claim="The deeper a plain net, the less have its gradients at two neighbouring images in common, until they look "
    "like white noise; shortcuts keep them alike (Balduzzi et al. 2017; not in the paper).",
    source="beyond the paper: Balduzzi et al. 2017",
    paper=(
        ("correlation of gradients in plain nets (Balduzzi et al., abstract)", "decays exponentially with depth"),
        ("correlation of gradients with shortcuts (Balduzzi et al., abstract)", "decays sublinearly"),
    ),
    rule="The rule judges, at initialisation, the cosine between the gradients of the loss with respect to an image "
    f"and to the same image plus Gaussian noise of {_NOISES[_JUDGED]:g} % of that image's standard deviation, averaged "
    f"over {_IMAGES} training images and then over {_SEEDS} seeds. Plain nets: reproduced if it is at most {_NOISY:g} "
    f"in plain-{_DEEP} (upper end of the 95 % interval, Student's t over the seeds); not reproduced if it is above "
    f"(lower end). Residual nets: reproduced if it is above {_SMOOTH:g} in ResNet-{_DEEP} (lower end); not reproduced "
    "if it is below (upper end). Batch norm is in training mode, and its statistics couple the images: all images of "
    "the batch get noise at once, each of the two batches is normalised by its own statistics, and the loss is the "
    "mean over the batch, so that an image's gradient includes what it does to the others through the statistics. "
    "When the thresholds were set, cosines of such networks were known.",
    rule_after_data=frozenset(("digits", "small", "paper")),
    is_beyond=True,
    caption="Cosine between the loss's gradients at an image and at the same image plus noise, untrained networks with "
    f"batch norm in training mode, mean over {_IMAGES} training images; dots are seeds 0 to {_SEEDS - 1}, lines and "
    f"bars their means. Left: at the noise that is judged. Right: from {_NOISES[0]:g} to {_NOISES[-1]:g} %.",
    once=SingleMeasurement(Shattering, _measure),
    judge=_judge,
    table=_table,
    draw=_draw,
)
