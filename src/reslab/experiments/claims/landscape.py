"""Beyond the paper: the loss around a residual net is smoother than around its plain twin (Li et al. 2018)."""

import math
import statistics
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.data.views import batches
from reslab.experiments.arms import NET_KINDS, Arm, Size, kind_in_words, make_arm, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, NetworkMeasurement, ResultTable
from reslab.experiments.figures import make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import difference, spread
from reslab.experiments.verdict import Verdict, decide
from reslab.models import Network
from reslab.runs.session import read_config

Surface = tuple[tuple[float, ...], ...]  # the loss on a grid, row by row
Surfaces = tuple[Surface, ...]  # one for each pair of directions

_DEPTH = 32  # the deepest that plain nets still fit the digits with
_PAIRS = 5  # of directions
_SIDE = {"digits": 17, "small": 15, "paper": 31}  # points along each direction, -1 to 1
_IMAGES = {"digits": 500, "small": 256, "paper": 1000}
_ALIKE = 0.5  # nats between the centres: around a badly trained net the loss is flat, because there is nothing to lose
_RISE = 1.0  # nats above the centre: the basin that the table shows
_HIGHEST = 11.0  # nats: a loss above it counts and is drawn as this
_LARGEST = 1e6  # what is written for a loss above it, or for none: far from the centre a plain net's logits overflow


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(make_arm(size, kind, _DEPTH) for kind in NET_KINDS)


def random_direction(model: Network, generator: torch.Generator) -> dict[str, Tensor]:
    """Return a random direction with every filter scaled to the norm of the model's; norms and biases stay at 0."""
    direction = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            direction[name] = torch.zeros_like(parameter)
            continue
        drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
        filters, own = drawn.flatten(1), parameter.detach().flatten(1)
        scale = own.norm(dim=1) / filters.norm(dim=1).clamp_min(1e-12)
        direction[name] = drawn * scale.view(-1, *[1] * (parameter.dim() - 1))
    return direction


@torch.no_grad()
def loss_surface(model: Network, images: Tensor, labels: Tensor, side: int, seed: int = 0) -> Surface:
    """Return the loss on a grid of side x side points along two filter-normalised directions, each from -1 to 1.

    Li, Xu, Taylor, Studer, Goldstein 2018, "Visualizing the Loss Landscape of Neural Nets", Sec. 4; eval mode.

    Args:
        model: The network whose weights are the centre; they are restored afterwards.
        images: (N, C, H, W), as the model takes them.
        labels: (N,) class numbers.
        side: Points along each direction.
        seed: Seed of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (random_direction(model, generator) for _ in range(2))
    centre = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    places = torch.linspace(-1, 1, side).tolist()
    model.eval()
    rows = []
    for y in places:
        row = []
        for x in places:
            for name, parameter in model.named_parameters():
                parameter.copy_(centre[name] + x * first[name] + y * second[name])
            row.append(_mean_loss(model, images, labels))
        rows.append(tuple(row))
    for name, parameter in model.named_parameters():
        parameter.copy_(centre[name])
    return tuple(rows)


def _mean_loss(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    loss = F.cross_entropy(model(images).double(), labels).item()
    return float(f"{min(loss, _LARGEST):.5g}") if math.isfinite(loss) else _LARGEST


def _measure(folder: RunFolder, bench: Bench) -> Surfaces:
    file, config = load_model(folder.model_path), read_config(folder)
    train = bench.data_of(folder).train
    views = batches(train, file.card.preprocess, batch_size=_IMAGES[bench.size], device=bench.device)
    batch, model, side = next(iter(views)), file.model.to(bench.device), _SIDE[bench.size]
    seeds = range(_PAIRS * config.seed, _PAIRS * (config.seed + 1))
    return tuple(loss_surface(model, batch.images, batch.labels, side, seed) for seed in seeds)


def _grid(size: Size) -> str:
    """In words: "17 x 17"."""
    return f"{_SIDE[size]} x {_SIDE[size]}"


def _height(surfaces: Surfaces) -> float:
    """The mean height of the loss above the centre, over all points of all pairs of directions."""
    heights = [min(loss, _HIGHEST) - _centre(surface) for surface in surfaces for row in surface for loss in row]
    return statistics.mean(heights)


def _basin(surfaces: Surfaces) -> float:
    """The share of all points whose loss is at most `_RISE` above the centre's."""
    near = [loss <= _centre(surface) + _RISE for surface in surfaces for row in surface for loss in row]
    return sum(near) / len(near)


def _centre(surface: Surface) -> float:
    """The loss at the trained weights."""
    middle = len(surface) // 2
    return surface[middle][middle]


def _surfaces(evidence: Evidence[Surfaces, None], kind: str) -> list[Surfaces]:
    return evidence.on_networks(make_arm(evidence.size, kind, _DEPTH).name)


