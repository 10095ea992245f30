"""Verdicts follow from the numbers by the rule on the page, whichever way they fall."""

import math
from collections.abc import Callable, Sequence

import pytest
from matplotlib.figure import Figure

from reslab.experiments.arms import Arm, Size
from reslab.experiments.catalog import EXPERIMENTS
from reslab.experiments.claims import (
    convergence,
    convergence_rate,
    degradation,
    depth,
    imagenet_nets,
    plateau,
    responses,
    shortcuts,
    warmup,
)
from reslab.experiments.evidence import AnyEvidence
from reslab.experiments.experiment import AnyExperiment
from reslab.experiments.judged import PairedAnswers
from reslab.experiments.verdict import Verdict
from reslab.experiments.wording import budget_in_words
from tests.artifacts.made_up import counts

from .evidence import NOISE, change, judged, made_up, with_noise


def _of_depth(experiment: AnyExperiment, size: Size = "digits", **errors: Sequence[float]) -> AnyEvidence:
    """errors: for each kind its training errors by depth, the test error 2 points above."""
    arms = experiment.arms(size)
    found: dict[Arm, Sequence[tuple[float, float]]] = {}
    for kind, values in errors.items():
        mine = [arm for arm in arms if arm.config.model.is_plain is (kind == "plain")]
        found |= {arm: with_noise(value, value + 2) for arm, value in zip(mine, values, strict=True)}
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
    found = {arm: with_noise(error, error) for arm, error in zip(arms, errors, strict=True)}
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
    found = {arm: with_noise(5 + (points if arm.config.model.depth == 56 else 0), 8) for arm in arms}
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
        arm: with_noise(5 + (rises if arm.config.model.depth == 56 else 0), 8)
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
    assert f"; {lost} of 20 end more than 1 point above the mean of 20 layers." in verdict.sentence
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
    assert judged(degradation.EXPERIMENT, alike, "test error").label.startswith("undecided: more than 1,000 more")


def test_paired_answers_of_more_seeds_count_together_and_say_how_many_would_decide() -> None:
    pair = PairedAnswers(what="two nets", only_first=60, only_second=45, total=10_000)
    assert not pair.holds
    assert pair.more_seeds is not None
    times = 1 + pair.more_seeds
    more = PairedAnswers(what="", only_first=60 * times, only_second=45 * times, total=10_000 * times, seeds=times)
    fewer = PairedAnswers(what="", only_first=60 * (times - 1), only_second=45 * (times - 1), total=1, seeds=times - 1)
    assert more.holds
    assert not fewer.holds
    assert more.difference == pair.difference == 0.15


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
    evidence = made_up("shortcuts", {arm: with_noise(e, e) for arm, e in zip(arms, errors, strict=True)})
    assert judged(shortcuts.EXPERIMENT, evidence).outcome == outcome


@pytest.mark.parametrize(
    ("shallow", "deep", "outcome"), [(3, 7, "reproduced"), (3, 2, "not reproduced"), (3, 3.1, "undecided")]
)
def test_the_degradation_at_three_times_the_iterations(shallow: float, deep: float, outcome: str) -> None:
    arms = convergence.EXPERIMENT.arms("small")
    found = {arm: with_noise(deep if arm.config.model.depth == 56 else shallow, 9) for arm in arms}
    evidence = made_up("convergence", found, size="small")
    assert judged(convergence.EXPERIMENT, evidence).outcome == outcome


def _reaching(times: Callable[[int], float | None]) -> AnyEvidence:
    """times: by depth, when plain nets reach the error at the best rate; None for never. Other rates take longer."""
    arms = convergence_rate.EXPERIMENT.arms("digits")
    evidence = made_up("convergence-rate", {arm: with_noise(5, 5) for arm in arms})
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
    found = made_up("shortcuts", {arm: with_noise(e, e) for arm, e in zip(arms, (5, 3, 4), strict=True)})
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
    evidence = made_up("plateau", {fixed: with_noise(5, 5), other: with_noise(5 + rise, 5 + rise)[::-1]})
    change(evidence, other.name, 1, rate_drops=(50, 75)[:drops])
    verdict = judged(plateau.EXPERIMENT, evidence)
    assert verdict.outcome == outcome
    assert f"dropped 2, {drops}, 2 times" in verdict.sentence


def test_a_short_training_has_the_evaluations_to_find_two_plateaus() -> None:
    for arm in plateau.EXPERIMENT.arms("small"):
        assert arm.config.train.iterations // arm.config.evaluation.every == 23


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
    evidence = made_up(experiment.name, {arm: with_noise(5, 6) for arm in experiment.arms("digits")})
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
    found = made_up("degradation", {arm: with_noise(5, 5) for arm in arms})
    assert "at an equal budget of 30 epochs: it compares the speed of optimisation" in budget_in_words(found)
    fitted = made_up("degradation", {arm: [(0, 5)] for arm in arms})
    assert "every net fits its training images" in budget_in_words(fitted)
    longer = made_up("convergence", {arm: with_noise(5, 5) for arm in convergence.EXPERIMENT.arms("digits")})
    assert "at 30 to 91 epochs" in budget_in_words(longer)
    full = made_up("degradation", {arm: with_noise(5, 5) for arm in degradation.EXPERIMENT.arms("paper")}, size="paper")
    assert budget_in_words(full) == ""
