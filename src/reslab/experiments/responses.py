"""Residual functions respond weakly, and the more weakly the deeper the net (paper Fig. 7)."""

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.data.views import batches
from reslab.modelfile import load_model
from reslab.models.signals import layer_responses
from reslab.report.figures import COLORS
from reslab.report.layers import LayerLine, draw_responses
from reslab.run import read_config
from reslab.rundata import data_of_run
from reslab.runfolder import RunFolder

from .arms import Arm, Size, arm, net_name
from .draw import make_figure
from .evidence import Evidence
from .experiment import Bench, Experiment, Table, Verdict
from .statistics import difference, spread

_IMAGES = 1000


def _nets(size: Size) -> tuple[tuple[str, int], ...]:
    deepest = (("resnet", 110),) if size == "paper" else ()
    return (("plain", 20), ("plain", 56), ("resnet", 20), ("resnet", 56), *deepest)


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(arm(size, kind, depth) for kind, depth in _nets(size))


def _measure(bench: Bench) -> dict[str, Any]:
    found = {name: [_respond(folder, bench) for folder in folders] for name, folders in bench.folders.items()}
    return {"images": _IMAGES, "stds": found}


def _respond(folder: RunFolder, bench: Bench) -> list[float]:
    """The standard deviation of each 3x3 layer's response to test images, in order of depth."""
    file = load_model(folder.model_path)
    test = data_of_run(folder, read_config(folder).data).splits.part("test")
    views = batches(test, file.card.preprocess, batch_size=_IMAGES, device=bench.device)
    found = layer_responses(file.model.to(bench.device), next(iter(views)).images)
    return [round(response.std, 6) for response in found]


def _means(evidence: Evidence, kind: str, depth: int) -> tuple[float, ...]:
    """The mean over the layers, one for each seed."""
    stds = evidence.measured["stds"][arm(evidence.size, kind, depth).name]
    return tuple(statistics.mean(layers) for layers in stds)


def _judge(evidence: Evidence) -> Verdict:
    deepest = max(depth for kind, depth in _nets(evidence.size) if kind == "resnet")
    residual, shallow, plain = (
        _means(evidence, kind, depth) for kind, depth in (("resnet", deepest), ("resnet", 20), ("plain", 56))
    )
    to_plain, to_shallow = difference(residual, plain), difference(residual, shallow)
    sentence = (
        f"The mean standard deviation of the responses is {spread(residual)} in ResNet-{deepest}, "
        f"{spread(shallow)} in ResNet-20 and {spread(plain)} in plain-56."
    )
    if to_plain.is_below_zero and to_shallow.is_below_zero:
        return Verdict("reproduced", sentence)
    if to_plain.is_above_zero or to_shallow.is_above_zero:
        return Verdict("not reproduced", sentence)
    return Verdict("inconclusive", sentence)


def _table(evidence: Evidence) -> Table:
    rows = []
    for kind, depth in _nets(evidence.size):
        stds = evidence.measured["stds"][arm(evidence.size, kind, depth).name]
        medians = tuple(statistics.median(layers) for layers in stds)
        largest = tuple(max(layers) for layers in stds)
        means = _means(evidence, kind, depth)
        label = net_name(kind, depth)
        rows.append((label, str(len(stds)), spread(means), spread(medians), spread(largest)))
    return Table(("network", "seeds", "mean std", "median std", "largest std"), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        lines = []
        for number, (kind, depth) in enumerate(_nets(evidence.size)):
            layers = evidence.measured["stds"][arm(evidence.size, kind, depth).name][0]
            style = "--" if kind == "plain" else "-"
            lines.append(LayerLine(layers, COLORS[number], style, net_name(kind, depth)))
        draw_responses(panels, lines)
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
    rule="Reproduced if the mean over the 3x3 layers' standard deviations is smaller in the deepest ResNet than in "
    "plain-56 and than in ResNet-20 (95 % intervals below 0); not reproduced if one is larger; otherwise inconclusive.",
    caption="Standard deviation of each 3x3 layer's output, after batch norm and before ReLU and addition, on "
    f"{_IMAGES} test images of the first seed's nets.",
    arms=_arms,
    measure=_measure,
    judge=_judge,
    table=_table,
    draw=_draw,
)
