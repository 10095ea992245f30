"""What the networks cost: deep residual nets are cheaper than VGG (paper Table 1, Sec. 3.3 and 4.1)."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.complexity import measure_complexity
from reslab.analysis.paper_counts import TOLERANCE, check_counts
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, ResultTable, SingleMeasurement
from reslab.experiments.figures import GREY, make_figure
from reslab.experiments.verdict import Verdict
from reslab.models import Network, build
from reslab.report.figures.style import COLORS
from reslab.spec.families import model_spec

_NETS = ("vgg19", "vgg16", "plain34", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_SIZE = 224
_ROUNDS = 3
_BATCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """What a network costs.

    Attributes:
        name: The network's name.
        label: Its name in tables.
        parameters: Number of parameters.
        multiply_adds: Multiply-adds for one image.
        seconds_per_image: The median over the rounds.
    """

    name: str
    label: str
    parameters: int
    multiply_adds: int
    seconds_per_image: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """How many networks count as they should.

    Attributes:
        networks: How many networks were counted.
        exact: How many have exactly the counts of their formula.
        with_paper_figure: For how many the paper prints a figure.
        largest_deviation: Largest deviation from the paper's figures, as a share.
    """

    networks: int
    exact: int
    with_paper_figure: int
    largest_deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the networks cost, on which device and in batches of which size; and how exactly networks count."""

    device: str
    batch_size: int
    rows: tuple[NetworkCost, ...]
    conformance: Conformance

    def of(self, name: str) -> NetworkCost:
        """Return what a network costs."""
        return next(row for row in self.rows if row.name == name)


def _measure(bench: Bench) -> Costs:
    models = {name: build(model_spec(name)).eval().to(bench.device) for name in _NETS}
    images = torch.randn(_BATCH, 3, _SIZE, _SIZE, generator=torch.Generator().manual_seed(0)).to(bench.device)
    seconds: dict[str, list[float]] = {name: [] for name in _NETS}
    for round_number in range(_ROUNDS + 1):
        for name, model in models.items():
            taken = _time(model, images)
            if round_number:  # the first round warms up
                seconds[name].append(taken)
    rows = []
    for name in _NETS:
        cost = measure_complexity(model_spec(name))
        rows.append(
            NetworkCost(
                name=name,
                label=cost.spec.label,
                parameters=cost.parameters,
                multiply_adds=cost.multiply_adds,
                seconds_per_image=round(statistics.median(seconds[name]) / _BATCH, 5),
            )
        )
    outcomes = check_counts()
    deviations = [abs(count.paper_deviation) for count in outcomes if count.paper_deviation is not None]
    conformance = Conformance(
        networks=len(outcomes),
        exact=sum(count.is_exact for count in outcomes),
        with_paper_figure=len(deviations),
        largest_deviation=round(max(deviations), 4),
    )
    return Costs(device=bench.device.type, batch_size=_BATCH, rows=tuple(rows), conformance=conformance)


@torch.no_grad()
def _time(model: Network, images: torch.Tensor) -> float:
    start = time.perf_counter()
    model(images).sum().item()  # reads the answer, so that a GPU has finished
    return time.perf_counter() - start


