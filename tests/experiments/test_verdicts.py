"""Verdicts follow from the numbers by the rule on the page, whichever way they fall."""

from collections.abc import Sequence

import pytest
from matplotlib.figure import Figure

from reslab.experiments import (
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
from reslab.experiments.arms import Arm
from reslab.experiments.catalog import EXPERIMENTS
from reslab.experiments.evidence import Evidence
from reslab.experiments.experiment import Experiment

from .evidence import made_up

NOISE = (-0.1, 0.0, 0.1)


def _seeds(train: float, test: float) -> Sequence[tuple[float, float]]:
    return [(train + noise, test + noise) for noise in NOISE]


def _of_depth(experiment: Experiment, **errors: Sequence[float]) -> Evidence:
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
    ],
)
def test_degradation(plain: Sequence[float], resnet: Sequence[float], outcome: str) -> None:
    evidence = _of_depth(degradation.EXPERIMENT, plain=plain, resnet=resnet)
    assert degradation.EXPERIMENT.judge(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [((5, 4, 3, 2), "reproduced"), ((2, 3, 4, 5), "not reproduced"), ((3, 3, 3, 3), "inconclusive")],
)
def test_depth(errors: Sequence[float], outcome: str) -> None:
    assert depth.EXPERIMENT.judge(_of_depth(depth.EXPERIMENT, resnet=errors)).outcome == outcome


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [((5, 4, 3), "reproduced"), ((5, 4, 4), "inconclusive"), ((4, 5, 3), "not reproduced")],
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
    evidence = made_up("convergence", {arm: _seeds(e, e) for arm, e in zip(arms, errors, strict=True)})
    assert convergence.EXPERIMENT.judge(evidence).outcome == outcome


@pytest.mark.parametrize(("rise", "outcome"), [(0, "reproduced"), (-3, "reproduced"), (3, "not reproduced")])
def test_plateau(rise: float, outcome: str) -> None:
    fixed, other = plateau.EXPERIMENT.arms("digits")
    evidence = made_up("plateau", {fixed: _seeds(5, 5), other: _seeds(5 + rise, 5 + rise)})
    assert plateau.EXPERIMENT.judge(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("grown", "change", "outcome"),
    [(2, 1e-7, "reproduced"), (9, 1e-7, "not reproduced"), (2, 1e-3, "not reproduced")],
)
def test_construction(grown: float, change: float, outcome: str) -> None:
    arms = construction.EXPERIMENT.arms("digits")
    errors = {arm: _seeds(*[{"grown": grown}.get(arm.name.split("-")[-1], 4.0)] * 2) for arm in arms}
    facts = {"largest_change": change, "wrong_before": 7, "wrong_after": 7, "training_mode_agreement": 1.0}
    insertions = [{**facts, "is_calibrated": is_calibrated} for is_calibrated in (False, True)]
    evidence = made_up("construction", errors, {"insertions": insertions})
    assert construction.EXPERIMENT.judge(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("deep", "shallow", "plain", "outcome"),
    [(0.3, 0.5, 1.0, "reproduced"), (0.6, 0.5, 1.0, "not reproduced"), (0.3, 0.5, 0.2, "not reproduced")],
)
def test_responses(deep: float, shallow: float, plain: float, outcome: str) -> None:
    arms = responses.EXPERIMENT.arms("digits")
    means = {"resnet56": deep, "resnet20": shallow, "plain56": plain, "plain20": plain}
    stds = {arm.name: [[means[arm.name.split("-")[1]] + noise / 10] * 3 for noise in NOISE] for arm in arms}
    evidence = made_up("responses", {arm: _seeds(5, 5) for arm in arms}, {"stds": stds})
    assert responses.EXPERIMENT.judge(evidence).outcome == outcome
    assert len(responses.EXPERIMENT.table(evidence).rows) == 4
    assert isinstance(responses.EXPERIMENT.draw(evidence), Figure)