def _judge(evidence: Evidence[Surfaces, None]) -> tuple[Verdict, ...]:
    plain, residual = ([_height(surfaces) for surfaces in _surfaces(evidence, kind)] for kind in NET_KINDS)
    centres = [_centre(surfaces[0]) for kind in NET_KINDS for surfaces in _surfaces(evidence, kind)]
    apart = max(centres) - min(centres)
    higher = difference(plain, residual)
    sentence = (
        f"The loss is on average {spread(plain)} nats above its centre around plain-{_DEPTH} and {spread(residual)} "
        f"around ResNet-{_DEPTH}, a difference of {higher.in_words('nats')}; the losses at the centres are up to "
        f"{apart:.2f} nats apart."
    )
    estimate = Estimate(
        what=f"height around plain-{_DEPTH} minus ResNet-{_DEPTH}", difference=higher, side="above", unit="nats"
    )
    if apart > _ALIKE:
        reason = f"Networks whose losses differ by more than {_ALIKE:g} nats cannot be compared."
        return (Verdict(outcome="not testable", sentence=f"{sentence} {reason}", estimates=(estimate,)),)
    return (decide(sentence, estimate),)


def _table(evidence: Evidence[Surfaces, None]) -> ResultTable:
    rows = []
    for kind in NET_KINDS:
        for seed, surfaces in enumerate(_surfaces(evidence, kind), start=evidence.document.first_seed):
            worst = max(loss for surface in surfaces for row in surface for loss in row)
            basin = f"{100 * _basin(surfaces):.0f}"
            numbers = (f"{_centre(surfaces[0]):.3f}", f"{_height(surfaces):.2f}", basin, f"{worst:.3g}")
            rows.append((net_name(kind, _DEPTH), str(seed), *numbers))
    within = f"within {_RISE:g} nat of it (% of the squares)"
    columns = ("network", "seed", "loss at the centre", "mean height above it", within, "largest loss")
    return ResultTable(columns, tuple(rows))


def _draw(evidence: Evidence[Surfaces, None]) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        places = torch.linspace(-1, 1, len(_surfaces(evidence, NET_KINDS[0])[0][0])).tolist()
        for axes, kind in zip(panels, NET_KINDS, strict=True):
            surface = _surfaces(evidence, kind)[0][0]
            heights = [[min(loss, _HIGHEST) for loss in row] for row in surface]
            levels = [0.05, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 2.5, 3, 4, 6, 8, 10]
            filled = axes.contourf(places, places, heights, levels=[0, *levels], cmap="viridis", extend="max")
            axes.contour(places, places, heights, levels=levels, colors="white", linewidths=0.5)
            axes.plot(0, 0, "+", color="white", ms=8)
            axes.set_aspect("equal")
            axes.set_xlabel("first direction")
            axes.set_xticks([-1, -0.5, 0, 0.5, 1])
            axes.set_yticks([-1, -0.5, 0, 0.5, 1])
            axes.set_title(f"{kind_in_words(kind)}, {_DEPTH} layers")
            axes.grid(visible=False)
        panels[0].set_ylabel("second direction")
        panels[1].figure.colorbar(filled, ax=list(panels), label="loss", shrink=0.85)

    return make_figure(draw_on, 2, height=4.2)


EXPERIMENT = Experiment(
    name="landscape",
    title="Residual loss surfaces are smoother (beyond the paper)",
    claim="Shortcuts keep the loss around the trained weights smooth and nearly convex, where a plain net of the same "
    "depth has steep walls (Li et al. 2018; not in the paper).",
    source="beyond the paper: Li et al. 2018",
    paper=(("loss surfaces of 56 layers with and without shortcuts (Li et al., Fig. 1)", "smooth against chaotic"),),
    rule="Reproduced if the loss is on average higher above the trained weights' around the plain net than around the "
    f"residual one (95 % interval of Welch's t over the seeds above 0), over {_PAIRS} pairs of directions; not "
    f"reproduced if it is lower. A loss above {_HIGHEST:g} nats counts as {_HIGHEST:g}. Not testable if the losses at "
    f"the centres of any two nets differ by more than {_ALIKE:g} nats: around a badly trained net the loss is flat "
    "without being smooth. The rule judges how steeply the loss rises, which is one side of the claim; whether it is "
    "smooth and convex, only the figure shows.",
    seeds=lambda size: 5,
    is_beyond=True,
    caption="Training loss around the trained weights of the first seed, along two random filter-normalised "
    f"directions, on {_grid('digits')} points ({_grid('small')} at small, {_grid('paper')} at paper); the square goes "
    "from -1 to 1, one filter's norm. It is the mean over the first training images: "
    f"{_IMAGES['digits']} digits; of CIFAR-10 {_IMAGES['small']}, and {_IMAGES['paper']:,} at the size paper. "
    f"Losses above 10 are drawn alike; in the table, one above {_LARGEST:.0e} or without a finite value stands as "
    f"{_LARGEST:.0e}.",
    arms=_arms,
    networks=NetworkMeasurement(
        form=Surfaces,
        measure=_measure,
        constants=lambda size: {"images": _IMAGES[size], "side": _SIDE[size]},
    ),
    judge=_judge,
    table=_table,
    draw=_draw,
)
