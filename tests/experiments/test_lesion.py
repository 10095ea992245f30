"""Errors without one block: the rule falls every way, and the measurement is that of a hand-written loop."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from reslab import create_model
from reslab.data.dataset import ArrayDataset
from reslab.experiments.arms import Size
from reslab.experiments.claims.lesion import EXPERIMENT, Lesion, Lesions, measure_lesions
from reslab.experiments.evidence import AnyEvidence
from reslab.spec import PreprocessSpec

from .evidence import made_up

PLAIN, RESIDUAL = "plain nets", "residual nets"
BLOCKS = ("layer1.0", "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2")


def _lesions(median: float, intact: float, images: int) -> Lesions:
    """Of seven blocks, three of which hurt less than the median, and three more."""
    errors = (intact, median, intact, 95.0, 95.0, intact, 95.0)
    return Lesions(intact, images, tuple(map(Lesion, BLOCKS, errors)))


def _evidence(
    plain: Sequence[float] = (88.0, 89.0, 90.0),
    residual: Sequence[float] = (20.0, 21.0, 22.0),
    *,
    intact: float = 5.0,
    images: int = 359,
    size: Size = "digits",
) -> AnyEvidence:
    """Medians of each seed, for both kinds."""
    arms = EXPERIMENT.arms(size)
    errors = {arm: [(0.0, intact)] * len(plain) for arm in arms}
    networks = {
        arm.name: [_lesions(median, intact, images) for median in medians]
        for arm, medians in zip(arms, (plain, residual), strict=True)
    }
    return made_up("lesion", errors, networks=networks, size=size)


def _outcomes(evidence: AnyEvidence) -> dict[str, str]:
    return {verdict.part: verdict.outcome for verdict in EXPERIMENT.judge(evidence)}


@pytest.mark.parametrize(
    ("medians", "outcome"),
    [
        ((88.0, 89.0, 90.0), "reproduced"),
        ((90.0, 90.0, 90.0), "reproduced"),
        ((82.0, 83.0, 84.0), "reproduced"),  # 83 - t(0.975, 2) / sqrt(3) = 80.5
        ((81.0, 82.0, 83.0), "undecided"),  # 79.5
        ((80.0, 80.0, 80.0), "undecided"),  # over 359 images
        ((70.0, 90.0, 88.0), "undecided"),
        ((20.0, 21.0, 22.0), "not reproduced"),
        ((70.0, 70.0, 70.0), "not reproduced"),
    ],
)
def test_a_plain_net_breaks_or_does_not(medians: Sequence[float], outcome: str) -> None:
    assert _outcomes(_evidence(plain=medians)) == {PLAIN: outcome, RESIDUAL: "reproduced"}


@pytest.mark.parametrize(
    ("medians", "outcome"),
    [
        ((56.0, 57.0, 58.0), "reproduced"),  # 57 + t(0.975, 2) / sqrt(3) = 59.5
        ((57.0, 58.0, 59.0), "undecided"),
        ((6.0, 6.0, 6.0), "reproduced"),
        ((88.0, 89.0, 90.0), "not reproduced"),
    ],
)
def test_a_residual_net_survives_or_does_not(medians: Sequence[float], outcome: str) -> None:
    assert _outcomes(_evidence(residual=medians)) == {PLAIN: "reproduced", RESIDUAL: outcome}


def test_the_interval_is_students_over_the_seeds() -> None:
    plain, _ = EXPERIMENT.judge(_evidence(plain=(81.0, 82.0, 83.0)))
    # t(0.975, n - 1) / sqrt(n) is 2.48 for 3 seeds, 1.59 for 4
    assert "is 82.00 ± 1.00 % (median over 7 blocks; 95 % interval 79.52 to 84.48 %), and 5.00" in plain.sentence
    assert plain.label == "undecided: 1 more seed would decide"


@pytest.mark.parametrize(
    ("plain", "residual", "outcomes"),
    [
        (81.0, 59.0, ("reproduced", "reproduced")),
        (80.5, 59.5, ("undecided", "undecided")),  # Wilson's interval is 0.8 points wide on each side
        (79.0, 61.0, ("not reproduced", "not reproduced")),
    ],
)
def test_one_network_is_judged_over_its_images(plain: float, residual: float, outcomes: tuple[str, str]) -> None:
    evidence = _evidence(plain=(plain,), residual=(residual,), images=10_000, size="paper")
    assert tuple(_outcomes(evidence).values()) == outcomes
    assert EXPERIMENT.seeds("paper") == 1


def test_a_network_that_never_worked_has_nothing_to_lose() -> None:
    evidence = _evidence(intact=60.0, residual=(90.0, 90.0, 90.0))
    assert _outcomes(evidence) == {PLAIN: "not testable", RESIDUAL: "not testable"}


def test_table_and_figure_show_every_network() -> None:
    evidence = _evidence()
    table = EXPERIMENT.table(evidence)
    assert table.rows[0] == ("plain-20", "0", "5.00", "5.00", "88.00", "95.00")
    assert len(table.rows) == 6
    assert all(len(row) == len(table.columns) for row in table.rows)
    figure = EXPERIMENT.draw(evidence)
    assert isinstance(figure, Figure)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()][3] == "stage 2\nblock 2"
    assert "ResNet-20 (3 seeds)" in [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", ["cifar_plain8", "cifar_resnet8"])
def test_the_errors_are_those_of_a_hand_written_loop(name: str) -> None:
    torch.manual_seed(0)
    model: Any = create_model(name, num_classes=3).eval()
    images = torch.randint(0, 256, (60, 3, 8, 8), dtype=torch.uint8)
    data = ArrayDataset("noise", images, torch.arange(60) % 3, ("a", "b", "c"))
    spec = PreprocessSpec(channels=3, height=8, width=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    found = measure_lesions(model, data, spec)
    x = F.relu(model.bn1(model.conv1((images / 255 - 0.5) / 0.25)))
    for without, error in ((False, found.intact), (True, found.lesions[0].error)):
        y = x if without else model.layer1(x)
        logits = model.fc(model.layer3(model.layer2(y)).mean((2, 3)))
        wrong = (logits.argmax(1) != data.labels).sum().item()
        assert error == pytest.approx(100 * wrong / 60, abs=1e-3)
    assert [lesion.block for lesion in found.lesions] == ["layer1.0"]
    assert found.images == 60
