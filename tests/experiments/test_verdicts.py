"""Verdicts follow from the numbers by the rule on the page, whichever way they fall."""

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
    degradation,
    depth,
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
from reslab.experiments.experiment import AnyExperiment, Bench, Verdict
from reslab.experiments.step_cost import OutOfMemoryError, StepCost
from reslab.experiments.vanishing import NetworkSignals, When
from reslab.experiments.wording import budget_in_words
from reslab.spec import Norm
from tests.artifacts.made_up import counts

from .evidence import change, made_up

NOISE = (-0.1, 0.0, 0.1)


def _seeds(train: float, test: float) -> Sequence[tuple[float, float]]:
    return [(train + noise, test + noise) for noise in NOISE]


def _of_depth(experiment: AnyExperiment, **errors: Sequence[float]) -> AnyEvidence:
    """errors: for each kind its training errors by depth, the test error 2 points above."""
    arms = experiment.arms("digits")
    found: dict[Arm, Sequence[tuple[float, float]]] = {}
    for kind, values in errors.items():
        mine = [arm for arm in arms if arm.config.model.is_plain is (kind == "plain")]
        found |= {arm: _seeds(value, value + 2) for arm, value in zip(mine, values, strict=True)}
    return made_up(experiment.name, found)


@pytest.mark.parametrize(
    ("plain", "resnet", "outcome"),
    [
        ((5, 6, 8, 10), (5, 4, 3, 2), "reproduced"),
        ((5, 6, 8, 10), (5, 6, 8, 10), "not reproduced"),
        ((5, 4, 3, 2), (5, 4, 3, 2), "not reproduced"),
        ((5, 5, 5, 5), (5, 5, 5, 5), "inconclusive"),
        ((5, 6, 8, 45), (5, 5, 5, 5.3), "reproduced"),
        ((5, 6, 8, 10), (5, 5, 5, 5.9), "inconclusive"),
        ((5, 5, 5, 5.5), (5, 5, 5, 5.5), "inconclusive"),  # plain nets degrade, but no more than residual ones
        ((5, 5, 5, 5.4), (5, 5, 5, 5.9), "not reproduced"),  # and here less
    ],
)
def test_degradation(plain: Sequence[float], resnet: Sequence[float], outcome: str) -> None:
    evidence = _of_depth(degradation.EXPERIMENT, plain=plain, resnet=resnet)
    assert degradation.EXPERIMENT.judge(evidence).outcome == outcome


def test_a_depth_with_another_recipe_is_shown_and_judges_nothing() -> None:
    arms = degradation.EXPERIMENT.arms("paper")
    worse = {"plain": {56: 6, 110: 1}, "resnet": {56: 0, 110: 9}}  # points of training error above 20 layers
    found: dict[Arm, Sequence[tuple[float, float]]] = {}
    for arm in arms:
        model = arm.config.model
        rise = worse["plain" if model.is_plain else "resnet"].get(model.depth, 0)
        found[arm] = _seeds(5 + rise, 8)
    evidence = made_up("degradation", found, size="paper")
    verdict = degradation.EXPERIMENT.judge(evidence)
    assert verdict.outcome == "reproduced"
    assert "From 20 to 56 layers the clean training error changes by +6.00 points" in verdict.sentence
    assert len(degradation.EXPERIMENT.table(evidence).rows) == 10


def test_a_residual_gap_that_nobody_could_see_is_no_cure() -> None:
    evidence = _of_depth(degradation.EXPERIMENT, plain=(5, 6, 8, 30), resnet=(5, 5, 5, 8))
    deepest = [name for name in evidence.records if "resnet56" in name]
    for seed, record in enumerate(evidence.records[deepest[0]]):
        train = counts(9_200 + 200 * (seed - 1), 10_000)  # 8 % on average, and 4 points about it
        change(evidence, deepest[0], seed, final={**record.document.final, "train": train})
    verdict = degradation.EXPERIMENT.judge(evidence)
    assert verdict.outcome == "inconclusive"
    assert "the first is +22.00 points" in verdict.sentence


