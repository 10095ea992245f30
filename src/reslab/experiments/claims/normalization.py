"""With batch normalization signals vanish neither forward nor backward, in plain nets too (paper Sec. 1 and 4.1)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.signals import signals
from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_preprocess, build_splits
from reslab.data import Dataset
from reslab.data.stream import Batch
from reslab.data.views import batches
from reslab.experiments.arms import KINDS, Arm, Size, arm, kind_in_words, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, Table, Verdict
from reslab.experiments.figures import make_figure
from reslab.experiments.vanishing import HEALTHY, SHRINKS, drift, growth_toward_input, smallest_norm, vanishes, weakest
from reslab.models import Network, build
from reslab.report.figures.layers import LayerLine, draw_by_depth
from reslab.report.figures.style import COLORS
from reslab.runs.session import read_config
from reslab.spec import Norm, PreprocessSpec

NORMS: tuple[Norm, ...] = ("batch", "none")
DEPTHS = (20, 56, 110)
TRAINED = (20, 56)
_BATCH = 128
_SEEDS = 3


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(arm(size, kind, depth) for kind in KINDS for depth in TRAINED)


def _measure(bench: Bench) -> dict[str, Any]:
    """The signals of untrained nets."""
    config = arm(bench.size, "plain", DEPTHS[0]).at(bench.data).config
    train = build_splits(config.data).train
    batch = _first_batch(train, build_preprocess(config.data, train), bench.device)
    rows = []
    for kind, norm, depth, seed in product(KINDS, NORMS, DEPTHS, range(_SEEDS)):
        torch.manual_seed(seed)
        spec = arm(bench.size, kind, depth).config.model
        model = build(replace(spec, norm=norm, num_classes=len(train.class_names))).to(bench.device)
        rows.append(_row(model, batch, kind=kind, norm=norm, when="start", seed=seed))
    return {"rows": rows}


def _measure_run(folder: RunFolder, bench: Bench) -> dict[str, Any]:
    """The signals of a trained net."""
    config, file = read_config(folder), load_model(folder.model_path)
    batch = _first_batch(bench.data_of(folder).train, file.card.preprocess, bench.device)
    kind = "plain" if config.model.is_plain else "resnet"
    return _row(file.model.to(bench.device), batch, kind=kind, norm="batch", when="end", seed=config.seed)


def _first_batch(train: Dataset, preprocess: PreprocessSpec, device: torch.device) -> Batch:
    """Training images without augmentation, the same for every net."""
    return next(iter(batches(train, preprocess, batch_size=_BATCH, device=device)))


def _row(model: Network, batch: Batch, **facts: Any) -> dict[str, Any]:
    """Return what was measured on one network, with the facts that tell it from the others."""
    found = signals(model, batch.images, batch.labels)
    return {
        **facts,
        "depth": model.spec.depth,
        "variance": [_short(signal.variance) for signal in found],
        "gradient": [_short(signal.relative_gradient) for signal in found],
        "gradient_norm": [_short(signal.gradient_norm) for signal in found],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _rows(evidence: Evidence, kind: str, norm: str, depth: int, when: str = "start") -> list[dict[str, Any]]:
    wanted = {"kind": kind, "norm": norm, "depth": depth, "when": when}
    return [row for row in _all_rows(evidence) if all(row[key] == value for key, value in wanted.items())]


def _all_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Of untrained nets, then of trained ones."""
    return [*evidence.measured["rows"], *(row for name in evidence.of_runs for row in evidence.found(name))]


def _worst(rows: Sequence[dict[str, Any]], of: Any) -> float:
    return max(of(row) for row in rows)


def _fail(evidence: Evidence, kind: str, norm: Norm, depth: int, when: str) -> list[bool]:
    """Whether the rule fails a network, for each seed."""
    shallow = smallest_norm(_rows(evidence, kind, norm, DEPTHS[0]))
    return [vanishes(row, shallow) for row in _rows(evidence, kind, norm, depth, when)]


def _judge(evidence: Evidence) -> Verdict:
    vanishing = [
        _fail(evidence, kind, "batch", depth, when)
        for kind, depth in product(KINDS, DEPTHS)
        for when in (("start", "end") if depth in TRAINED else ("start",))
    ]
    sentence = f"{_in_words(evidence)} {_control_in_words(evidence)}"
    if min(len(_rows(evidence, kind, "batch", depth, "end")) for kind in KINDS for depth in TRAINED) < 2:
        return Verdict("inconclusive", f"{sentence} One trained seed says nothing of the others.")
    if not any(any(seeds) for seeds in vanishing):
        return Verdict("reproduced", sentence)
    return Verdict("not reproduced" if any(all(seeds) for seeds in vanishing) else "inconclusive", sentence)


