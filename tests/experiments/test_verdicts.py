"""Verdicts follow from the numbers by the rule on the page, whichever way they fall."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import pytest
import torch
from matplotlib.figure import Figure

from reslab.config import RunConfig
from reslab.experiments.arms import NET_KINDS, Arm, Size
from reslab.experiments.catalog import EXPERIMENTS
from reslab.experiments.claims import (
    complexity,
    construction,
    convergence,
    convergence_rate,
    degradation,
    depth,
    imagenet_nets,
    landscape,
    normalization,
    plateau,
    responses,
    shortcuts,
    thousand_layers,
    warmup,
)
from reslab.experiments.claims.complexity import Conformance, Costs, NetworkCost
from reslab.experiments.claims.construction import Insertion
from reslab.experiments.claims.normalization import UntrainedSignals
from reslab.experiments.claims.thousand_layers import StepCosts
from reslab.experiments.evidence import AnyEvidence
from reslab.experiments.experiment import AnyExperiment, Bench
from reslab.experiments.step_cost import OutOfMemoryError, StepCost
from reslab.experiments.vanishing import NetworkSignals, When
from reslab.experiments.verdict import Verdict
from reslab.experiments.wording import budget_in_words
from reslab.spec import Norm
from tests.artifacts.made_up import counts

from .evidence import change, made_up

NOISE = (-0.1, 0.0, 0.1)


def _seeds(train: float, test: float) -> Sequence[tuple[float, float]]:
    return [(train + noise, test + noise) for noise in NOISE]


def judged(experiment: AnyExperiment, evidence: AnyEvidence, part: str = "") -> Verdict:
    """Return the verdict on one part of a claim."""
    (verdict,) = [verdict for verdict in experiment.judge(evidence) if verdict.part == part]
    return verdict


def _of_depth(experiment: AnyExperiment, size: Size = "digits", **errors: Sequence[float]) -> AnyEvidence:
    """errors: for each kind its training errors by depth, the test error 2 points above."""
    arms = experiment.arms(size)
    found: dict[Arm, Sequence[tuple[float, float]]] = {}
    for kind, values in errors.items():
        mine = [arm for arm in arms if arm.config.model.is_plain is (kind == "plain")]
        found |= {arm: _seeds(value, value + 2) for arm, value in zip(mine, values, strict=True)}
    return made_up(experiment.name, found, size=size)


@pytest.mark.parametrize(
    ("errors", "outcomes"),
    [
        ((20, 25, 19, 18), ("reproduced", "reproduced", "reproduced")),
        ((25, 20, 18, 25), ("not reproduced", "not reproduced", "not reproduced")),
        ((20, 20, 20, 21), ("undecided", "undecided", "not reproduced")),
    ],
)
def test_18_against_34_layers_on_photos(errors: Sequence[float], outcomes: Sequence[str]) -> None:
    arms = imagenet_nets.EXPERIMENT.arms("small")
    assert [arm.name for arm in arms] == [f"imagenette-{net}" for net in ("plain18", "plain34", "resnet18", "resnet34")]
    found = {arm: _seeds(error, error) for arm, error in zip(arms, errors, strict=True)}
    evidence = made_up("imagenet-nets", found, size="small")
    for name, records in evidence.records.items():
        for seed, record in enumerate(records):
            final = record.document.final
            change(evidence, name, seed, final={**final, "validation": final["test"]}, reported_split="validation")
    assert tuple(verdict.outcome for verdict in imagenet_nets.EXPERIMENT.judge(evidence)) == outcomes
    assert len(imagenet_nets.EXPERIMENT.table(evidence).rows) == 4
    assert isinstance(imagenet_nets.EXPERIMENT.draw(evidence), Figure)


PLAIN, RESIDUAL = "plain nets", "residual nets"


def _rising(points: float) -> AnyEvidence:
    """Training errors of 5 %, and so many points more with 56 layers."""
    arms = degradation.EXPERIMENT.arms("small")
    found = {arm: _seeds(5 + (points if arm.config.model.depth == 56 else 0), 8) for arm in arms}
    return made_up("degradation", found, size="small")


@pytest.mark.parametrize(
    ("rises", "part", "outcome"),
    [
        (5.0, PLAIN, "reproduced"),
        (1.5, PLAIN, "reproduced"),
        (1.1, PLAIN, "undecided"),
        (0.0, PLAIN, "not reproduced"),
        (-5.0, PLAIN, "not reproduced"),
        (5.0, RESIDUAL, "not reproduced"),
        (0.9, RESIDUAL, "undecided"),
        (0.0, RESIDUAL, "reproduced"),
        (-5.0, RESIDUAL, "reproduced"),
    ],
)
def test_each_half_of_degradation_falls_both_ways(rises: float, part: str, outcome: str) -> None:
    found = {
        arm: _seeds(5 + (rises if arm.config.model.depth == 56 else 0), 8)
        for arm in degradation.EXPERIMENT.arms("small")
    }
    verdict = judged(degradation.EXPERIMENT, made_up("degradation", found, size="small"), part)
    assert verdict.outcome == outcome
    # t(0.975, 4 degrees of freedom) * sqrt(2 * 0.01 / 3)
    assert f"56 minus {'plain' if part == PLAIN else 'ResNet'}-20 ±0.23 points" in verdict.power


def test_the_seeds_that_would_decide_follow_from_distance_and_spread() -> None:
    verdict = judged(degradation.EXPERIMENT, _rising(0.9), RESIDUAL)
    # 0.1 points from the margin: t(0.975, 2n - 2) * sqrt(2 * 0.01 / n) is 0.12 for n = 7 and 0.104 for 9, 0.099 for 10
    assert verdict.label == "undecided: 6 more seeds would decide"


@pytest.mark.parametrize(("lost", "outcome"), [(0, "reproduced"), (2, "undecided"), (15, "not reproduced")])
def test_residual_nets_that_are_lost_now_and_then_are_counted_on_the_digits(lost: int, outcome: str) -> None:
    seeds = 20
    found: dict[Arm, Sequence[tuple[float, float]]] = {}
    for arm in degradation.EXPERIMENT.arms("digits"):
        deep = arm.config.model.depth == 56 and not arm.config.model.is_plain
        found[arm] = [(60.0 if deep and seed < lost else 0.0, 2.0) for seed in range(seeds)]
    verdict = judged(degradation.EXPERIMENT, made_up("degradation", found), RESIDUAL)
    assert verdict.outcome == outcome
    assert f"; {lost} of 20 are lost, more than 1 point above the mean of 20 layers." in verdict.sentence
    assert "a share of 17 %" in verdict.power  # 1 - 0.025 ** (1 / 20)


def _at_full_length(wrong: dict[str, range]) -> AnyEvidence:
    """wrong: for each net the test images that it gets wrong, of 10,000."""
    arms = degradation.EXPERIMENT.arms("paper")
    found = {arm: [(6.0 if arm.name == "cifar-plain56" else 0.5, len(wrong[arm.name]) / 100)] for arm in arms}
    networks = {name: [tuple(images)] for name, images in wrong.items()}
    return made_up("degradation", found, networks=networks, size="paper")


def test_one_training_each_at_the_papers_length_is_judged_over_its_images() -> None:
    wrong = {
        "cifar-plain20": range(900), "cifar-plain56": range(1300),
        "cifar-resnet20": range(850), "cifar-resnet56": range(700),
    }  # fmt: skip
    evidence = _at_full_length(wrong)
    assert [verdict.outcome for verdict in degradation.EXPERIMENT.judge(evidence)] == ["reproduced"] * 3
    test_error = judged(degradation.EXPERIMENT, evidence, "test error")
    assert (
        "plain-56 minus plain-20 +4.00 points (400 images against 0, McNemar's exact p < 0.01)" in test_error.sentence
    )
    swapped = _at_full_length({**wrong, "cifar-resnet56": range(1000)})
    assert judged(degradation.EXPERIMENT, swapped, "test error").outcome == "not reproduced"
    alike = _at_full_length({**wrong, "cifar-resnet56": range(5, 855)})
    assert judged(degradation.EXPERIMENT, alike, "test error").outcome == "undecided"


def test_the_front_table_shows_the_first_sentence_alone() -> None:
    first = "Plain nets (Sec. 4.1) differ by 1.05 points, p = 0.3."
    more = f"{first} With one seed more is not known. So it stays."
    assert Verdict(outcome="reproduced", sentence=more).headline == first
    assert Verdict(outcome="reproduced", sentence=first).headline == first


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ((5, 4, 3, 2), "reproduced"),
        ((2, 3, 4, 5), "not reproduced"),
        ((3, 3, 3, 3), "not reproduced"),  # less than half a point below
    ],
)
def test_depth(errors: Sequence[float], outcome: str) -> None:
    evidence = _of_depth(depth.EXPERIMENT, size="small", resnet=errors)
    assert judged(depth.EXPERIMENT, evidence).outcome == outcome


def test_depth_stays_undecided_where_the_spread_is_wider_than_the_smallest_effect() -> None:
    arms = depth.EXPERIMENT.arms("small")
    found = {arm: [(5.0, 8.0), (5.0, 9.0), (5.0, 10.0)] for arm in arms}
    verdict = judged(depth.EXPERIMENT, made_up("depth", found, size="small"))
    assert verdict.outcome == "undecided"
    # 0.5 points from equivalence: t(0.975, 2n - 2) * sqrt(2 / n) is 0.508 for n = 31, and 0.4997 for n = 32
    assert verdict.more_seeds == 32 - 3


def test_depth_is_not_testable_where_all_that_can_be_gained_is_less_than_chance() -> None:
    evidence = _of_depth(depth.EXPERIMENT, resnet=(-1, -1, -1, -1.2))  # test errors of 1 %
    for name, records in evidence.records.items():
        for seed, record in enumerate(records):
            right = round(359 * (1 - record.document.final["test"].error / 100))
            change(evidence, name, seed, final={**record.document.final, "test": counts(right, 359)})
    verdict = judged(depth.EXPERIMENT, evidence)
    assert verdict.label == "not testable at this size"
    assert "With 359 test images two networks differ by up to" in verdict.sentence


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ((5, 4.8, 4.6), "reproduced"),
        ((3, 4, 5), "reproduced"),
        ((5, 4, 4), "undecided"),
        ((5, 4, 3), "not reproduced"),
    ],
)
def test_shortcuts(errors: Sequence[float], outcome: str) -> None:
    arms = shortcuts.EXPERIMENT.arms("digits")
    evidence = made_up("shortcuts", {arm: _seeds(e, e) for arm, e in zip(arms, errors, strict=True)})
    assert judged(shortcuts.EXPERIMENT, evidence).outcome == outcome


@pytest.mark.parametrize(
    ("shallow", "deep", "outcome"), [(3, 7, "reproduced"), (3, 2, "not reproduced"), (3, 3.1, "undecided")]
)
def test_the_degradation_at_three_times_the_iterations(shallow: float, deep: float, outcome: str) -> None:
    arms = convergence.EXPERIMENT.arms("small")
    found = {arm: _seeds(deep if arm.config.model.depth == 56 else shallow, 9) for arm in arms}
    evidence = made_up("convergence", found, size="small")
    assert judged(convergence.EXPERIMENT, evidence).outcome == outcome


def _reaching(times: Callable[[int], float | None]) -> AnyEvidence:
    """times: by depth, when plain nets reach the error at the best rate; None for never. Other rates take longer."""
    arms = convergence_rate.EXPERIMENT.arms("digits")
    evidence = made_up("convergence-rate", {arm: _seeds(5, 5) for arm in arms})
    for arm in arms:
        time = times(arm.config.model.depth)
        for seed, noise in enumerate(NOISE):
            slower = 1 if arm.config.optim.lr == 0.05 else 2
            reached = 10**6 if time is None else round(time * slower * (1 + noise / 10))
            change(evidence, arm.name, seed, curve={"train": ((1, 90.0), (reached, 5.0 if time else 50.0))})
    return evidence


@pytest.mark.parametrize(
    ("times", "outcome"),
    [
        (lambda depth: 50 * math.exp(depth / 12), "reproduced"),
        (lambda depth: 50 + 20 * depth, "not reproduced"),
        (lambda depth: 50 * math.exp(depth / 12) if depth < 20 else None, "not testable"),
        (lambda depth: 100.0, "undecided"),
    ],
)
def test_the_rate_of_convergence(times: Callable[[int], float | None], outcome: str) -> None:
    evidence = _reaching(times)
    verdict = judged(convergence_rate.EXPERIMENT, evidence)
    assert verdict.outcome == outcome
    assert isinstance(convergence_rate.EXPERIMENT.draw(evidence), Figure)
    if outcome == "reproduced":
        assert "a factor of 1.65 for every six layers; the exponential is the better description" in verdict.sentence


def test_the_order_of_the_shortcuts_and_what_can_be_seen_are_told() -> None:
    arms = shortcuts.EXPERIMENT.arms("digits")
    found = made_up("shortcuts", {arm: _seeds(e, e) for arm, e in zip(arms, (5, 3, 4), strict=True)})
    sentence = judged(shortcuts.EXPERIMENT, found).sentence
    assert "B (3.00 ± 0.10 %), C (4.00 ± 0.10 %), A (5.00 ± 0.10 %)" in sentence
    # t(0.975, 4 degrees of freedom) * sqrt(2 * 0.01 / 3) on each side
    assert "B minus A is -2.00 points (95 % interval -2.23 to -1.77), p < 0.01" in sentence
    assert "A minus C is +1.00 points (95 % interval +0.77 to +1.23), p < 0.01" in sentence
    alone = made_up("shortcuts", {arm: [(5, 5)] for arm in arms})
    sentence = judged(shortcuts.EXPERIMENT, alone).sentence
    assert "B minus A is +0.00 points (one seed: no interval)" in sentence
    assert "p =" not in sentence


@pytest.mark.parametrize(
    ("rise", "drops", "outcome"),
    [
        (0, 2, "reproduced"),
        (-3, 2, "reproduced"),
        (-3, 1, "not testable"),  # a rate that did not drop tests no plateaus
        (3, 2, "not reproduced"),
        (3, 1, "not testable"),
        (1, 2, "undecided"),
    ],
)
def test_plateau(rise: float, drops: int, outcome: str) -> None:
    fixed, other = plateau.EXPERIMENT.arms("digits")
    evidence = made_up("plateau", {fixed: _seeds(5, 5), other: _seeds(5 + rise, 5 + rise)[::-1]})
    change(evidence, other.name, 1, rate_drops=(50, 75)[:drops])
    verdict = judged(plateau.EXPERIMENT, evidence)
    assert verdict.outcome == outcome
    assert f"dropped 2, {drops}, 2 times" in verdict.sentence


def test_a_short_training_has_the_evaluations_to_find_two_plateaus() -> None:
    for arm in plateau.EXPERIMENT.arms("small"):
        assert arm.config.train.iterations // arm.config.evaluation.every == 23


def _grown(errors: dict[str, float], change: float = 1e-7, moved: int = 0, seeds: int = 3) -> AnyEvidence:
    """errors: of arms whose name ends so, 4 % for the others; seeds differ the other way round in the grown nets."""
    arms = construction.EXPERIMENT.arms("digits")
    found = {arm: _seeds(*[errors.get(arm.name.split("-")[-1], 4.0)] * 2)[:seeds] for arm in arms}
    found = {arm: values[::-1] if arm.name.endswith("grown") else values for arm, values in found.items()}
    insertions = {
        arm.name: [
            tuple(
                Insertion(
                    network=network, seed=seed, stage="every stage", grown="deeper", is_calibrated=is_calibrated,
                    largest_change=change, wrong_before=7, wrong_after=7 - moved, total=359,
                    training_mode_agreement=1.0,
                )
                for is_calibrated in (False, True)
            )
            for seed in range(seeds)
        ]
        for arm, network in zip(
            construction.EXPERIMENT.measured_arms("digits"), ("plain-20", "ResNet-20 (option A)"), strict=True
        )
    }  # fmt: skip
    return made_up("construction", found, networks=insertions)


INSERTING, FURTHER, SCRATCH = "inserting blocks", "training on from there", "solvers do not find it"


@pytest.mark.parametrize(
    ("change", "moved", "outcome"),
    [(1e-7, 0, "reproduced"), (1e-7, 1, "reproduced"), (1e-3, 0, "not reproduced"), (1e-7, 2, "not reproduced")],
)
def test_inserting_blocks(change: float, moved: int, outcome: str) -> None:
    assert judged(construction.EXPERIMENT, _grown({}, change, moved, 1), INSERTING).outcome == outcome


@pytest.mark.parametrize(
    ("errors", "seeds", "outcome"),
    [
        ({"grown": 2}, 3, "reproduced"),
        ({"grown": 4.5}, 3, "reproduced"),
        ({"grown": 5}, 3, "undecided"),
        ({"grown": 2}, 1, "undecided"),
        ({"grown": 9}, 3, "not reproduced"),
        ({"grown": 3.5, "further": 1}, 3, "not reproduced"),
    ],
)
def test_training_on_from_the_construction(errors: dict[str, float], seeds: int, outcome: str) -> None:
    assert judged(construction.EXPERIMENT, _grown(errors, seeds=seeds), FURTHER).outcome == outcome


@pytest.mark.parametrize(("scratch", "outcome"), [(30.0, "reproduced"), (2.1, "not reproduced"), (3.1, "undecided")])
def test_solvers_do_not_find_the_construction(scratch: float, outcome: str) -> None:
    evidence = _grown({"grown": 2, "plain56": scratch})
    assert judged(construction.EXPERIMENT, evidence, SCRATCH).outcome == outcome


def test_a_grown_nets_iterations_are_those_of_both_its_trainings() -> None:
    rows = construction.EXPERIMENT.table(_grown({})).rows
    assert [row[1] for row in rows] == ["510", "680", "680", "510"] * 2
    sentence = judged(construction.EXPERIMENT, _grown({}), FURTHER).sentence
    assert "after 680 iterations in all" in sentence
    assert "at 30 to 40 epochs" in sentence


@pytest.mark.parametrize(
    ("resnet20", "resnet56", "plain20", "plain56", "outcome"),
    [
        (0.5, 0.3, 0.9, 1.0, "reproduced"),
        (0.5, 0.6, 0.9, 1.0, "not reproduced"),
        (0.5, 0.3, 0.9, 0.2, "not reproduced"),
        (0.5, 0.3, 0.4, 1.0, "not reproduced"),
        (0.5, 0.3, 0.5, 1.0, "undecided"),
        (0.95, 0.85, 1.05, 1.1, "not testable"),
    ],
)
def test_responses(resnet20: float, resnet56: float, plain20: float, plain56: float, outcome: str) -> None:
    arms = responses.EXPERIMENT.arms("digits")
    means = {"resnet56": resnet56, "resnet20": resnet20, "plain56": plain56, "plain20": plain20}
    stds = {arm.name: [(means[arm.name.split("-")[1]] + noise / 10,) * 3 for noise in NOISE] for arm in arms}
    evidence = made_up("responses", {arm: _seeds(5, 5) for arm in arms}, networks=stds)
    verdict = judged(responses.EXPERIMENT, evidence)
    assert verdict.outcome == outcome
    assert ("still near 1" in verdict.sentence) == (resnet20 == 0.95)
    assert len(responses.EXPERIMENT.table(evidence).rows) == 4
    for axes in responses.EXPERIMENT.draw(evidence).axes:
        nets = [line for line in axes.lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
        assert [line.get_zorder() for line in nets] == [2, 1, 1, 1] * 4  # the mean in front of the seeds


def _network(kind: str, norm: Norm, depth: int, when: When, seed: int, gradient: Sequence[float]) -> NetworkSignals:
    return NetworkSignals(
        kind=kind, norm=norm, when=when, seed=seed, depth=depth, variance=(1.0, 2.0), gradient=tuple(gradient),
        gradient_norm=(0.5, 0.25, 0.125),
    )  # fmt: skip


def _signals(
    start: Sequence[float],
    ends: Sequence[Sequence[float]],
    decay: float = 1.0,
    change: Callable[[NetworkSignals], NetworkSignals] = lambda network: network,
) -> AnyEvidence:
    """Return evidence of made-up signals.

    Args:
        start: gradients of three layers before training in every net.
        ends: gradients after training, for each seed.
        decay: what deeper nets' gradients are times those of 20 layers, before training.
        change: what happens to each untrained network.
    """
    rows = tuple(
        change(
            replace(
                _network(kind, norm, depth, "start", 0, start),
                gradient_norm=(0.5, 0.25, 0.125 * (1 if depth == 20 else decay)),
            )
        )
        for kind, norm, depth in product(NET_KINDS, normalization.NORMS, normalization.DEPTHS)
    )
    networks = {
        arm.name: [
            _network(
                "plain" if arm.config.model.is_plain else "resnet", "batch", arm.config.model.depth, "end", seed, end
            )
            for seed, end in enumerate(ends)
        ]
        for arm in normalization.EXPERIMENT.measured_arms("digits")
    }
    return made_up("normalization", {}, UntrainedSignals(rows), networks)


HEALTHY = (1.0, 1.0, 0.5)


def test_gradients_that_vanish_with_depth_in_every_layer_alike_are_not_healthy() -> None:
    verdict = judged(normalization.EXPERIMENT, _signals(HEALTHY, (HEALTHY,) * 3, decay=1e-5))
    assert verdict.outcome == "not reproduced"
    assert "is 0.125 in a plain net of 20 layers and 1.25e-06 in one of 110" in verdict.sentence
    assert judged(normalization.EXPERIMENT, _signals(HEALTHY, (HEALTHY,) * 3, decay=0.5)).outcome == "reproduced"


def test_the_rule_on_nets_without_batch_norm_is_shown_as_a_control() -> None:
    def vanish(network: NetworkSignals) -> NetworkSignals:
        is_control = (network.kind, network.norm, network.depth) == ("plain", "none", 110)
        return replace(network, gradient_norm=(1e-9, 1e-9, 1e-9)) if is_control else network

    verdict = judged(normalization.EXPERIMENT, _signals(HEALTHY, (HEALTHY,) * 3, change=vanish))
    assert verdict.outcome == "reproduced"
    assert (
        "with 20, 56 and 110 layers 0, 0 and 1 of 1 plain nets fail, and 0, 0 and 0 residual nets" in verdict.sentence
    )


def test_the_gradients_of_plain_and_residual_nets_are_drawn_to_one_scale() -> None:
    def explode(network: NetworkSignals) -> NetworkSignals:
        is_control = (network.kind, network.norm, network.depth) == ("resnet", "none", 110)
        return replace(network, gradient=(1e8, 1e8, 1e8)) if is_control else network

    evidence = _signals(HEALTHY, (HEALTHY,) * 3, change=explode)
    plain, residual = normalization.EXPERIMENT.draw(evidence).axes[1:]
    assert plain.get_ylim() == residual.get_ylim()
    assert residual.get_ylim()[1] > 1e8


def test_signals_of_one_trained_seed_decide_nothing() -> None:
    verdict = judged(normalization.EXPERIMENT, _signals(HEALTHY, (HEALTHY,)))
    assert verdict.label == "undecided: 2 more seeds would decide"
    assert verdict.sentence.endswith("Few seeds say little of others.")


@pytest.mark.parametrize(
    ("start", "ends", "outcome"),
    [
        (HEALTHY, (HEALTHY,) * 3, "reproduced"),
        ((1e5, 300.0, 1.0), (HEALTHY,) * 3, "reproduced"),  # grows toward the input, as batch norm with ReLU does
        ((1.0, 3.0, 20.0), (HEALTHY,) * 3, "not reproduced"),
        (HEALTHY, ((1.0, 1.0, 0.001), (1.0, 1.0, 0.002)), "not reproduced"),
        (HEALTHY, ((1.0, 1.0, 0.001), HEALTHY, HEALTHY), "undecided"),
    ],
)
def test_normalization(start: Sequence[float], ends: Sequence[Sequence[float]], outcome: str) -> None:
    evidence = _signals(start, ends)
    verdict = judged(normalization.EXPERIMENT, evidence)
    assert verdict.outcome == outcome
    assert ("the factor is 100,000 in" in verdict.sentence) == (start[0] == 1e5)
    assert len(normalization.EXPERIMENT.table(evidence).rows) == 16
    assert normalization.EXPERIMENT.table(evidence).rows[0][6] == "0.125"
    assert isinstance(normalization.EXPERIMENT.draw(evidence), Figure)


def _surfaces(rise: float, centres: tuple[float, float] = (0.1, 0.1), seeds: int = 3) -> AnyEvidence:
    plain, residual = landscape.EXPERIMENT.arms("digits")
    errors = {plain: _seeds(5, 5)[:seeds], residual: _seeds(5, 5)[:seeds]}
    surfaces: dict[str, list[tuple[landscape.Surface, ...]]] = {}
    for arm, height, centre in ((plain, 5.0, centres[0]), (residual, rise, centres[1])):
        surfaces[arm.name] = []
        for noise in NOISE[:seeds]:
            high = height + centre + noise
            side = (high, high, high)
            surfaces[arm.name].append(((side, (high, centre, high), side),) * 5)
    return made_up("landscape", errors, networks=surfaces)


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (_surfaces(0.5), "reproduced"),
        (_surfaces(50.0), "not reproduced"),
        (_surfaces(5.1), "undecided"),
        (_surfaces(0.5, seeds=1), "undecided"),
        (_surfaces(0.5, centres=(0.1, 0.7)), "not testable"),
    ],
)
def test_landscape(evidence: AnyEvidence, outcome: str) -> None:
    assert judged(landscape.EXPERIMENT, evidence).outcome == outcome
    assert len(landscape.EXPERIMENT.table(evidence).rows) in (2, 6)
    assert isinstance(landscape.EXPERIMENT.draw(evidence), Figure)


def _thousand(ends: Sequence[float], size: Size) -> AnyEvidence:
    """ends: the training error of each seed, at the end and in the last window."""
    arms = thousand_layers.EXPERIMENT.arms(size)
    steps = tuple(
        StepCost(
            depth=depth, checkpoint_activations=checkpoints, seconds_per_step=depth / 100, peak_gb=1.5,
            peak_gb_before_training=0.5,
        )
        for depth in (20, 56, 110, 1202) for checkpoints in (False, True)
    )  # fmt: skip
    return made_up("thousand-layers", {arm: [(end, end) for end in ends] for arm in arms}, StepCosts(steps), size=size)


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [((0.05, 0.05), "reproduced"), ((0.05, 0.2), "undecided"), ((0.2, 0.3), "not reproduced")],
)
def test_thousand_layers_at_full_length(ends: Sequence[float], outcome: str) -> None:
    for size in ("digits", "paper"):
        assert judged(thousand_layers.EXPERIMENT, _thousand(ends, size)).outcome == outcome


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (70.0, "In this training the error falls; the test error at its end is 70.00 %"),
        (89.0, "The interval includes no change"),
        (98.0, "the error does not fall"),
    ],
)
def test_a_start_of_thousand_layers_is_no_verdict(last: float, found: str) -> None:
    evidence = _thousand([last], "small")
    for name in evidence.records:
        change(evidence, name, 0, curve={"train": ((10, 90.0), (100, last))})
    verdict = judged(thousand_layers.EXPERIMENT, evidence)
    assert verdict.outcome == "not testable"
    assert found in verdict.sentence
    assert thousand_layers.EXPERIMENT.table(evidence).rows[-1] == ("ResNet-1202", "1.00", "1.00", "1.00", "1.00")
    assert isinstance(thousand_layers.EXPERIMENT.draw(evidence), Figure)


def test_a_depth_that_does_not_fit_is_a_gap_in_table_and_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def cost(config: RunConfig, steps: int) -> StepCost:
        depth, checkpoints = config.model.depth, config.compute.checkpoint_activations
        if depth == 1202 and not checkpoints:
            raise OutOfMemoryError("out of memory in the training steps")
        return StepCost(
            depth=depth,
            checkpoint_activations=checkpoints,
            seconds_per_step=1.0,
            peak_gb=2.0,
            peak_gb_before_training=0.75,
        )

    monkeypatch.setattr(thousand_layers, "step_cost", cost)
    once = thousand_layers.EXPERIMENT.once
    assert once is not None
    costs = once.measure(Bench("digits", None, torch.device("cpu")))
    arms = thousand_layers.EXPERIMENT.arms("digits")
    evidence = made_up("thousand-layers", {arm: [(50.0, 50.0)] for arm in arms}, costs)
    rows = thousand_layers.EXPERIMENT.table(evidence).rows
    assert rows[-1] == ("ResNet-1202", "not measured", "not measured", "1.25", "not measured")
    assert rows[-2][2:] == ("1.25", "1.25", "1.00")
    assert isinstance(thousand_layers.EXPERIMENT.draw(evidence), Figure)


def test_a_start_of_thousand_layers_keeps_the_small_rate() -> None:
    (deep,) = thousand_layers.EXPERIMENT.arms("small")
    assert (deep.config.optim.lr, deep.config.schedule.kind, deep.config.warmup.kind) == (0.01, "constant", "none")


def test_complexity() -> None:
    counts = {"vgg19": 19.6, "vgg16": 15.5, "plain34": 3.6, "resnet18": 1.8, "resnet34": 3.6, "resnet50": 3.8,
              "resnet101": 7.6, "resnet152": 11.3}  # fmt: skip
    rows = tuple(
        NetworkCost(name=name, label=name, parameters=1, multiply_adds=round(count * 1e9), seconds_per_image=1.0)
        for name, count in counts.items()
    )
    conformance = Conformance(networks=5, exact=5, with_paper_figure=4, largest_deviation=0.011)
    costs = Costs(device="cpu", batch_size=4, rows=rows, conformance=conformance)
    evidence = made_up("complexity", {}, costs)
    assert judged(complexity.EXPERIMENT, evidence).outcome == "reproduced"
    assert isinstance(complexity.EXPERIMENT.draw(evidence), Figure)
    inexact = made_up("complexity", {}, replace(costs, conformance=replace(conformance, exact=4)))
    assert judged(complexity.EXPERIMENT, inexact).outcome == "not reproduced"


def _starting(warm: Sequence[float | None], cold: Sequence[float | None]) -> AnyEvidence:
    """When each seed's training error falls below 80 % for good, of 510 iterations; None for never."""
    arms = warmup.EXPERIMENT.arms("digits")
    evidence = made_up("warmup", {arm: [(5.0, 5.0)] * len(warm) for arm in arms})
    for arm, starts in zip(arms, (warm, cold), strict=True):
        for seed, start in enumerate(starts):
            curve = ((10, 100.0), (510, 100.0)) if start is None else ((10, 100.0), (round(start), 50.0))
            change(evidence, arm.name, seed, curve={"train": curve}, iterations=510)
    return evidence