def test_the_front_table_shows_the_first_sentence_alone() -> None:
    first = "Plain nets (Sec. 4.1) differ by 1.05 points, p = 0.3."
    assert Verdict("reproduced", f"{first} With one seed more is not known. So it stays.").headline == first
    assert Verdict("reproduced", first).headline == first


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [((5, 4, 3, 2), "reproduced"), ((2, 3, 4, 5), "not reproduced"), ((3, 3, 3, 3), "inconclusive")],
)
def test_depth(errors: Sequence[float], outcome: str) -> None:
    assert depth.EXPERIMENT.judge(_of_depth(depth.EXPERIMENT, resnet=errors)).outcome == outcome


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ((5, 4.8, 4.6), "reproduced"),
        ((3, 4, 5), "reproduced"),
        ((5, 4, 4), "inconclusive"),
        ((5, 4, 3), "not reproduced"),
    ],
)
def test_shortcuts(errors: Sequence[float], outcome: str) -> None:
    arms = shortcuts.EXPERIMENT.arms("digits")
    evidence = made_up("shortcuts", {arm: _seeds(e, e) for arm, e in zip(arms, errors, strict=True)})
    assert shortcuts.EXPERIMENT.judge(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ((5, 4, 3, 9, 8, 7), "reproduced"),
        ((5, 4, 3, 9, 5, 2), "not reproduced"),
        ((5, 4, 3, 9, 9, 9), "inconclusive"),
    ],
)
def test_convergence(errors: Sequence[float], outcome: str) -> None:
    arms = convergence.EXPERIMENT.arms("digits")
    # seeds differ the other way round with the longest budget: all the same change would have no interval
    found = {arm: _seeds(e, e)[:: -1 if "3x" in arm.name else 1] for arm, e in zip(arms, errors, strict=True)}
    evidence = made_up("convergence", found)
    assert convergence.EXPERIMENT.judge(evidence).outcome == outcome


def test_the_order_of_the_shortcuts_and_what_can_be_seen_are_told() -> None:
    arms = shortcuts.EXPERIMENT.arms("digits")
    found = made_up("shortcuts", {arm: _seeds(e, e) for arm, e in zip(arms, (5, 3, 4), strict=True)})
    sentence = shortcuts.EXPERIMENT.judge(found).sentence
    assert "B (3.00 ± 0.10 %), C (4.00 ± 0.10 %), A (5.00 ± 0.10 %)" in sentence
    # t(0.975, 4 degrees of freedom) * sqrt(2 * 0.01 / 3) on each side
    assert "B minus A is -2.00 points (95 % interval -2.23 to -1.77), p < 0.01" in sentence
    assert "A minus C is +1.00 points (95 % interval +0.77 to +1.23), p < 0.01" in sentence
    alone = made_up("shortcuts", {arm: [(5, 5)] for arm in arms})
    sentence = shortcuts.EXPERIMENT.judge(alone).sentence
    assert "B minus A is +0.00 points (one seed: no interval)" in sentence
    assert "p =" not in sentence


@pytest.mark.parametrize(
    ("rise", "drops", "outcome"),
    [
        (0, 2, "reproduced"),
        (-3, 2, "reproduced"),
        (-3, 1, "inconclusive"),  # a rate that did not drop tests no plateaus
        (3, 2, "not reproduced"),
        (3, 1, "inconclusive"),
        (1, 2, "inconclusive"),
    ],
)
def test_plateau(rise: float, drops: int, outcome: str) -> None:
    fixed, other = plateau.EXPERIMENT.arms("digits")
    evidence = made_up("plateau", {fixed: _seeds(5, 5), other: _seeds(5 + rise, 5 + rise)[::-1]})
    change(evidence, other.name, 1, rate_drops=(50, 75)[:drops])
    verdict = plateau.EXPERIMENT.judge(evidence)
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


@pytest.mark.parametrize(
    ("errors", "change", "moved", "seeds", "outcome"),
    [
        ({"grown": 2}, 1e-7, 0, 3, "reproduced"),
        ({"grown": 2}, 1e-7, 1, 3, "reproduced"),
        ({"grown": 4.5}, 1e-7, 0, 3, "reproduced"),
        ({"grown": 5}, 1e-7, 0, 3, "inconclusive"),
        ({"grown": 2}, 1e-7, 0, 1, "inconclusive"),
        ({"grown": 9}, 1e-7, 0, 3, "not reproduced"),
        ({"grown": 3.5, "further": 1}, 1e-7, 0, 3, "not reproduced"),
        ({"grown": 2}, 1e-3, 0, 3, "not reproduced"),
        ({"grown": 2}, 1e-7, 2, 1, "not reproduced"),
    ],
)
def test_construction(errors: dict[str, float], change: float, moved: int, seeds: int, outcome: str) -> None:
    evidence = _grown(errors, change, moved, seeds)
    assert construction.EXPERIMENT.judge(evidence).outcome == outcome


