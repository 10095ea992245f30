"""Beyond the paper: the loss around a residual net is smoother than around its plain twin (Li et al. 2018)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.data.views import batches
from reslab.experiments.arms import KINDS, Arm, Size, arm, kind_in_words, net_name
from reslab.experiments.budget import budget_in_words
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, Table, Verdict
from reslab.experiments.figures import make_figure
from reslab.models import Network
from reslab.runs.session import read_config

DEPTH = 56
_SIDE = {"digits": 17, "small": 15, "paper": 31}  # points along each direction, -1 to 1
_IMAGES = {"digits": 500, "small": 256, "paper": 1000}
_RISE = 1.0  # nats above the centre: what still counts as the basin
_MORE = 1.5  # times the plain net's basin
_ALIKE = 0.5  # nats between the centres: around a badly trained net it is flat, because there is nothing to lose
_DRAWN = 11.0  # above the last level, so that it has the colour of the bar's arrow
_LARGEST = 1e6  # what is written for a loss above it, or for none: far from the centre a plain net's logits overflow


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(arm(size, kind, DEPTH) for kind in KINDS)


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
def loss_surface(model: Network, images: Tensor, labels: Tensor, side: int, seed: int = 0) -> list[list[float]]:
    """Return the loss on a grid of side x side points along two filter-normalised directions, each from -1 to 1.

    Li, Xu, Taylor, Studer, Goldstein 2018, "Visualizing the Loss Landscape of Neural Nets", Sec. 4; eval mode.
    """
    generator = torch.Generator().manual_seed(seed)
    one, other = (random_direction(model, generator) for _ in range(2))
    centre = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    places = torch.linspace(-1, 1, side).tolist()
    model.eval()
    rows = []
    for y in places:
        row = []
        for x in places:
            for name, parameter in model.named_parameters():
                parameter.copy_(centre[name] + x * one[name] + y * other[name])
            row.append(_mean_loss(model, images, labels))
        rows.append(row)
    for name, parameter in model.named_parameters():
        parameter.copy_(centre[name])
    return rows


def _mean_loss(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    loss = F.cross_entropy(model(images).double(), labels).item()
    return float(f"{min(loss, _LARGEST):.5g}") if math.isfinite(loss) else _LARGEST


def _surface(folder: RunFolder, bench: Bench) -> list[list[float]]:
    file, config = load_model(folder.model_path), read_config(folder)
    train = bench.data_of(folder).train
    views = batches(train, file.card.preprocess, batch_size=_IMAGES[bench.size], device=bench.device)
    batch = next(iter(views))
    return loss_surface(file.model.to(bench.device), batch.images, batch.labels, _SIDE[bench.size], config.seed)


def _basin(surface: list[list[float]]) -> float:
    """The part of the grid whose loss is at most 1 nat above the centre's."""
    middle = len(surface) // 2
    limit = surface[middle][middle] + _RISE
    return sum(loss <= limit for row in surface for loss in row) / len(surface) ** 2


def _surfaces(evidence: Evidence, kind: str) -> Sequence[list[list[float]]]:
    """What `_surface` found, one for each seed."""
    return evidence.found(arm(evidence.size, kind, DEPTH).name)


def _grid(size: Size) -> str:
    return f"{_SIDE[size]}x{_SIDE[size]}"


def _basins(evidence: Evidence, kind: str) -> list[float]:
    return [_basin(surface) for surface in _surfaces(evidence, kind)]


def _centres(evidence: Evidence, kind: str) -> list[float]:
    """The loss at the trained weights, one for each seed."""
    surfaces = _surfaces(evidence, kind)
    return [surface[len(surface) // 2][len(surface) // 2] for surface in surfaces]


def _judge(evidence: Evidence) -> Verdict:
    plain, residual = (_basins(evidence, kind) for kind in KINDS)
    ranges = [f"{100 * min(basins):.0f} to {100 * max(basins):.0f} %" for basins in (plain, residual)]
    centres = [centre for kind in KINDS for centre in _centres(evidence, kind)]
    apart = max(centres) - min(centres)
    sentence = (
        f"The loss stays within {_RISE:g} nat of the centre's on {ranges[1]} of the square around ResNet-{DEPTH} "
        f"and on {ranges[0]} around plain-{DEPTH}; the losses at the centres are up to {apart:.2f} nats apart."
        f"{budget_in_words(evidence)}"
    )
    if apart > _ALIKE or min(len(plain), len(residual)) < 2:
        return Verdict("inconclusive", sentence)
    if min(residual) > _MORE * max(plain):
        return Verdict("reproduced", sentence)
    return Verdict("not reproduced" if max(residual) < min(plain) else "inconclusive", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for kind in KINDS:
        surfaces = _surfaces(evidence, kind)
        for seed, (surface, basin, centre) in enumerate(
            zip(surfaces, _basins(evidence, kind), _centres(evidence, kind), strict=True)
        ):
            worst = max(loss for row in surface for loss in row)
            rows.append((net_name(kind, DEPTH), str(seed), f"{centre:.3f}", f"{100 * basin:.0f}", f"{worst:.3g}"))
    columns = ("network", "seed", "loss at the centre", f"within {_RISE:g} nat of it (% of the square)", "largest loss")
    return Table(columns, tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        places = torch.linspace(-1, 1, len(_surfaces(evidence, KINDS[0])[0])).tolist()
        for axes, kind in zip(panels, KINDS, strict=True):
            surface = _surfaces(evidence, kind)[0]
            heights = [[min(loss, _DRAWN) for loss in row] for row in surface]
            levels = [0.05, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 2.5, 3, 4, 6, 8, 10]
            filled = axes.contourf(places, places, heights, levels=[0, *levels], cmap="viridis", extend="max")
            axes.contour(places, places, heights, levels=levels, colors="white", linewidths=0.5)
            axes.plot(0, 0, "+", color="white", ms=8)
            axes.set_aspect("equal")
            axes.set_xlabel("first direction")
            axes.set_xticks([-1, -0.5, 0, 0.5, 1])
            axes.set_yticks([-1, -0.5, 0, 0.5, 1])
            axes.set_title(f"{kind_in_words(kind)}, {DEPTH} layers")
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
    rule=f"Reproduced if the part of the square on which the loss is within {_RISE:g} nat of the centre's is, in every "
    f"seed of the residual net, more than {_MORE:g} times that of any seed of the plain net; not reproduced if it is "
    "always smaller; otherwise inconclusive. Inconclusive, too, with one seed, or if the losses at the centres of any "
    f"two nets differ by more than {_ALIKE:g} nats: around a badly trained net it is flat without being smooth. Judged "
    "is how wide the basin is, one side of the claim; whether it is smooth and convex, the figure alone shows.",
    caption="Training loss around the trained weights of the first seed, along two random filter-normalised "
    f"directions, on {_grid('digits')} points ({_grid('small')} at small, {_grid('paper')} at paper); the square goes "
    "from -1 to 1, one filter's norm. It is the mean over the first training images: "
    f"{_IMAGES['digits']} digits; of CIFAR-10 {_IMAGES['small']}, and {_IMAGES['paper']:,} at the size paper. "
    f"Losses above 10 are drawn alike; in the table, one above {_LARGEST:.0e} or without a finite value stands as "
    f"{_LARGEST:.0e}.",
    arms=_arms,
    measure_run=_surface,
    how=lambda size: {"images": _IMAGES[size], "side": _SIDE[size]},
    judge=_judge,
    table=_table,
    draw=_draw,
)
