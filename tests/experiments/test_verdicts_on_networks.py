"""Verdicts on what was measured inside of networks, and on what they cost."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from reslab import override, recipe, train_run
from reslab.config import RunConfig
from reslab.experiments.arms import FIRST_SEED, NET_KINDS, Size
from reslab.experiments.claims import (
    complexity,
    construction,
    landscape,
    normalization,
    responses,
    thousand_layers,
)
from reslab.experiments.claims.complexity import Conformance, Costs, NetworkCost
from reslab.experiments.claims.construction import Insertion
from reslab.experiments.claims.normalization import UntrainedSignals
from reslab.experiments.claims.thousand_layers import StepCosts
from reslab.experiments.evidence import AnyEvidence
from reslab.experiments.experiment import Bench
from reslab.experiments.step_cost import OutOfMemoryError, StepCost
from reslab.experiments.vanishing import NetworkSignals, When
from reslab.spec import Norm

from .evidence import NOISE, change, judged, made_up, with_noise


def _grown(errors: dict[str, float], change: float = 1e-7, moved: int = 0, seeds: int = 3) -> AnyEvidence:
    """errors: of arms whose name ends so, 4 % for the others; seeds differ the other way round in the grown nets."""
    arms = construction.EXPERIMENT.arms("digits")
    found = {arm: with_noise(*[errors.get(arm.name.split("-")[-1], 4.0)] * 2)[:seeds] for arm in arms}
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


def test_the_layers_that_a_sentence_names_are_those_that_were_inserted() -> None:
    sentence = judged(construction.EXPERIMENT, _grown({}), INSERTING).sentence
    assert sentence.startswith("Inserting 36 layers moves no logit")  # made-up rows are of every stage at once


def test_with_the_first_seed_each_stage_alone_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {
        "train": {"iterations": 2, "log_every": 1},
        "warmup": {"kind": "none"},
        "model": {"num_blocks": [1, 1, 1]},
    }
    config = override(recipe("digits-resnet20"), changes)
    monkeypatch.setattr(construction, "_BLOCKS", 1)
    first = FIRST_SEED["digits"]
    networks = construction.EXPERIMENT.networks
    assert networks is not None
    stages = {}
    for seed in (first, first + 1):
        run = train_run(override(config, {"seed": seed}), tmp_path / str(seed))
        stages[seed] = {row.stage for row in networks.measure(run, Bench("digits", None, torch.device("cpu")))}
    assert stages == {first: {"layer1", "layer2", "layer3", "every stage"}, first + 1: {"every stage"}}


def test_the_untrained_networks_have_seeds_that_no_rule_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalization, "DEPTHS", (20,))
    once = normalization.EXPERIMENT.once
    assert once is not None
    rows = once.measure(Bench("digits", None, torch.device("cpu"))).rows
    assert min(row.seed for row in rows) == FIRST_SEED["digits"]


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
    evidence = made_up("responses", {arm: with_noise(5, 5) for arm in arms}, networks=stds)
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
    errors = {plain: with_noise(5, 5)[:seeds], residual: with_noise(5, 5)[:seeds]}
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