def test_a_grown_nets_iterations_are_those_of_both_its_trainings() -> None:
    rows = construction.EXPERIMENT.table(_grown({})).rows
    assert [row[1] for row in rows] == ["510", "680", "680", "510"] * 2
    sentence = construction.EXPERIMENT.judge(_grown({})).sentence
    assert "after 680 iterations in all" in sentence
    assert "at 30 to 40 epochs" in sentence


@pytest.mark.parametrize(
    ("resnet20", "resnet56", "plain20", "plain56", "outcome"),
    [
        (0.5, 0.3, 0.9, 1.0, "reproduced"),
        (0.5, 0.6, 0.9, 1.0, "not reproduced"),
        (0.5, 0.3, 0.9, 0.2, "not reproduced"),
        (0.5, 0.3, 0.4, 1.0, "not reproduced"),
        (0.5, 0.3, 0.5, 1.0, "inconclusive"),
        (0.95, 0.85, 1.05, 1.1, "inconclusive"),
    ],
)
def test_responses(resnet20: float, resnet56: float, plain20: float, plain56: float, outcome: str) -> None:
    arms = responses.EXPERIMENT.arms("digits")
    means = {"resnet56": resnet56, "resnet20": resnet20, "plain56": plain56, "plain20": plain20}
    stds = {arm.name: [(means[arm.name.split("-")[1]] + noise / 10,) * 3 for noise in NOISE] for arm in arms}
    evidence = made_up("responses", {arm: _seeds(5, 5) for arm in arms}, networks=stds)
    verdict = responses.EXPERIMENT.judge(evidence)
    assert verdict.outcome == outcome
    assert ("still near 1" in verdict.sentence) == (resnet20 == 0.95)
    assert len(responses.EXPERIMENT.table(evidence).rows) == 4
    for axes in responses.EXPERIMENT.draw(evidence).axes:
        nets = [line for line in axes.lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
        assert [line.get_zorder() for line in nets] == [2, 1, 1] * 4  # the first seed in front of the others


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
    verdict = normalization.EXPERIMENT.judge(_signals(HEALTHY, (HEALTHY, HEALTHY), decay=1e-5))
    assert verdict.outcome == "not reproduced"
    assert "is 0.125 in a plain net of 20 layers and 1.25e-06 in one of 110" in verdict.sentence
    assert normalization.EXPERIMENT.judge(_signals(HEALTHY, (HEALTHY, HEALTHY), decay=0.5)).outcome == "reproduced"


def test_the_rule_on_nets_without_batch_norm_is_shown_as_a_control() -> None:
    def vanish(network: NetworkSignals) -> NetworkSignals:
        is_control = (network.kind, network.norm, network.depth) == ("plain", "none", 110)
        return replace(network, gradient_norm=(1e-9, 1e-9, 1e-9)) if is_control else network

    verdict = normalization.EXPERIMENT.judge(_signals(HEALTHY, (HEALTHY, HEALTHY), change=vanish))
    assert verdict.outcome == "reproduced"
    assert (
        "with 20, 56 and 110 layers 0, 0 and 1 of 1 plain nets fail, and 0, 0 and 0 residual nets" in verdict.sentence
    )


def test_the_gradients_of_plain_and_residual_nets_are_drawn_to_one_scale() -> None:
    def explode(network: NetworkSignals) -> NetworkSignals:
        is_control = (network.kind, network.norm, network.depth) == ("resnet", "none", 110)
        return replace(network, gradient=(1e8, 1e8, 1e8)) if is_control else network

    evidence = _signals(HEALTHY, (HEALTHY, HEALTHY), change=explode)
    plain, residual = normalization.EXPERIMENT.draw(evidence).axes[1:]
    assert plain.get_ylim() == residual.get_ylim()
    assert residual.get_ylim()[1] > 1e8


def test_signals_of_one_trained_seed_decide_nothing() -> None:
    verdict = normalization.EXPERIMENT.judge(_signals(HEALTHY, (HEALTHY,)))
    assert verdict.outcome == "inconclusive"
    assert verdict.sentence.endswith("One trained seed says nothing of the others.")


@pytest.mark.parametrize(
    ("start", "ends", "outcome"),
    [
        (HEALTHY, (HEALTHY, HEALTHY), "reproduced"),
        ((1e5, 300.0, 1.0), (HEALTHY, HEALTHY), "reproduced"),  # grows toward the input, as batch norm with ReLU does
        ((1.0, 3.0, 20.0), (HEALTHY, HEALTHY), "not reproduced"),
        (HEALTHY, ((1.0, 1.0, 0.001), (1.0, 1.0, 0.002)), "not reproduced"),
        (HEALTHY, ((1.0, 1.0, 0.001), HEALTHY), "inconclusive"),
    ],
)
def test_normalization(start: Sequence[float], ends: Sequence[Sequence[float]], outcome: str) -> None:
    evidence = _signals(start, ends)
    verdict = normalization.EXPERIMENT.judge(evidence)
    assert verdict.outcome == outcome
    assert ("the factor is 100,000 in" in verdict.sentence) == (start[0] == 1e5)
    assert len(normalization.EXPERIMENT.table(evidence).rows) == 16
    assert normalization.EXPERIMENT.table(evidence).rows[0][6] == "0.125"
    assert isinstance(normalization.EXPERIMENT.draw(evidence), Figure)


def _surfaces(rise: float, centres: tuple[float, float] = (0.1, 0.1), seeds: int = 2) -> AnyEvidence:
    plain, residual = landscape.EXPERIMENT.arms("digits")
    (steep, smooth) = (
        [[height + centre] * 3, [height + centre, centre, height + centre], [height + centre] * 3]
        for height, centre in zip((5.0, rise), centres, strict=True)
    )
    steep[0][0] = 0.5
    surfaces = {arm.name: [tuple(map(tuple, s))] * seeds for arm, s in ((plain, steep), (residual, smooth))}
    errors = {plain: _seeds(5, 5)[:seeds], residual: _seeds(5, 5)[:seeds]}
    return made_up("landscape", errors, networks=surfaces)


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (_surfaces(0.5), "reproduced"),
        (_surfaces(50.0), "not reproduced"),
        (_surfaces(0.5, seeds=1), "inconclusive"),
        (_surfaces(0.5, centres=(0.1, 0.7)), "inconclusive"),
    ],
)
def test_landscape(evidence: AnyEvidence, outcome: str) -> None:
    assert landscape.EXPERIMENT.judge(evidence).outcome == outcome
    assert len(landscape.EXPERIMENT.table(evidence).rows) in (2, 4)
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
    [((0.05, 0.05), "reproduced"), ((0.05, 0.2), "inconclusive"), ((0.2, 0.3), "not reproduced")],
)
def test_thousand_layers_at_full_length(ends: Sequence[float], outcome: str) -> None:
    assert thousand_layers.EXPERIMENT.judge(_thousand(ends, "paper")).outcome == outcome


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
    verdict = thousand_layers.EXPERIMENT.judge(evidence)
    assert verdict.outcome == "inconclusive"
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
    assert complexity.EXPERIMENT.judge(evidence).outcome == "reproduced"
    assert isinstance(complexity.EXPERIMENT.draw(evidence), Figure)
    inexact = made_up("complexity", {}, replace(costs, conformance=replace(conformance, exact=4)))
    assert complexity.EXPERIMENT.judge(inexact).outcome == "not reproduced"


