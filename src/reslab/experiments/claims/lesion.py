"""Beyond the paper: a residual net survives the loss of one block (Veit, Wilber, Belongie 2016)."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.analysis.lesions import removable_blocks, without_block
from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.data import Dataset
from reslab.evaluation import evaluate, wilson
from reslab.experiments.arms import NET_KINDS, Arm, Size, kind_in_words, make_arm, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, NetworkMeasurement, ResultTable
from reslab.experiments.figures import GREY, draw_means, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import MeanDifference, paired_difference, spread
from reslab.experiments.verdict import Verdict, decide
from reslab.models import Network
from reslab.report.figures.style import COLORS
from reslab.spec import PreprocessSpec

_DEPTH = 20
_SURVIVES, _BREAKS = 60.0, 80.0  # % of test error without a block: below the first, above the second
_GUESSING = 90.0  # % of error with ten classes


@dataclass(frozen=True, slots=True)
class Lesion:
    """A network's test error in % without one of its blocks, such as "layer1.0"."""

    block: str
    error: float


@dataclass(frozen=True, slots=True)
class Lesions:
    """A network's test errors in % without each of its removable blocks.

    Attributes:
        intact: The error of the whole network.
        images: How many test images there are.
        lesions: The blocks, in order of depth.
    """

    intact: float
    images: int
    lesions: tuple[Lesion, ...]

    @property
    def errors(self) -> tuple[float, ...]:
        """The errors, in order of depth."""
        return tuple(lesion.error for lesion in self.lesions)

    @property
    def median(self) -> float:
        """The median over the blocks."""
        return statistics.median(self.errors)


LesionEvidence = Evidence[Lesions, None]


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(make_arm(size, kind, _DEPTH) for kind in NET_KINDS)


def measure_lesions(model: Network, test: Dataset, preprocess: PreprocessSpec) -> Lesions:
    """Count a network's test errors with all its blocks and without each removable one.

    Args:
        model: A plain or residual network, on its device; not changed.
        test: The test images.
        preprocess: How the network takes its images.

    Returns:
        The errors in %, rounded to three decimals.
    """
    intact = evaluate(model, test, preprocess)
    errors = {block: evaluate(without_block(model, block), test, preprocess).error for block in removable_blocks(model)}
    lesions = tuple(Lesion(block, round(error, 3)) for block, error in errors.items())
    return Lesions(round(intact.error, 3), intact.total, lesions)


def _measure(folder: RunFolder, bench: Bench) -> Lesions:
    file = load_model(folder.model_path)
    return measure_lesions(file.model.to(bench.device), bench.data_of(folder).part("test"), file.card.preprocess)


def _networks(evidence: LesionEvidence, kind: str) -> list[Lesions]:
    return evidence.on_networks(make_arm(evidence.size, kind, _DEPTH).name)


def _mean(networks: Sequence[Lesions]) -> MeanDifference:
    """The mean of the medians; its interval is over the seeds or, where these do not differ, over the images."""
    medians = [network.median for network in networks]
    if len(set(medians)) > 1:
        return paired_difference(medians, [0.0] * len(medians))  # Student's t of one sample
    images = networks[0].images
    interval = wilson(round(medians[0] / 100 * images), images)
    return MeanDifference(medians[0], 100 * interval.low, 100 * interval.high, p_value=0.0 if medians[0] else 1.0)


def _judge_kind(evidence: LesionEvidence, kind: str, side: Literal["above", "below"], threshold: float) -> Verdict:
    networks, name, part = _networks(evidence, kind), net_name(kind, _DEPTH), f"{kind_in_words(kind)} nets"
    mean, intact = _mean(networks), [network.intact for network in networks]
    estimate = Estimate(what=f"median error of {name} without a block", difference=mean, side=side, threshold=threshold)
    sentence = (
        f"Without one block the test error of {name} is {spread([network.median for network in networks])} % (median "
        f"over {len(networks[0].lesions)} blocks; 95 % interval {mean.low:.2f} to {mean.high:.2f} %), and "
        f"{spread(intact)} % with all of them."
    )
    if statistics.mean(intact) >= _SURVIVES:
        reason = f"A network whose error is {_SURVIVES:g} % or more before has nothing to lose."
        return Verdict(outcome="not testable", sentence=f"{sentence} {reason}", part=part, estimates=(estimate,))
    return decide(sentence, estimate, part=part)


