"""With batch normalization signals vanish neither forward nor backward, in plain nets too (paper Sec. 1 and 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.signals import layer_signals
from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_preprocess, build_splits
from reslab.data import Dataset
from reslab.data.stream import Batch
from reslab.data.views import batches
from reslab.experiments.arms import FIRST_SEED, NET_KINDS, Arm, Size, kind_in_words, make_arm, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import (
    Bench,
    Experiment,
    NetworkMeasurement,
    ResultTable,
    SingleMeasurement,
)
from reslab.experiments.figures import make_figure
from reslab.experiments.vanishing import HEALTHY, SHRINKS, NetworkSignals, When, smallest_norm
from reslab.experiments.verdict import Verdict
from reslab.models import Network, build
from reslab.report.figures.layers import LayerLine, draw_by_depth
from reslab.report.figures.style import COLORS
from reslab.runs.session import read_config
from reslab.spec import Norm, PreprocessSpec

NORMS: tuple[Norm, ...] = ("batch", "none")
DEPTHS = (20, 56, 110)
TRAINED = (20, 56)
_BATCH = 128
_SEEDS = 3  # of untrained networks, from those on that no rule has seen


_WHEN: tuple[When, ...] = ("start", "end")


@dataclass(frozen=True, slots=True)
class UntrainedSignals:
    """The signals of untrained nets."""

    rows: tuple[NetworkSignals, ...]


_FEWEST = 3  # trained seeds
SignalEvidence = Evidence[NetworkSignals, UntrainedSignals]


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(make_arm(size, kind, depth) for kind in NET_KINDS for depth in TRAINED)


def _measure_untrained(bench: Bench) -> UntrainedSignals:
    config = make_arm(bench.size, "plain", DEPTHS[0]).at(bench.data).config
    train = build_splits(config.data).train
    batch = _first_batch(train, build_preprocess(config.data, train), bench.device)
    rows = []
    seeds = range(FIRST_SEED[bench.size], FIRST_SEED[bench.size] + _SEEDS)
    for kind, norm, depth, seed in product(NET_KINDS, NORMS, DEPTHS, seeds):
        torch.manual_seed(seed)
        spec = make_arm(bench.size, kind, depth).config.model
        model = build(replace(spec, norm=norm, num_classes=len(train.class_names))).to(bench.device)
        rows.append(_signals(model, batch, kind=kind, norm=norm, when="start", seed=seed))
    return UntrainedSignals(tuple(rows))


def _measure(folder: RunFolder, bench: Bench) -> NetworkSignals:
    """The signals of a trained net."""
    config, file = read_config(folder), load_model(folder.model_path)
    batch = _first_batch(bench.data_of(folder).train, file.card.preprocess, bench.device)
    kind = "plain" if config.model.is_plain else "resnet"
    return _signals(file.model.to(bench.device), batch, kind=kind, norm="batch", when="end", seed=config.seed)


def _first_batch(train: Dataset, preprocess: PreprocessSpec, device: torch.device) -> Batch:
    """Training images without augmentation, the same for every net."""
    return next(iter(batches(train, preprocess, batch_size=_BATCH, device=device)))


def _signals(model: Network, batch: Batch, *, kind: str, norm: Norm, when: When, seed: int) -> NetworkSignals:
    layers = layer_signals(model, batch.images, batch.labels)
    return NetworkSignals(
        kind=kind,
        norm=norm,
        when=when,
        seed=seed,
        depth=model.spec.depth,
        variance=tuple(_short(layer.variance) for layer in layers),
        gradient=tuple(_short(layer.relative_gradient) for layer in layers),
        gradient_norm=tuple(_short(layer.gradient_norm) for layer in layers),
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _of(evidence: SignalEvidence, kind: str, norm: Norm, depth: int, when: When = "start") -> list[NetworkSignals]:
    """The networks of a kind, by seed."""
    return [
        network
        for network in _all_networks(evidence)
        if (network.kind, network.norm, network.depth, network.when) == (kind, norm, depth, when)
    ]


def _all_networks(evidence: SignalEvidence) -> list[NetworkSignals]:
    """First the untrained ones, then the trained ones."""
    return [*evidence.next_to_runs.rows, *(measured.value for measured in evidence.document.networks.values())]


def _fail(evidence: SignalEvidence, kind: str, norm: Norm, depth: int, when: When) -> list[bool]:
    """Whether the rule fails a network, for each seed."""
    shallow = smallest_norm(_of(evidence, kind, norm, DEPTHS[0]))
    return [network.vanishes(shallow) for network in _of(evidence, kind, norm, depth, when)]


def _judge(evidence: SignalEvidence) -> tuple[Verdict, ...]:
    start = [_fail(evidence, kind, "batch", depth, "start") for kind, depth in product(NET_KINDS, DEPTHS)]
    end = [_fail(evidence, kind, "batch", depth, "end") for kind, depth in product(NET_KINDS, TRAINED)]
    sentence = f"{_in_words(evidence)} {_control_in_words(evidence)}"
    if any(map(all, start + end)):
        return (Verdict(outcome="not reproduced", sentence=sentence),)
    if min(map(len, end)) < _FEWEST:
        more = _FEWEST - min(map(len, end))
        return (Verdict(outcome="undecided", sentence=f"{sentence} Few seeds say little of others.", more_seeds=more),)
    if not any(map(any, start + end)):
        return (Verdict(outcome="reproduced", sentence=sentence),)
    # no number of seeds makes networks alike of which some fail and some do not
    return (Verdict(outcome="undecided", sentence=sentence),)


def _in_words(evidence: SignalEvidence) -> str:
    first, last = DEPTHS[0], DEPTHS[-1]
    normalized = [network for network in _all_networks(evidence) if network.norm == "batch"]
    start, end = ([network for network in normalized if network.when == when] for when in _WHEN)
    weakest = max(network.weakest for network in end)
    least = min(network.growth_toward_input for network in start)
    smallest = {
        (norm, depth): _in_digits(smallest_norm(_of(evidence, "plain", norm, depth)))
        for norm, depth in product(NORMS, (first, last))
    }
    growth = {kind: [n.growth_toward_input for n in _of(evidence, kind, "batch", last)] for kind in NET_KINDS}
    ranges = {kind: " to ".join(dict.fromkeys(map(_in_digits, (min(g), max(g))))) for kind, g in growth.items()}
    return (
        f"With batch norm, after training, no layer's relative gradient in nets of {TRAINED[0]} and {TRAINED[-1]} "
        f"layers is more than {_in_digits(weakest)} times smaller than the median layer's. Before "
        f"training, the smallest gradient norm of a layer is {smallest['batch', first]} in a plain net of {first} "
        f"layers and {smallest['batch', last]} in one of {last}; without batch norm {smallest['none', first]} and "
        f"{smallest['none', last]}. With batch norm, the gradients of the first third of the layers "
        f"are then at least {_in_digits(least)} times those of the last third; with "
        f"{last} layers the factor is {ranges['plain']} in plain nets and {ranges['resnet']} in residual nets."
    )


def _control_in_words(evidence: SignalEvidence) -> str:
    """What the rule says where something does vanish: a rule that lets everything pass would show nothing."""
    failed = {kind: [f"{sum(_fail(evidence, kind, 'none', depth, 'start'))}" for depth in DEPTHS] for kind in NET_KINDS}
    seeds = len(_of(evidence, "plain", "none", DEPTHS[0]))
    return (
        f"The same rule on nets without batch norm, before training, as a control: with {_listed(DEPTHS)} layers "
        f"{_listed(failed['plain'])} of {seeds} plain nets fail, and {_listed(failed['resnet'])} residual nets."
    )


def _listed(values: Sequence[object]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}"


def _in_digits(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"


def _table(evidence: SignalEvidence) -> ResultTable:
    rows = []
    for when, kind, norm, depth in product(_WHEN, NET_KINDS, NORMS, DEPTHS):
        if networks := _of(evidence, kind, norm, depth, when):
            words = (net_name(kind, depth), "batch norm" if norm == "batch" else "none", f"at the {when}")
            weakest, drift = (max(getattr(n, name) for n in networks) for name in ("weakest", "drift"))
            growth = min(network.growth_toward_input for network in networks)
            numbers = (weakest, growth, smallest_norm(networks), drift)
            rows.append((*words, str(len(networks)), *map(_in_digits, numbers)))
    columns = (
        "network",
        "normalization",
        "when",
        "seeds",
        "median / smallest gradient",
        "gradient, first / last third",
        "smallest gradient norm",
        "largest / smallest variance",
    )
    return ResultTable(columns, tuple(rows), num_words=3)


def _draw(evidence: SignalEvidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, (kind, key) in zip(
            panels, (("plain", "variance"), *((kind, "gradient") for kind in NET_KINDS)), strict=True
        ):
            for (number, depth), norm in product(enumerate(DEPTHS), NORMS):
                label = f"{depth} layers, {'batch norm' if norm == 'batch' else 'no norm'}"
                style = "-" if norm == "batch" else "--"
                network = _of(evidence, kind, norm, depth)[0]
                values = network.variance if key == "variance" else network.gradient
                draw_by_depth(axes, LayerLine(values, COLORS[number], style, label))
            axes.set_yscale("log")
            what = "variance of the response" if key == "variance" else "gradient over weight norm"
            axes.set_title(f"{kind_in_words(kind)}: {what}", fontsize=10)
        lows, highs = zip(*(axes.get_ylim() for axes in panels[1:]), strict=True)
        for axes in panels[1:]:  # gradients of plain and residual nets are there to be compared
            axes.set_ylim(min(lows), max(highs))
        handles, labels = panels[0].get_legend_handles_labels()
        # below the panels: within them, curves go everywhere
        panels[0].figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=len(DEPTHS))

    return make_figure(draw_on, 3, height=4.3)


EXPERIMENT = Experiment(
    name="normalization",
    title="With batch norm no signal vanishes, so vanishing gradients are an unlikely cause",
    claim="Plain nets trained with batch normalization have forward signals of non-zero variance and backward "
    "gradients of healthy norms; neither vanishes. So the degradation is unlikely to be caused by vanishing gradients.",
    source="Sec. 1, 4.1",
    paper=(("forward and backward signals of plain nets with BN", '"neither forward nor backward signals vanish"'),),
    rule="The rule judges whether gradients vanish in plain and residual nets with batch norm. A net fails after "
    f"training if some layer's gradient norm (relative to its weight's norm) is more than {HEALTHY:g} times smaller "
    "than the median layer's. A net fails before training if the smallest gradient norm of its layers is more than "
    f"{HEALTHY:g} times smaller than with {DEPTHS[0]} layers, or if the median of the first third of its layers is "
    f"more than {SHRINKS:g} times smaller than that of the last third: if gradients shrink with depth, or toward the "
    f"input. Reproduced if no net fails, of at least {_FEWEST} trained seeds; not reproduced if one fails with every "
    "seed. Before training, gradients that grow toward the input are a finding, not a failure. "
    "Forward, batch norm sets the variance itself; what happens without it is shown next to it.",
    caption="Before training, one batch in training mode, first seed; in order of depth. Left: variance of each 3x3 "
    "layer's response, in plain nets; after batch norm it is 1 by definition at the start. Middle and right: norm of "
    "the weight's gradient over the weight's, in plain and residual nets. In the table, the worst seed.",
    arms=_arms,
    seeds=lambda size: 5,
    networks=NetworkMeasurement(form=NetworkSignals, measure=_measure, constants=lambda size: {"batch_size": _BATCH}),
    once=SingleMeasurement(UntrainedSignals, _measure_untrained),
    judge=_judge,
    table=_table,
    draw=_draw,
)
