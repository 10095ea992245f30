"""Cosines of input gradients: the rule falls every way, and the measurement is that of a hand-written loop."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from reslab import create_model
from reslab.data.stream import Batch
from reslab.experiments.claims.shattering import EXPERIMENT, NetworkCosines, Shattering, gradient_cosines
from reslab.experiments.evidence import AnyEvidence

from .evidence import made_up

PLAIN, RESIDUAL = "plain nets", "residual nets"
NETS = (("plain", 20), ("plain", 56), ("resnet", 20), ("resnet", 56), ("resnet", 110))
SPREAD = (-0.01, -0.01, 0.0, 0.01, 0.01)  # standard deviation 0.01: the half-width is 2.776 * 0.01 / sqrt(5) = 0.0124


def _evidence(plain: float = 0.02, residual: float = 0.4, spread: Sequence[float] = SPREAD) -> AnyEvidence:
    """Mean cosines at 2 % of noise in the nets of 56 layers; those of other nets are 0.5."""
    means = {("plain", 56): plain, ("resnet", 56): residual}
    rows = tuple(
        NetworkCosines(kind, depth, seed, (0.9, 0.8, means.get((kind, depth), 0.5) + noise, 0.0, -0.01))
        for kind, depth in NETS
        for seed, noise in enumerate(spread)
    )
    return made_up("shattering", {}, once=Shattering((0.2, 0.6, 2.0, 6.0, 20.0), rows))


@pytest.mark.parametrize(
    ("plain", "outcome"), [(0.03, "reproduced"), (0.045, "undecided"), (0.055, "undecided"), (0.07, "not reproduced")]
)
def test_gradients_of_plain_nets_are_noise_or_not(plain: float, outcome: str) -> None:
    verdicts = {verdict.part: verdict.outcome for verdict in EXPERIMENT.judge(_evidence(plain=plain))}
    assert verdicts == {PLAIN: outcome, RESIDUAL: "reproduced"}


@pytest.mark.parametrize(
    ("residual", "outcome"), [(0.22, "reproduced"), (0.21, "undecided"), (0.19, "undecided"), (0.1, "not reproduced")]
)
def test_gradients_of_residual_nets_stay_alike_or_do_not(residual: float, outcome: str) -> None:
    verdicts = {verdict.part: verdict.outcome for verdict in EXPERIMENT.judge(_evidence(residual=residual))}
    assert verdicts == {PLAIN: "reproduced", RESIDUAL: outcome}


def test_the_sentence_tells_the_interval_and_the_other_depths() -> None:
    plain, residual = EXPERIMENT.judge(_evidence())
    assert "is 0.020 ± 0.010 in plain-56 (95 % interval 0.008 to 0.032); it is 0.500" in plain.sentence
    assert residual.sentence.endswith("0.500 ± 0.010 in ResNet-20, 0.500 ± 0.010 in ResNet-110.")
    undecided = EXPERIMENT.judge(_evidence(plain=0.045))[0]
    # 0.005 from the limit: t(0.975, n - 1) * 0.01 / sqrt(n) is 0.0051 for 17 seeds and 0.00497 for 18
    assert undecided.label == "undecided: 13 more seeds would decide"


def test_table_and_figure_show_every_network_and_level() -> None:
    evidence = _evidence()
    table = EXPERIMENT.table(evidence)
    assert [row[0] for row in table.rows] == ["plain-20", "plain-56", "ResNet-20", "ResNet-56", "ResNet-110"]
    assert table.columns[4] == "cosine at 2 % of noise"
    assert table.rows[1][4] == "0.020 ± 0.010"
    assert all(len(row) == len(table.columns) for row in table.rows)
    figure = EXPERIMENT.draw(evidence)
    assert isinstance(figure, Figure)
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]  # type: ignore[union-attr]
    assert labels[0] == "plain-20 (5 seeds)"


@pytest.mark.parametrize("name", ["cifar_plain8", "cifar_resnet8"])
def test_the_cosines_are_those_of_a_hand_written_loop(name: str) -> None:
    torch.manual_seed(0)
    model: Any = create_model(name, num_classes=4)
    batch = Batch(3 * torch.randn(6, 3, 8, 8) + 1, torch.arange(6) % 4)
    found = gradient_cosines(model, batch, (2.0, 50.0), seed=7)
    drawn = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(7))
    gradients = []
    for share in (0.0, 0.02, 0.5):
        pairs = zip(batch.images, drawn, strict=True)
        noisy = torch.stack([image + share * image.std(correction=0) * noise for image, noise in pairs])
        noisy.requires_grad_(True)
        F.cross_entropy(model.train()(noisy), batch.labels).backward()
        assert noisy.grad is not None
        gradients.append(noisy.grad.flatten(1))
    expected = [F.cosine_similarity(gradients[0], other, eps=1e-20).mean().item() for other in gradients[1:]]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found[0] > found[1]
    assert found == gradient_cosines(model, batch, (2.0, 50.0), seed=7)