def _in_words(evidence: Evidence) -> str:
    first, last = DEPTHS[0], DEPTHS[-1]
    normalized = [row for row in _all_rows(evidence) if row["norm"] == "batch"]
    start, end = ([row for row in normalized if row["when"] == when] for when in ("start", "end"))
    smallest = {
        (norm, depth): _in_digits(smallest_norm(_rows(evidence, "plain", norm, depth)))
        for norm, depth in product(NORMS, (first, last))
    }
    growth = {kind: [*map(growth_toward_input, _rows(evidence, kind, "batch", last))] for kind in KINDS}
    ranges = {kind: " to ".join(dict.fromkeys(map(_in_digits, (min(g), max(g))))) for kind, g in growth.items()}
    return (
        f"With batch norm, after training, no layer's relative gradient in nets of {TRAINED[0]} and {TRAINED[-1]} "
        f"layers is more than {_in_digits(_worst(end, weakest))} times smaller than the median layer's. Before "
        f"training, the smallest gradient norm of a layer is {smallest['batch', first]} in a plain net of {first} "
        f"layers and {smallest['batch', last]} in one of {last}; without batch norm {smallest['none', first]} and "
        f"{smallest['none', last]}. With batch norm, the gradients of the first third of the layers "
        f"are then at least {_in_digits(min(map(growth_toward_input, start)))} times those of the last third; with "
        f"{last} layers the factor is {ranges['plain']} in plain nets and {ranges['resnet']} in residual nets."
    )


def _control_in_words(evidence: Evidence) -> str:
    """What the rule says where something does vanish: a rule that lets everything pass would show nothing."""
    failed = {kind: [f"{sum(_fail(evidence, kind, 'none', depth, 'start'))}" for depth in DEPTHS] for kind in KINDS}
    seeds = len(_rows(evidence, "plain", "none", DEPTHS[0]))
    return (
        f"The same rule on nets without batch norm, before training, as a control: with {_listed(DEPTHS)} layers "
        f"{_listed(failed['plain'])} of {seeds} plain nets fail, and {_listed(failed['resnet'])} residual nets."
    )


def _listed(values: Sequence[object]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}"


def _in_digits(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"


def _table(evidence: Evidence) -> Table:
    rows = []
    for when, kind, norm, depth in product(("start", "end"), KINDS, NORMS, DEPTHS):
        if found := _rows(evidence, kind, norm, depth, when):
            words = (net_name(kind, depth), "batch norm" if norm == "batch" else "none", f"at the {when}")
            growth = min(map(growth_toward_input, found))
            numbers = (_worst(found, weakest), growth, smallest_norm(found), _worst(found, drift))
            rows.append((*words, str(len(found)), *(_in_digits(number) for number in numbers)))
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
    return Table(columns, tuple(rows), num_words=3)


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, (kind, key) in zip(
            panels, (("plain", "variance"), *((kind, "gradient") for kind in KINDS)), strict=True
        ):
            for (number, depth), norm in product(enumerate(DEPTHS), NORMS):
                label = f"{depth} layers, {'batch norm' if norm == 'batch' else 'no norm'}"
                style = "-" if norm == "batch" else "--"
                draw_by_depth(axes, LayerLine(_rows(evidence, kind, norm, depth)[0][key], COLORS[number], style, label))
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
    rule="Judged is whether gradients vanish, in plain and residual nets with batch norm. One of them fails after "
    f"training if some layer's gradient norm (relative to its weight's norm) is more than {HEALTHY:g} times smaller "
    "than the median layer's. One fails before training if the smallest gradient norm of its layers is more than "
    f"{HEALTHY:g} times smaller than with {DEPTHS[0]} layers, or if the median of the first third of its layers is "
    f"more than {SHRINKS:g} times smaller than that of the last third: if gradients shrink with depth, or toward the "
    "input. Reproduced if no net fails; not reproduced if one fails with every seed; otherwise inconclusive, as "
    "with one trained seed. Before training, gradients that grow toward the input are a finding, not a failure. "
    "Forward, batch norm sets the variance itself; what happens without it is shown beside it.",
    caption="Before training, one batch in training mode, first seed; in order of depth. Left: variance of each 3x3 "
    "layer's response, in plain nets; after batch norm it is 1 by definition at the start. Middle and right: norm of "
    "the weight's gradient over the weight's, in plain and residual nets. In the table, the worst seed.",
    arms=_arms,
    measure=_measure,
    measure_run=_measure_run,
    how=lambda size: {"batch_size": _BATCH},
    judge=_judge,
    table=_table,
    draw=_draw,
)
