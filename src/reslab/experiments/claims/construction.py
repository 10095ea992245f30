"""A deeper net is at least as good, by construction: a trained shallow net with identity blocks (paper Sec. 1)."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.config import LinearWarmup, StepDecay
from reslab.data.views import batches
from reslab.evaluation import evaluate
from reslab.experiments.arms import FIRST_SEED, NET_KINDS, Arm, Size, Start, kind_in_words, make_arm, net_name
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Bench, Experiment, NetworkMeasurement, ResultTable
from reslab.experiments.figures import draw_pairs, make_figure
from reslab.experiments.judged import Estimate
from reslab.experiments.statistics import MARGIN, difference, paired_difference
from reslab.experiments.verdict import Verdict, decide
from reslab.experiments.wording import ERROR_COLUMNS, budget_in_words, error_cells
from reslab.models import Network, deepen
from reslab.runs.session import read_config

_SHALLOW, _DEEP = 20, 56
_BLOCKS = (_DEEP - _SHALLOW) // 6  # of two layers, in each of three stages
_TOLERANCE = 1e-5
_MOVED_IMAGES = 1  # a logit's last digits may decide a tie between two classes
_CALIBRATION = 512
_TRAINING_BATCH = 64
_SHARE = 1 / 3  # of the recipe's iterations, for training on
_WHERE = ("layer1", "layer2", "layer3", None)
_EVERY_STAGE = "every stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """What changes when identity blocks are inserted into a trained network.

    Attributes:
        network: The network's label.
        seed: Seed of its training.
        stage: Where the blocks were inserted.
        grown: The label of the network with the blocks.
        is_calibrated: Whether the blocks' batch norm was set by images.
        largest_change: Largest change of a logit in eval mode, relative to the largest logit.
        wrong_before: Wrongly classified test images without the blocks.
        wrong_after: Wrongly classified test images with the blocks.
        total: Test images.
        training_mode_agreement: The share of other images on which both choose the same class in training mode.
    """

    network: str
    seed: int
    stage: str
    grown: str
    is_calibrated: bool
    largest_change: float
    wrong_before: int
    wrong_after: int
    total: int
    training_mode_agreement: float

    def is_of(self, kind: str) -> bool:
        """Return whether the network is of a kind, "plain" or "resnet"."""
        return self.network.startswith("plain") is (kind == "plain")


Insertions = tuple[Insertion, ...]


def _roles(size: Size, kind: str) -> dict[str, Arm]:
    """The four arms of a kind: what they are, in words -> arm."""
    shallow, deep = make_arm(size, kind, _SHALLOW), make_arm(size, kind, _DEEP)
    return {
        f"{_SHALLOW} layers": shallow,
        f"{_SHALLOW} layers,\ntrained further": _trained_on(shallow, shallow, 0),
        f"{_DEEP} layers,\ngrown": _trained_on(deep, shallow, _BLOCKS),
        f"{_DEEP} layers,\nfrom scratch": deep,
    }


def _arms(size: Size) -> tuple[Arm, ...]:
    return tuple(arm for kind in NET_KINDS for arm in _roles(size, kind).values())


def _errors(evidence: Evidence[Insertions, None], kind: str) -> dict[str, tuple[float, ...]]:
    """Clean training errors of the four arms."""
    return {role: evidence.errors(arm.name, "train") for role, arm in _roles(evidence.size, kind).items()}


def _trained_on(like: Arm, shallow: Arm, blocks: int) -> Arm:
    """A shorter training at a tenth of the rate, that starts where the shallow net stood."""
    config = like.config
    iterations = round(_SHARE * config.train.iterations)
    config = replace(
        config,
        recipe=f"{config.recipe}-{'grown' if blocks else 'further'}",
        optim=replace(config.optim, lr=config.optim.lr / 10),
        schedule=StepDecay(milestones=(iterations // 2,), gamma=0.1),
        warmup=LinearWarmup(iterations=max(1, iterations // 10)),
        train=replace(config.train, iterations=iterations),
        evaluation=replace(config.evaluation, every=max(1, iterations // 8)),
    )
    return Arm(config, Start(shallow, blocks))


def _shallow(size: Size) -> tuple[Arm, ...]:
    """The nets that blocks are inserted into."""
    return tuple(make_arm(size, kind, _SHALLOW) for kind in NET_KINDS)


def _measure(folder: RunFolder, bench: Bench) -> Insertions:
    """Insert blocks into every stage at once; with the first seed, also into each stage alone."""
    config = read_config(folder)
    file = load_model(folder.model_path)
    model, preprocess = file.model.to(bench.device), file.card.preprocess
    splits = bench.data_of(folder)
    test = splits.part("test")
    views = batches(splits.train, preprocess, batch_size=_CALIBRATION, device=bench.device)
    images, others = (batch.images for batch in islice(views, 2))
    shown = next(iter(batches(test, preprocess, batch_size=_CALIBRATION, device=bench.device))).images
    before = evaluate(model, test, preprocess)
    rows = []
    for stage in _WHERE if config.seed == FIRST_SEED[bench.size] else (None,):
        for calibrate in (None, images):
            grown = deepen(model, stage=stage, blocks=_BLOCKS, calibrate=calibrate)
            after = evaluate(grown, test, preprocess)
            rows.append(
                Insertion(
                    network=file.spec.label,
                    seed=config.seed,
                    stage=stage or _EVERY_STAGE,
                    grown=grown.spec.label,
                    is_calibrated=calibrate is not None,
                    largest_change=_largest_change(model, grown, shown),
                    wrong_before=before.total - before.correct,
                    wrong_after=after.total - after.correct,
                    total=before.total,
                    training_mode_agreement=_agreement(model, grown, others),
                )
            )
    return tuple(rows)


@torch.no_grad()
def _largest_change(model: Network, grown: Network, images: Tensor) -> float:
    """The largest change of a logit in eval mode, relative to the largest logit."""
    before, after = model.eval()(images), grown.eval()(images)
    return ((after - before).abs().max() / before.abs().max()).item()


@torch.no_grad()
def _agreement(model: Network, grown: Network, images: Tensor) -> float:
    """The part of images on which both choose the same class in training mode, in batches as they are trained on."""
    answers = []
    for net in (model, grown):
        in_training = deepcopy(net).train()  # a copy: running statistics would move
        answers.append(torch.cat([in_training(batch).argmax(1) for batch in images.split(_TRAINING_BATCH)]))
    return (answers[0] == answers[1]).float().mean().item()


def _moved_in_words(moved: int) -> str:
    return f"moves by at most {moved}" if moved else "stays the same"


def _judge(evidence: Evidence[Insertions, None]) -> tuple[Verdict, ...]:
    return _judge_inserting(evidence), _judge_training_on(evidence), _judge_scratch(evidence)


def _judge_inserting(evidence: Evidence[Insertions, None]) -> Verdict:
    rows = [row for arm in _shallow(evidence.size) for rows in evidence.on_networks(arm.name) for row in rows]
    change = max(row.largest_change for row in rows)
    moved = max(abs(row.wrong_after - row.wrong_before) for row in rows)
    layers = sorted({2 * _BLOCKS * (len(_WHERE) - 1 if row.stage == _EVERY_STAGE else 1) for row in rows})
    inserted = " to ".join(dict.fromkeys((str(layers[0]), str(layers[-1]))))
    sentence = (
        f"Inserting {inserted} layers moves no logit by more than {change:.1e} of the largest, and in {len(rows)} "
        "cases "
        f"the number of wrongly classified test images {_moved_in_words(moved)}. "
        f"{_agreement_in_words(rows)}"
    )
    holds = change <= _TOLERANCE and moved <= _MOVED_IMAGES
    return Verdict(outcome="reproduced" if holds else "not reproduced", sentence=sentence, part="inserting blocks")


def _judge_training_on(evidence: Evidence[Insertions, None]) -> Verdict:
    estimates = []
    for kind in NET_KINDS:
        _, further, grown, _ = _errors(evidence, kind).values()
        rise = paired_difference(grown, further)
        estimates.append(
            Estimate(what=f"grown {net_name(kind, _DEEP)}", difference=rise, side="below", threshold=MARGIN)
        )
    in_all = {arm.name: arm.total_iterations for arm in _arms(evidence.size)}
    sentence = f"{' '.join(_trained_in_words(evidence, kind) for kind in NET_KINDS)}{budget_in_words(evidence, in_all)}"
    return decide(sentence, *estimates, part="training on from there")


def _judge_scratch(evidence: Evidence[Insertions, None]) -> Verdict:
    *_, grown, scratch = _errors(evidence, "plain").values()
    *_, grown_residual, scratch_residual = _errors(evidence, "resnet").values()
    worse = difference(scratch, grown)
    sentence = (
        f"From scratch, the clean training error of plain-{_DEEP} differs by {worse} from that of the grown one; in "
        f"residual nets by {difference(scratch_residual, grown_residual)}."
    )
    estimate = Estimate(
        what=f"plain-{_DEEP} from scratch minus grown", difference=worse, side="above", threshold=MARGIN
    )
    return decide(sentence, estimate, part="solvers do not find it")


def _agreement_in_words(rows: Sequence[Insertion]) -> str:
    def of(is_calibrated: bool) -> str:
        shares = {
            kind: [r.training_mode_agreement for r in rows if r.is_of(kind) and r.is_calibrated is is_calibrated]
            for kind in NET_KINDS
        }
        return " and ".join(f"{_share_in_words(min(shares[kind]))} ({kind_in_words(kind)})" for kind in NET_KINDS)

    return (
        f"In training mode, in batches of {_TRAINING_BATCH} other images, the grown nets choose the same class on "
        f"{of(True)} when they are calibrated, and on {of(False)} when not."
    )


def _share_in_words(share: float) -> str:
    return "all images" if share == 1 else f"at least {100 * share:.1f} % of images"


def _trained_in_words(evidence: Evidence[Insertions, None], kind: str) -> str:
    *_, grown_arm, _ = _roles(evidence.size, kind).values()
    shallow, further, grown, _ = _errors(evidence, kind).values()
    to_further, to_shallow = paired_difference(grown, further), paired_difference(grown, shallow)
    return (
        f"{kind_in_words(kind).capitalize()}: after {grown_arm.total_iterations:,} iterations in all, the grown "
        f"{_DEEP}-layer net's training error differs by {to_further} from that of {_SHALLOW} layers trained as long, "
        f"and by {to_shallow} from that of the {_SHALLOW} layers that it was grown from."
    )


def _table(evidence: Evidence[Insertions, None]) -> ResultTable:
    rows = []
    for kind in NET_KINDS:
        for role, arm in _roles(evidence.size, kind).items():
            label = f"{kind_in_words(kind)}, {role}".replace("\n", " ")
            rows.append((label, f"{arm.total_iterations:,}", *error_cells(evidence, arm.name)))
    return ResultTable(("network", "iterations in all", *ERROR_COLUMNS), tuple(rows))


def _draw(evidence: Evidence[Insertions, None]) -> Figure:
    def draw_on(panels: Sequence[Axes]) -> None:
        draw_pairs(panels[0], {f"{kind_in_words(kind)} nets": _errors(evidence, kind) for kind in NET_KINDS})
        panels[0].set_ylabel("training error, clean (%)")

    return make_figure(draw_on)


EXPERIMENT = Experiment(
    name="construction",
    title="A deeper net that is at least as good exists, by construction",
    claim="Let the added layers of a deeper net be identities and copy the others from the learned shallower one: a "
    "solution that is not worse exists. That solvers do not find one as good from scratch shows that not all systems "
    "are similarly easy to optimise.",
    source="Sec. 1",
    paper=(("training error of the construction", "not above the shallower net's (an argument, not a measurement)"),),
    rule="Inserting blocks: reproduced if, in every case, inserted identity blocks move no logit by more than "
    f"{_TOLERANCE:g} of the largest and the number of wrongly classified test images by at most {_MOVED_IMAGES} (a tie "
    "between two classes); otherwise not reproduced. Training on from there: reproduced if the clean training error of "
    f"both the plain and the residual deep net is at most {MARGIN:g} point above that of the shallow net trained as "
    "long (upper end of the 95 % interval: Student's t of the differences seed by seed, because the two begin with the "
    "same trained net); not reproduced if one of them is more than that above (lower end). Solvers do not find it: "
    f"reproduced if the deep plain net from scratch ends more than {MARGIN:g} point above the grown one (lower end, "
    "Welch's t), although it has the iterations of the shallow net that the other was grown from; not reproduced if "
    "it ends by less above (upper end). What residual nets find from scratch is shown but not judged.",
    seeds=lambda size: 5,
    caption="Clean training error of the shallow net, of the same net trained further, of the deep net grown from it "
    "and trained as long, and of the deep net from scratch, which has the shallow net's iterations; the two in the "
    "middle have a third more in all. A dot for each seed, a bar at the mean.",
    arms=_arms,
    networks=NetworkMeasurement(
        form=Insertions,
        measure=_measure,
        constants=lambda size: {"blocks": _BLOCKS, "images": _CALIBRATION, "training_batch": _TRAINING_BATCH},
        arms=_shallow,
    ),
    judge=_judge,
    table=_table,
    draw=_draw,
)