EARLY, LATE = [100 + seed for seed in range(8)], [300 + seed for seed in range(8)]


@pytest.mark.parametrize(
    ("warm", "cold", "outcome"),
    [
        (EARLY, LATE, "reproduced"),
        (EARLY, [None] * 8, "reproduced"),  # censored, not counted as if they had started at the end
        (LATE, EARLY, "not reproduced"),
        (EARLY, EARLY, "undecided"),
        ([None] * 8, [None] * 8, "undecided"),
        ([100] * 8, [100] * 8, "undecided"),
    ],
)
def test_warmup(warm: Sequence[float | None], cold: Sequence[float | None], outcome: str) -> None:
    evidence = _starting(warm, cold)
    verdict = judged(warmup.EXPERIMENT, evidence)
    assert verdict.outcome == outcome
    assert isinstance(warmup.EXPERIMENT.draw(evidence), Figure)
    assert f"{cold.count(None)} of 8 without have not started" in verdict.sentence


@pytest.mark.parametrize("experiment", [degradation.EXPERIMENT, depth.EXPERIMENT, convergence.EXPERIMENT])
def test_a_figure_and_a_table_show_every_network(experiment: AnyExperiment) -> None:
    evidence = made_up(experiment.name, {arm: _seeds(5, 6) for arm in experiment.arms("digits")})
    table = experiment.table(evidence)
    assert len(table.rows) == len(evidence.records)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert isinstance(experiment.draw(evidence), Figure)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_says_its_claim_source_rule_and_the_papers_numbers(name: str) -> None:
    experiment = EXPERIMENTS[name]
    assert experiment.name == name
    for text in (experiment.title, experiment.claim, experiment.source, experiment.rule, experiment.caption):
        assert len(text) > 5
    assert experiment.paper
    assert "eproduced" in experiment.rule
    for size in experiment.sizes:
        names = [arm.name for arm in experiment.arms(size)]
        assert len(set(names)) == len(names)