def _judge(evidence: LesionEvidence) -> tuple[Verdict, ...]:
    plain, residual = NET_KINDS
    return (
        _judge_kind(evidence, plain, "above", _BREAKS),
        _judge_kind(evidence, residual, "below", _SURVIVES),
    )


def _table(evidence: LesionEvidence) -> ResultTable:
    rows = []
    for kind in NET_KINDS:
        for seed, network in enumerate(_networks(evidence, kind), start=evidence.document.first_seed):
            numbers = (network.intact, min(network.errors), network.median, max(network.errors))
            rows.append((net_name(kind, _DEPTH), str(seed), *(f"{number:.2f}" for number in numbers)))
    columns = ("network", "seed", "test error, all blocks (%)", "best without one (%)", "median (%)", "worst (%)")
    return ResultTable(columns, tuple(rows))


def _draw(evidence: LesionEvidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for color, kind in zip(COLORS, NET_KINDS, strict=False):
            networks = _networks(evidence, kind)
            by_block = list(zip(*(network.errors for network in networks), strict=True))
            name, seeds = net_name(kind, _DEPTH), f"{len(networks)} seed{'s' if len(networks) > 1 else ''}"
            draw_means(axes, range(len(by_block)), by_block, color=color, label=f"{name} ({seeds})")
            intact = statistics.mean(network.intact for network in networks)
            axes.axhline(intact, color=color, lw=1.2, linestyle="--", label=f"{name}, all blocks")
        axes.axhline(_GUESSING, color=GREY, lw=1, linestyle=":", label="guessing")
        blocks = [lesion.block.removeprefix("layer") for lesion in networks[0].lesions]
        places = [block.split(".") for block in blocks]
        axes.set_xticks(range(len(blocks)), [f"stage {stage}\nblock {int(number) + 1}" for stage, number in places])
        axes.set_xlabel("removed block")
        axes.set_ylabel("test error (%)")
        axes.set_ylim(0, 100)
        axes.figure.legend(fontsize=9, loc="outside lower center", ncols=3)  # lines go everywhere in the panel

    return make_figure(draw_on, height=4.4)


EXPERIMENT = Experiment(
    name="lesion",
    title="A residual net survives the loss of one block (beyond the paper)",
    claim="A trained residual net still works with any one of its blocks removed and nothing trained again, because it "
    "behaves like an ensemble of shallower nets; a plain net without two of its layers does not (Veit, Wilber, "
    "Belongie 2016; not in the paper).",
    source="beyond the paper: Veit, Wilber, Belongie 2016, Sec. 4.1",
    paper=(
        ("one layer of VGG removed, CIFAR-10 (Veit et al., Sec. 4.1)", "error at the level of chance, 90 %"),
        ("one block of ResNet-110 removed, CIFAR-10 (Veit et al., Sec. 4.1)", "no noticeable change for most blocks"),
    ),
    rule="The rule compares, for each network, the median of its test errors without each removable block, one at a "
    f"time. Plain nets: reproduced if the mean of these medians over the seeds is above {_BREAKS:g} % in "
    f"plain-{_DEPTH} (lower end of the 95 % interval); not reproduced if it is below (upper end). Residual nets: "
    f"reproduced if it is at most {_SURVIVES:g} % in ResNet-{_DEPTH} (upper end); not reproduced if it is above (lower "
    "end). The interval is Student's t over the seeds; with one network, or if the medians of all seeds are equal, "
    "Wilson's over the test images. Of a residual block the branch F(x) is dropped and the identity kept; of a plain "
    "net the same two layers are skipped. The first blocks of the second and third stage change the shape; in both "
    f"nets they stay. Not testable if the mean test error of the whole nets is {_SURVIVES:g} % or more. When the "
    "thresholds were set, the errors of two networks of the paper's length, trained with another seed, were known.",
    rule_after_data=frozenset(("paper",)),
    seeds=lambda size: 1 if size == "paper" else 3,
    is_beyond=True,
    caption="Test error after one block is removed from a trained network, without training again: dots are seeds, "
    "lines their means. Dashed: the whole network (mean over the seeds). Dotted: guessing one of ten classes. First "
    "blocks of later stages change the shape and are not removed.",
    arms=_arms,
    networks=NetworkMeasurement(form=Lesions, measure=_measure),
    judge=_judge,
    table=_table,
    draw=_draw,
)