def _judge(evidence: Evidence[None, Costs]) -> tuple[Verdict, ...]:
    costs = evidence.next_to_runs
    cost = {name: costs.of(name).multiply_adds for name in _NETS}
    share, with_projections = (cost[name] / cost["vgg19"] for name in ("plain34", "resnet34"))
    bottleneck = cost["resnet50"] / cost["resnet34"]
    conformance, deviation = costs.conformance, costs.conformance.largest_deviation
    sentence = (
        f"The plain net of 34 layers takes {100 * share:.1f} % of VGG-19's multiply-adds (with option B's projections "
        f"{100 * with_projections:.1f} %), 50 layers of bottlenecks {bottleneck:.2f} times those of ResNet-34, and 152 "
        f"layers {cost['resnet152'] / 1e9:.1f} G against VGG-16's {cost['vgg16'] / 1e9:.1f} G. "
        f"{conformance.exact} of {conformance.networks} networks count exactly as their formula says; for "
        f"{conformance.with_paper_figure} of them the paper prints a figure, and none is more than "
        f"{100 * deviation:.1f} % off it."
    )
    holds = (
        0.175 <= share < 0.195
        and bottleneck <= 1.1
        and cost["resnet152"] < cost["vgg16"] < cost["vgg19"]
        and conformance.exact == conformance.networks
        and deviation <= TOLERANCE
    )
    return (Verdict(outcome="reproduced" if holds else "not reproduced", sentence=sentence),)


def _table(evidence: Evidence[None, Costs]) -> ResultTable:
    costs = evidence.next_to_runs
    rows = tuple(
        (
            row.label,
            f"{row.parameters / 1e6:.1f} M",
            f"{row.multiply_adds / 1e9:.2f} G",
            f"{100 * row.multiply_adds / costs.of('vgg19').multiply_adds:.0f} %",
            f"{row.seconds_per_image / costs.of('resnet34').seconds_per_image:.2f}",
        )
        for row in costs.rows
    )
    return ResultTable(
        ("network", "parameters", "multiply-adds", "of VGG-19's", "time per image, to ResNet-34's"), rows
    )


def _draw(evidence: Evidence[None, Costs]) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        rows = evidence.next_to_runs.rows[::-1]
        base = evidence.next_to_runs.of("resnet34").seconds_per_image
        names = [row.label.split(" (")[0] for row in rows]
        for axes, values, title in (
            (panels[0], [row.multiply_adds / 1e9 for row in rows], "multiply-adds (10⁹)"),
            (panels[1], [row.seconds_per_image / base for row in rows], "measured time per image, to ResNet-34's"),
        ):
            axes.barh(names, values, color=[GREY if name.startswith("VGG") else COLORS[0] for name in names])
            for place, value in enumerate(values):
                axes.text(value, place, f" {value:.1f}", va="center", fontsize=9)
            axes.set_title(title, fontsize=10)
            axes.margins(x=0.12)
            axes.grid(axis="y", visible=False)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="complexity",
    title="Deep residual nets are cheaper than VGG",
    claim="The 34-layer net has 18 % of VGG-19's multiply-adds; bottlenecks make 50 layers about as cheap as 34, and "
    "even 152 layers are cheaper than VGG-16 and VGG-19.",
    source="Sec. 3.3, 4.1; Table 1",
    paper=(
        ("multiply-adds of VGG-16, VGG-19", "15.3 G, 19.6 G"),
        ("multiply-adds of 18, 34, 50, 101, 152 layers (Table 1)", "1.8, 3.6, 3.8, 7.6, 11.3 G"),
        ("34 layers, of VGG-19's", "18 %"),
    ),
    rule="Reproduced if the counted multiply-adds of plain-34, the net that the paper means, are 18 or 19 % of "
    "VGG-19's when rounded (the paper's 18 % follow from its rounded figures, 3.6 of 19.6 G), those of ResNet-50 at "
    "most 1.1 times those of ResNet-34, those of ResNet-152 below those of VGG-16, which are below those of VGG-19, "
    f"and if all networks of the conformance table count exactly and within {100 * TOLERANCE:g} % of the paper's "
    "figures. Otherwise not reproduced. Time is shown but not judged, because it depends on the machine.",
    uses_data=False,
    rule_after_data=frozenset(("digits", "small", "paper")),
    caption="Multiply-adds for one 224x224 image, and the time that one image takes on the machine named below (fp32, "
    f"batches of {_BATCH}, median of {_ROUNDS} rounds in turn).",
    once=SingleMeasurement(Costs, _measure),
    judge=_judge,
    table=_table,
    draw=_draw,
)