@pytest.mark.parametrize(("smallest", "outcome"), [(0.5, "reproduced"), (0.001, "not reproduced")])
def test_normalization(smallest: float, outcome: str) -> None:
    rows = [
        {"kind": kind, "norm": norm, "depth": depth, "when": "start", "seed": 0, "variance": [1.0, 2.0],
         "gradient": [1.0, 1.0, smallest]}
        for kind in normalization.KINDS for norm in normalization.NORMS for depth in normalization.DEPTHS
    ]  # fmt: skip
    evidence = made_up("normalization", {}, {"rows": rows})
    assert normalization.EXPERIMENT.judge(evidence).outcome == outcome
    assert len(normalization.EXPERIMENT.table(evidence).rows) == 12
    assert isinstance(normalization.EXPERIMENT.draw(evidence), Figure)


@pytest.mark.parametrize(("rise", "outcome"), [(0.5, "reproduced"), (50.0, "not reproduced")])
def test_landscape(rise: float, outcome: str) -> None:
    plain, residual = landscape.EXPERIMENT.arms("digits")
    steep, smooth = ([[height] * 3, [height, 0.1, height], [height] * 3] for height in (5.0, rise))
    steep[0][0] = 0.5
    surfaces = {plain.name: [steep], residual.name: [smooth]}
    evidence = made_up(
        "landscape", {plain: _seeds(5, 5), residual: _seeds(5, 5)}, {"surfaces": surfaces, "side": 3, "images": 1}
    )
    assert landscape.EXPERIMENT.judge(evidence).outcome == outcome
    assert isinstance(landscape.EXPERIMENT.draw(evidence), Figure)


@pytest.mark.parametrize(("train", "outcome"), [(0.05, "reproduced"), (30.0, "inconclusive"), (95.0, "not reproduced")])
def test_thousand_layers(train: float, outcome: str) -> None:
    (deep,) = thousand_layers.EXPERIMENT.arms("digits")
    steps = [
        {"depth": depth, "checkpoint_activations": checkpoints, "seconds_per_step": depth / 100, "peak_gb": 1.0}
        for depth in (20, 56, 110, 1202) for checkpoints in (False, True)
    ]  # fmt: skip
    evidence = made_up("thousand-layers", {deep: [(train, train)]}, {"steps": steps})
    assert thousand_layers.EXPERIMENT.judge(evidence).outcome == outcome
    assert thousand_layers.EXPERIMENT.table(evidence).rows[-1][1] == "1.00"
    assert isinstance(thousand_layers.EXPERIMENT.draw(evidence), Figure)


def test_complexity() -> None:
    counts = {"vgg19": 19.6, "vgg16": 15.5, "plain34": 3.6, "resnet18": 1.8, "resnet34": 3.6, "resnet50": 3.8,
              "resnet101": 7.6, "resnet152": 11.3}  # fmt: skip
    rows = [
        {"name": name, "label": name, "parameters": 1, "multiply_adds": round(count * 1e9), "seconds_per_image": 1.0}
        for name, count in counts.items()
    ]
    conformance = {"networks": 5, "exact": 5, "with_paper_figure": 4, "largest_deviation": 0.011}
    evidence = made_up("complexity", {}, {"rows": rows, "conformance": conformance})
    assert complexity.EXPERIMENT.judge(evidence).outcome == "reproduced"
    assert isinstance(complexity.EXPERIMENT.draw(evidence), Figure)
    conformance["exact"] = 4
    assert complexity.EXPERIMENT.judge(evidence).outcome == "not reproduced"


def test_warmup() -> None:
    warm, cold = warmup.EXPERIMENT.arms("digits")
    evidence = made_up("warmup", {warm: _seeds(5, 5), cold: _seeds(5, 5)})
    assert warmup.EXPERIMENT.judge(evidence).outcome == "inconclusive"  # both start at the same iteration
    assert isinstance(warmup.EXPERIMENT.draw(evidence), Figure)
    for late, record in enumerate(evidence.records[cold.name]):
        record.values["curve"] = {"train": [[10, 100.0], [200 + late, 50.0]]}
    assert warmup.EXPERIMENT.judge(evidence).outcome == "reproduced"


@pytest.mark.parametrize("experiment", [degradation.EXPERIMENT, depth.EXPERIMENT, convergence.EXPERIMENT])
def test_a_figure_and_a_table_show_every_network(experiment: Experiment) -> None:
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
    keys: dict[str, str] = {}
    for experiment in EXPERIMENTS.values():
        for size in ("digits", "small", "paper"):
            for arm in experiment.arms(size):
                assert keys.setdefault(arm.name, arm.key) == arm.key
