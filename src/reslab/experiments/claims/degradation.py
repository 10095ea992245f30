"""Deeper plain nets have a higher training error; with shortcuts they do not (paper Figs. 1, 4 and 6)."""

import statistics
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reslab.experiments.answers import WrongImages, wrong_images
from reslab.experiments.arms import FIGURE_DEPTHS, NET_KINDS, Arm, Size, kind_in_words, make_arm, net_name
from reslab.experiments.evidence import Evidence, arms_by_depth
from reslab.experiments.experiment import Experiment, NetworkMeasurement, ResultTable
from reslab.experiments.figures import draw_curves, make_figure
from reslab.experiments.judged import Estimate, PairedAnswers, RareEvent
from reslab.experiments.statistics import MARGIN, MeanDifference, difference, difference_of_shares, p_in_words
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells

_SHALLOW, _DEEP = FIGURE_DEPTHS[0], FIGURE_DEPTHS[-1]  # the two that are judged
_LOST = 1 / 3  # of the deep residual nets, at most
_BETTER_THAN = (
    (("plain", _SHALLOW), ("plain", _DEEP)),
    (("resnet", _DEEP), ("resnet", _SHALLOW)),
    (("resnet", _DEEP), ("plain", _DEEP)),
)
GAP_RULE = (
    f"The rule compares the clean training error of {_DEEP} layers with that of {_SHALLOW}; both have the same recipe. "
    f"Plain nets: reproduced if the error rises by more than {MARGIN:g} point (lower end of the 95 % interval, Welch's "
    "over the seeds); not reproduced if it rises by less (upper end). Residual nets: reproduced if it rises by at most "
    f"{MARGIN:g} point (upper end); not reproduced if it rises by more (lower end)."
)
DegradationEvidence = Evidence[WrongImages, None]


def _arms(size: Size) -> tuple[Arm, ...]:
    # at the paper's length a network takes hours: those that are judged
    depths = (_SHALLOW, _DEEP) if size == "paper" else FIGURE_DEPTHS
    return tuple(make_arm(size, kind, depth) for kind in NET_KINDS for depth in depths)


def judged_arms(size: Size) -> tuple[Arm, ...]:
    """Return the arms that the verdict is computed from: the shallowest and the deepest net of each kind."""
    return tuple(make_arm(size, kind, depth) for kind in NET_KINDS for depth in (_SHALLOW, _DEEP))


def judge_gaps(evidence: DegradationEvidence) -> tuple[Verdict, Verdict]:
    """Return the verdicts on plain and on residual nets by the differences between depths alone; see `GAP_RULE`."""
    return _judge_gap(evidence, "plain", "above"), _judge_gap(evidence, "resnet", "below")


def _judge_gap(evidence: DegradationEvidence, kind: str, side: Literal["above", "below"], *more: RareEvent) -> Verdict:
    rise = _rise(evidence, kind)
    nets = f"{kind_in_words(kind)} nets"
    above = f"more than {MARGIN:g} point above the mean of {_SHALLOW} layers"
    lost = "".join(f"; {one.events} of {one.count} end {above}" for one in more)
    # once for both kinds: their sentences stand together
    budget = budget_in_words(evidence) if kind == NET_KINDS[0] else ""
    sentence = f"From {_SHALLOW} to {_DEEP} layers the clean training error of {nets} changes by {rise}{lost}.{budget}"
    what = f"{net_name(kind, _DEEP)} minus {net_name(kind, _SHALLOW)}"
    return decide(sentence, Estimate(what=what, difference=rise, side=side, threshold=MARGIN), *more, part=nets)


def _judge(evidence: DegradationEvidence) -> tuple[Verdict, ...]:
    lost = (_lost(evidence),) if evidence.size == "digits" else ()
    verdicts = [_judge_gap(evidence, "plain", "above"), _judge_gap(evidence, "resnet", "below", *lost)]
    if evidence.document.networks:
        verdicts.append(_judge_test_error(evidence))
    return tuple(verdicts)


def _judge_test_error(evidence: DegradationEvidence) -> Verdict:
    pairs = [_paired(evidence, *nets) for nets in _BETTER_THAN]
    sentence = "On the same test images: " + "; ".join(
        f"{pair.what} {pair.difference:+.2f} points ({pair.only_first} images against {pair.only_second}, "
        f"McNemar's exact {p_in_words(pair.p_value)})"
        for pair in pairs
    )
    return decide(f"{sentence}.", *pairs, part="test error")


