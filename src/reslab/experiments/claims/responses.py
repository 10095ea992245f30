"""Residual functions respond weakly, and the more weakly the deeper the net (paper Fig. 7)."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.signals import layer_responses
from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.data.views import batches
from reslab.experiments.arms import Arm, Size, make_arm, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, NetworkMeasurement, ResultTable
from reslab.experiments.figures import GREY, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import MeanDifference, difference, paired_difference, spread
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import budget_in_words
from reslab.report.figures.layers import LayerLine, draw_responses
from reslab.report.figures.style import COLORS

Responses = tuple[float, ...]  # the standard deviation of each 3x3 layer's response, in order of depth

_IMAGES = 1000

_INITIAL = 1.0  # the scale that batch norm starts with, and so every standard deviation before training
_STILL = 0.2  # a mean no further from it shows the start, not what was learned


def _nets(size: Size) -> tuple[tuple[str, int], ...]:
    return (("plain", 20), ("plain", 56), ("resnet", 20), ("resnet", 56))


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(make_arm(size, kind, depth) for kind, depth in _nets(size))


def _measure(folder: RunFolder, bench: Bench) -> Responses:
    """The responses to test images."""
    file = load_model(folder.model_path)
    test = bench.data_of(folder).part("test")
    views = batches(test, file.card.preprocess, batch_size=_IMAGES, device=bench.device)
    responses = layer_responses(file.model.to(bench.device), next(iter(views)).images)
    return tuple(round(response.std, 6) for response in responses)


def _means(evidence: Evidence[Responses, None], kind: str, depth: int) -> tuple[float, ...]:
    """The mean over the layers, one for each seed."""
    return tuple(statistics.mean(layers) for layers in _responses(evidence, kind, depth))


def _responses(evidence: Evidence[Responses, None], kind: str, depth: int) -> list[Responses]:
    return evidence.on_networks(make_arm(evidence.size, kind, depth).name)


def _pairs(size: Size) -> tuple[tuple[tuple[str, int], tuple[str, int]], ...]:
    """The nets to compare; in each pair the paper has the first respond more weakly."""
    deepest = max(_nets(size), key=lambda net: net[1] if net[0] == "resnet" else 0)
    return ((("resnet", 20), ("plain", 20)), (deepest, ("plain", 56)), (deepest, ("resnet", 20)))


def _difference(evidence: Evidence[Responses, None], weaker: tuple[str, int], other: tuple[str, int]) -> MeanDifference:
    """Over the seeds; of one training each over the layers."""
    if evidence.num_seeds > 1 or evidence.size != "paper":
        return difference(_means(evidence, *weaker), _means(evidence, *other))
    layers, others = (_responses(evidence, *net)[0] for net in (weaker, other))
    return (paired_difference if len(layers) == len(others) else difference)(layers, others)


def _judge(evidence: Evidence[Responses, None]) -> tuple[Verdict, ...]:
    means = {net: _means(evidence, *net) for net in _nets(evidence.size)}
    differences = {pair: _difference(evidence, *pair) for pair in _pairs(evidence.size)}
    comparisons = [
        f"{net_name(*weaker)} minus {net_name(*other)}: {change.in_words('')}"
        for (weaker, other), change in differences.items()
    ]
    sentence = (
        "The mean standard deviation of the responses is "
        f"{', '.join(f'{spread(values)} in {net_name(*net)}' for net, values in means.items())}. "
        f"{'; '.join(comparisons)}.{budget_in_words(evidence)}"
    )
    estimates = [
        Estimate(what=f"{net_name(*weaker)} minus {net_name(*other)}", difference=change, side="below", unit="")
        for (weaker, other), change in differences.items()
    ]
    if all(abs(statistics.mean(values) - _INITIAL) <= _STILL for values in means.values()):
        sentence += f" All of them are still near {_INITIAL:g}, where batch norm starts: the training is too short."
        return (Verdict(outcome="not testable", sentence=sentence, estimates=tuple(estimates)),)
    return (decide(sentence, *estimates),)


def _table(evidence: Evidence[Responses, None]) -> ResultTable:
    rows = []
    for kind, depth in _nets(evidence.size):
        stds = _responses(evidence, kind, depth)
        medians = tuple(statistics.median(layers) for layers in stds)
        largest = tuple(max(layers) for layers in stds)
        means = _means(evidence, kind, depth)
        label = net_name(kind, depth)
        rows.append((label, str(len(stds)), spread(means), spread(medians), spread(largest)))
    return ResultTable(("network", "seeds", "mean std", "median std", "largest std"), tuple(rows))


def _draw(evidence: Evidence[Responses, None]) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        lines = []
        for number, (kind, depth) in enumerate(_nets(evidence.size)):
            style = "--" if kind == "plain" else "-"
            seeds = _responses(evidence, kind, depth)
            means = [statistics.mean(layers) for layers in zip(*seeds, strict=True)]
            lines.append(LayerLine(means, COLORS[number], style, net_name(kind, depth)))
            lines += [LayerLine(layers, COLORS[number], style, is_faint=True) for layers in seeds if len(seeds) > 1]
        draw_responses(panels, lines)
        for axes in panels:
            axes.axhline(_INITIAL, color=GREY, lw=1, linestyle=":", label="before training")
        panels[1].legend()

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="responses",
    title="Residual functions respond weakly",
    claim="Residual functions are generally closer to zero than non-residual ones, and a deeper ResNet's layers modify "
    "the signal less.",
    source="Sec. 4.2, Fig. 7",
    paper=(
        ("standard deviations, residual against plain (Fig. 7; no numbers in the text)", "generally smaller"),
        ("standard deviations, ResNet-20, 56, 110 (Fig. 7)", "smaller the deeper"),
    ),
    rule="Reproduced if the mean over the 3x3 layers' standard deviations is smaller in ResNet-20 than in plain-20, "
    "and in the deepest ResNet than in plain-56 and than in ResNet-20 (95 % intervals of Welch's t over the seeds, "
    "below 0). Not reproduced if one of these is larger. Not testable while every net's mean is within "
    f"{_STILL:g} of {_INITIAL:g}: batch norm's scale starts there, so that a short training shows its start. At the "
    "paper's length, with one training each, the intervals are over the layers, in pairs where two networks have as "
    "many.",
    seeds=lambda size: 1 if size == "paper" else 5,
    caption="Standard deviation of each 3x3 layer's output, after batch norm and before ReLU and addition, on "
    f"up to {_IMAGES} test images, bold: the mean over the seeds; faint: each seed. Dotted: {_INITIAL:g}, where "
    "batch norm starts.",
    arms=_arms,
    networks=NetworkMeasurement(form=Responses, measure=_measure, constants=lambda size: {"images": _IMAGES}),
    judge=_judge,
    table=_table,
    draw=_draw,
)