def test_warmup() -> None:
    warm, cold = warmup.EXPERIMENT.arms("digits")
    evidence = made_up("warmup", {warm: _seeds(5, 5), cold: _seeds(5, 5)})
    assert warmup.EXPERIMENT.judge(evidence).outcome == "inconclusive"  # both start at the same iteration
    assert isinstance(warmup.EXPERIMENT.draw(evidence), Figure)
    assert "+0 iterations (the same in every seed)" in warmup.EXPERIMENT.judge(evidence).sentence
    for late in range(len(evidence.records[cold.name])):
        change(evidence, cold.name, late, curve={"train": ((10, 100.0), (200 + late, 50.0))})
    assert warmup.EXPERIMENT.judge(evidence).outcome == "reproduced"
    swapped = {warm.name: evidence.records[cold.name], cold.name: evidence.records[warm.name]}
    assert warmup.EXPERIMENT.judge(replace(evidence, records=swapped)).outcome == "not reproduced"
    alone = made_up("warmup", {warm: [(5, 5)], cold: [(5, 5)]})
    assert "+0 iterations (one seed: no interval)" in warmup.EXPERIMENT.judge(alone).sentence


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
    for size in ("digits", "small", "paper"):
        names = [arm.name for arm in experiment.arms(size)]
        assert len(set(names)) == len(names)


def test_arms_of_one_name_are_the_same_in_every_experiment() -> None:
    known: dict[str, Arm] = {}
    for experiment in EXPERIMENTS.values():
        for size in ("digits", "small", "paper"):
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
