"""Batch normalization keeps signals healthy forward and backward, in plain nets too (paper Sec. 1 and 4.1)."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.build import build_preprocess, build_splits
from reslab.data.stream import Batch
from reslab.data.views import batches
from reslab.modelfile import load_model
from reslab.models import Network, build
from reslab.models.signals import signals
from reslab.report.figures import COLORS
from reslab.report.layers import LayerLine, draw_by_depth
from reslab.spec import Norm

from .arms import KINDS, Arm, Size, arm, kind_in_words, net_name
from .draw import make_figure
from .evidence import Evidence
from .experiment import Bench, Experiment, Table, Verdict

NORMS: tuple[Norm, ...] = ("batch", "none")
DEPTHS = (20, 56, 110)
TRAINED = (20, 56)
_BATCH = 128
_SEEDS = 3
_HEALTHY = 100.0  # a layer's gradient, relative to its weight, may be this many times smaller than the median layer's


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(arm(size, kind, depth) for kind in KINDS for depth in TRAINED)


def _measure(bench: Bench) -> dict[str, Any]:
    config = arm(bench.size, "plain", DEPTHS[0]).at(bench.data).config
    train = build_splits(config.data).train
    preprocess = build_preprocess(config.data, train)
    batch = next(iter(batches(train, preprocess, batch_size=_BATCH, device=bench.device)))
    rows = []
    for kind, norm, depth, seed in product(KINDS, NORMS, DEPTHS, range(_SEEDS)):
        torch.manual_seed(seed)
        spec = arm(bench.size, kind, depth).config.model
        model = build(replace(spec, norm=norm, num_classes=len(train.class_names))).to(bench.device)
        rows.append(_row(model, batch, kind=kind, norm=norm, when="start", seed=seed))
    for kind, depth in product(KINDS, TRAINED):
        for seed, folder in enumerate(bench.folders[arm(bench.size, kind, depth).name]):
            model = load_model(folder.model_path).model.to(bench.device)
            rows.append(_row(model, batch, kind=kind, norm="batch", when="end", seed=seed))
    return {"batch_size": _BATCH, "rows": rows}


def _row(model: Network, batch: Batch, **facts: Any) -> dict[str, Any]:
    """Return what was measured on one network, with the facts that tell it from the others."""
    found = signals(model, batch.images, batch.labels)
    return {
        **facts,
        "depth": model.spec.depth,
        "variance": [_short(signal.variance) for signal in found],
        "gradient": [_short(signal.relative_gradient) for signal in found],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _rows(evidence: Evidence, kind: str, norm: str, depth: int, when: str = "start") -> list[dict[str, Any]]:
    wanted = {"kind": kind, "norm": norm, "depth": depth, "when": when}
    return [row for row in evidence.measured["rows"] if all(row[key] == value for key, value in wanted.items())]


def _weakest(row: dict[str, Any]) -> float:
    """How many times smaller the smallest layer's gradient is than the median layer's; infinite if it is 0."""
    smallest = min(row["gradient"])
    return statistics.median(row["gradient"]) / smallest if smallest else float("inf")


def _drift(row: dict[str, Any]) -> float:
    """The largest over the smallest variance of a layer's response."""
    smallest = min(row["variance"])
    return max(row["variance"]) / smallest if smallest else float("inf")


def _worst(rows: Sequence[dict[str, Any]], of: Any) -> float:
    return max(of(row) for row in rows)


def _judge(evidence: Evidence) -> Verdict:
    normalized = [row for row in evidence.measured["rows"] if row["norm"] == "batch"]
    weakest, drift = _worst(normalized, _weakest), _worst(normalized, _drift)
    bare = _worst(_rows(evidence, "plain", "none", DEPTHS[-1]), _drift)
    sentence = (
        f"With batch norm, in plain and residual nets of {DEPTHS[0]} to {DEPTHS[-1]} layers, at the start and at the "
        f"end of training, no layer's relative gradient is more than {weakest:.0f} times smaller than the median "
        f"layer's, and the variances of the responses lie within a factor of {drift:.0f}; without batch norm those of "
        f"a plain net of {DEPTHS[-1]} layers spread over a factor of {bare:.3g}."
    )
    return Verdict("reproduced" if weakest <= _HEALTHY else "not reproduced", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for when, kind, norm, depth in product(("start", "end"), KINDS, NORMS, DEPTHS):
        if found := _rows(evidence, kind, norm, depth, when):
            name = net_name(kind, depth)
            norm_in_words = "batch norm" if norm == "batch" else "none"
            cells = (f"{_worst(found, _weakest):.3g}", f"{_worst(found, _drift):.3g}")
            rows.append((name, norm_in_words, f"at the {when}", str(len(found)), *cells))
    columns = ("network", "normalization", "when", "seeds", "median / smallest gradient", "largest / smallest variance")
    return Table(columns, tuple(rows), num_words=3)


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        titles = {"variance": "variance of the response", "gradient": "gradient norm over weight norm"}
        for axes, (key, title) in zip(panels, titles.items(), strict=True):
            for number, (kind, norm) in enumerate((kind, norm) for kind in KINDS for norm in NORMS):
                values = _rows(evidence, kind, norm, 56)[0][key]
                label = f"{kind_in_words(kind)}, {'batch norm' if norm == 'batch' else 'no norm'}"
                style = "-" if norm == "batch" else "--"
                draw_by_depth(axes, LayerLine(values, COLORS[number // 2], style, label))
            axes.set_yscale("log")
            axes.set_title(title, fontsize=10)
        panels[0].legend(fontsize=9)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="normalization",
    title="Batch norm keeps signals healthy, so vanishing gradients are not the cause",
    claim="Plain nets trained with batch normalization have forward signals of non-zero variance and backward "
    "gradients of healthy norms; neither vanishes. So the degradation is not caused by vanishing gradients.",
    source="Sec. 1, 4.1",
    paper=(("forward and backward signals of plain nets with BN", '"neither forward nor backward signals vanish"'),),
    rule=f"Reproduced if in every net with batch norm, plain or residual, at the start and at the end of training, no "
    f"layer's gradient norm (relative to its weight's norm) is more than {_HEALTHY:g} times smaller than the median "
    "layer's. Otherwise not reproduced. What happens without batch norm is shown beside it.",
    caption="Nets of 56 layers before training, one batch in training mode, first seed. Left: variance of each 3x3 "
    "layer's response (after batch norm, where there is one). Right: norm of the weight's gradient over the weight's.",
    arms=_arms,
    measure=_measure,
    judge=_judge,
    table=_table,
    draw=_draw,
)
