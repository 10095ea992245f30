"""The notes' own experiment: 18 against 34 layers, plain and residual (paper Fig. 4 and Table 2), on photos."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.config import Setting, override
from reslab.experiments.arms import NET_KINDS, Arm, Size, kind_in_words, net_name
from reslab.experiments.evidence import Evidence, arms_by_depth
from reslab.experiments.experiment import Experiment, ResultTable
from reslab.experiments.figures import draw_curves, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import MARGIN, difference
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import budget_in_words, error_cells
from reslab.recipes.imagenet import imagenet

_SHALLOW, _DEEP = 18, 34
_EPOCHS, _BATCH, _IMAGES = 12, 64, 9_469  # Imagenette's training images
_ITERATIONS = _EPOCHS * _IMAGES // _BATCH
_SIDE = 128


def _arm(size: Size, kind: str, depth: int) -> Arm:
    config = imagenet(kind, depth)
    if size == "paper":
        return Arm(replace(config, evaluation=replace(config.evaluation, final_training_error=True)))
    changes: dict[str, Setting] = {
        "data": {
            "validation_size": 0,
            "photos": {"size": _SIDE, "short_side": _SIDE},
            "augment": {"min_short_side": _SIDE, "max_short_side": 160, "crop_size": _SIDE},
        },
        "optim": {"lr": 0.05},
        "schedule": {"kind": "one_cycle", "pct_start": 0.1, "start_factor": 0.0, "final_factor": 0.0},
        "train": {"iterations": _ITERATIONS, "batch_size": _BATCH, "log_every": 37, "checkpoint_every": 148},
        "evaluation": {"every": 148, "monitor": "validation", "final_training_error": True},
    }
    return Arm(replace(override(config, changes), recipe=f"imagenette-{kind}{depth}"))


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(_arm(size, kind, depth) for kind in NET_KINDS for depth in (_SHALLOW, _DEEP))


def _errors(evidence: Evidence, kind: str, depth: int) -> tuple[float, ...]:
    return evidence.errors(_arm(evidence.size, kind, depth).name, "validation")


def _judge(evidence: Evidence) -> tuple[Verdict, ...]:
    pairs = {
        "plain nets": (("plain", _DEEP), ("plain", _SHALLOW)),
        "residual nets": (("resnet", _DEEP), ("resnet", _SHALLOW)),
        "34 layers": (("resnet", _DEEP), ("plain", _DEEP)),
    }
    return tuple(_judge_pair(evidence, part, *nets) for part, nets in pairs.items())


def _judge_pair(evidence: Evidence, part: str, net: tuple[str, int], other: tuple[str, int]) -> Verdict:
    change = difference(_errors(evidence, *net), _errors(evidence, *other))
    what = f"{net_name(*net)} minus {net_name(*other)}"
    sentence = f"Validation error, {what}: {change}.{budget_in_words(evidence)}"
    if part == "plain nets":
        return decide(sentence, Estimate(what=what, difference=change, side="above"), part=part)
    threshold = MARGIN if part == "residual nets" else 0.0
    return decide(sentence, Estimate(what=what, difference=change, side="below", threshold=threshold), part=part)


def _table(evidence: Evidence) -> ResultTable:
    rows = []
    for kind in NET_KINDS:
        for name, layers in arms_by_depth(evidence, kind).items():
            rows.append((evidence.spec(name).label, layers, *error_cells(evidence, name)))
    return ResultTable(("network", "layers", "seeds", "training error, clean (%)", "validation error (%)"), tuple(rows))


def _draw(evidence: Evidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, kind in zip(panels, NET_KINDS, strict=True):
            draw_curves(axes, evidence, arms_by_depth(evidence, kind))
            axes.set_title(f"{kind_in_words(kind)} nets")
        top = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(0, top)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="imagenet-nets",
    title="34 plain layers are worse than 18, 34 residual layers are not",
    claim="On photos, the plain net of 34 layers has a higher error than that of 18; with shortcuts the deeper net is "
    "better, and better than its plain twin.",
    source="Sec. 4.1, Fig. 4, Table 2",
    paper=(
        ("ImageNet top-1 error, plain 18 and 34 layers (Table 2)", "27.94 %, 28.54 %"),
        ("ImageNet top-1 error, residual 18 and 34 layers (Table 2)", "27.88 %, 25.03 %"),
    ),
    rule="The rule compares the validation error of the last weights; all four nets have the same recipe. Plain nets: "
    f"reproduced if {_DEEP} layers are worse than {_SHALLOW} (95 % interval of Welch's t above 0); not reproduced if "
    f"they are better. Residual nets: reproduced if {_DEEP} layers are at most {MARGIN:g} point worse than {_SHALLOW} "
    f"(upper end); not reproduced if they are worse by more. {_DEEP} layers: reproduced if the residual net is better "
    "than the plain one; not reproduced if it is worse. Size small is Imagenette at 128 pixels: 10 classes of "
    "ImageNet, "
    "not 1,000, so that errors and gaps are smaller than the paper's.",
    caption="Thin lines: training error of the batches as trained on; bold: validation error. Lines are means over the "
    "seeds, bands go from the lowest to the highest.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
    sizes=("small", "paper"),
)