def _rise(evidence: DegradationEvidence, kind: str) -> MeanDifference:
    """The clean training error of the deep net less the shallow one's.

    Of one training each the interval is over the training images: it says nothing about other seeds.
    """
    names = [make_arm(evidence.size, kind, depth).name for depth in (_DEEP, _SHALLOW)]
    deep, shallow = (evidence.errors(name, "train") for name in names)
    if evidence.size == "paper" and evidence.num_seeds == 1:
        return difference_of_shares(deep[0], shallow[0], evidence.records[names[0]][0].document.final["train"].total)
    return difference(deep, shallow)


def _lost(evidence: DegradationEvidence) -> RareEvent:
    """The deep residual nets that lose more than the margin to the mean of the shallow ones."""
    shallow, deep = (
        evidence.errors(make_arm(evidence.size, "resnet", depth).name, "train") for depth in (_SHALLOW, _DEEP)
    )
    limit = statistics.mean(shallow) + MARGIN
    events = sum(error > limit for error in deep)
    return RareEvent(
        what=f"lost {net_name('resnet', _DEEP)}s",
        events=events,
        count=len(deep),
        limit=_LOST,
    )


def _paired(evidence: DegradationEvidence, better: tuple[str, int], worse: tuple[str, int]) -> PairedAnswers:
    """Two nets on the same test images, seed by seed."""
    first, second = (evidence.on_networks(make_arm(evidence.size, *net).name) for net in (better, worse))
    pairs = [(set(ours), set(theirs)) for ours, theirs in zip(first, second, strict=True)]
    record = evidence.records[make_arm(evidence.size, *better).name][0].document
    return PairedAnswers(
        what=f"{net_name(*worse)} minus {net_name(*better)}",
        only_first=sum(len(theirs - ours) for ours, theirs in pairs),
        only_second=sum(len(ours - theirs) for ours, theirs in pairs),
        total=record.final["test"].total * len(pairs),
        seeds=len(pairs),
    )


def _table(evidence: DegradationEvidence) -> ResultTable:
    rows = []
    for kind in NET_KINDS:
        for name in arms_by_depth(evidence, kind):
            spec = evidence.spec(name)
            rows.append((spec.label, str(spec.depth), *error_cells(evidence, name)))
    return ResultTable(("network", "layers", *ERROR_COLUMNS), tuple(rows))


def _draw(evidence: DegradationEvidence) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        for axes, kind in zip(panels, NET_KINDS, strict=True):
            # one legend for both, where the curves lie low
            draw_curves(axes, evidence, arms_by_depth(evidence, kind), has_legend=kind == "resnet")
            axes.set_title(kind_in_words(kind))
        top = max(axes.get_ylim()[1] for axes in panels)
        for axes in panels:
            axes.set_ylim(0, top)

    return make_figure(draw_on, 2)


EXPERIMENT = Experiment(
    name="degradation",
    title="Deeper plain nets degrade, residual nets do not",
    claim="With more layers, the accuracy of a plain net saturates and then degrades. This is not overfitting: its "
    "training error is higher too. With shortcuts, the deeper net trains at least as well.",
    source="Sec. 1, 4.1, 4.2; Figs. 1, 4, 6 (left, middle); Table 2",
    paper=(
        ("ImageNet top-1 error, plain 18 and 34 layers (Table 2)", "27.94 %, 28.54 %"),
        ("ImageNet top-1 error, residual 18 and 34 layers (Table 2)", "27.88 %, 25.03 %"),
        ("CIFAR-10 test error, plain 110 layers (Fig. 6)", "above 60 %"),
        ("CIFAR-10 test error, residual 20, 32, 44, 56 layers (Table 6)", "8.75 %, 7.51 %, 7.17 %, 6.97 %"),
    ),
    networks=NetworkMeasurement(
        form=WrongImages, measure=wrong_images, arms=lambda size: judged_arms(size) if size == "paper" else ()
    ),
    seeds=lambda size: {"digits": 20, "small": 8, "paper": 1}[size],
    rule=f"{GAP_RULE} On the digits, where now and then a deep residual net is lost, at most {100 * _LOST:.0f} % of "
    f"them may end more than {MARGIN:g} point above the mean of {_SHALLOW} layers (Clopper and Pearson's interval). At "
    "the paper's length, with one training each, intervals are over the training images. There the rule judges "
    f"the test error too: on the same test images plain-{_DEEP} has to be worse than plain-{_SHALLOW}, and "
    f"ResNet-{_DEEP} better than ResNet-{_SHALLOW} and than plain-{_DEEP}, each by McNemar's exact test below 0.05.",
    caption="Thin lines: training error of the batches as trained on; bold: validation error on the digits, test error "
    "on CIFAR-10. Lines are means over the seeds, bands go from the lowest to the highest; dashed: the learning rate "
    "drops.",
    arms=_arms,
    judge=_judge,
    table=_table,
    draw=_draw,
)