def test_arms_of_one_name_are_the_same_in_every_experiment() -> None:
    known: dict[str, Arm] = {}
    for experiment in EXPERIMENTS.values():
        for size in experiment.sizes:
            for arm in experiment.arms(size):
                assert known.setdefault(arm.name, arm) == arm


def test_experiments_share_the_arms_that_they_have_in_common() -> None:
    arms = set(degradation.EXPERIMENT.arms("small"))
    assert arms > {*depth.EXPERIMENT.arms("small"), *responses.EXPERIMENT.arms("small")}
    assert arms > set(degradation.judged_arms("small"))


def test_a_short_training_compares_speed_unless_every_net_fits() -> None:
    arms = degradation.EXPERIMENT.arms("digits")
    found = made_up("degradation", {arm: _seeds(5, 5) for arm in arms})
    assert "at an equal budget of 30 epochs: it compares the speed of optimisation" in budget_in_words(found)
    fitted = made_up("degradation", {arm: [(0, 5)] for arm in arms})
    assert "every net fits its training images" in budget_in_words(fitted)
    longer = made_up("convergence", {arm: _seeds(5, 5) for arm in convergence.EXPERIMENT.arms("digits")})
    assert "at 30 to 91 epochs" in budget_in_words(longer)
    full = made_up("degradation", {arm: _seeds(5, 5) for arm in degradation.EXPERIMENT.arms("paper")}, size="paper")
    assert budget_in_words(full) == ""
