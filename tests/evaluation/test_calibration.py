"""Calibration against closed forms and scikit-learn, the temperature against scipy."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from sklearn import metrics

from reslab.errors import UsageError
from reslab.evaluation import apply_temperature, fit_temperature, measure_calibration, recalibrated
from reslab.evaluation.calibration import TEMPERATURES


def drawn(scale: float, count: int = 4000, num_classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `scale` times those that the labels are drawn from: their best temperature is about `scale`."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    return scale * logits, labels


def test_bins_hold_counts_means_and_intervals_of_a_case_done_by_hand() -> None:
    confidence = torch.tensor([0.5, 0.55, 0.6, 0.9, 1.0], dtype=torch.float64)
    probabilities = torch.stack([confidence, 1 - confidence], dim=1)
    labels = torch.tensor([0, 1, 0, 0, 1])  # right, wrong, right, right, wrong
    found = measure_calibration(probabilities, labels, num_bins=2)
    low, high = found.bins
    # the bins are (0, 0.5] and (0.5, 1]
    assert (low.count, low.confidence, low.accuracy) == (1, 0.5, 1.0)
    assert (high.count, high.confidence, high.accuracy) == (4, pytest.approx(0.7625), 0.5)
    assert found.ece == pytest.approx(0.2 * 0.5 + 0.8 * 0.2625)
    assert found.mce == pytest.approx(0.5)
    assert found.brier == pytest.approx(2 * (0.25 + 0.55**2 + 0.16 + 0.01 + 1.0) / 5)
    expected = stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert high.interval is not None
    assert (high.interval.low, high.interval.high) == pytest.approx((expected.low, expected.high))


def test_errors_are_those_of_a_direct_computation() -> None:
    logits, labels = drawn(3.0)
    probabilities = logits.softmax(1).float()
    found = measure_calibration(probabilities, labels)
    confidence = probabilities.max(1).values.double().numpy()
    is_right = (probabilities.argmax(1) == labels).double().numpy()
    edges = [(number / 15, (number + 1) / 15) for number in range(15)]
    gaps = [
        abs(is_right[inside].sum() - confidence[inside].sum())
        for inside in ((confidence > low) & (confidence <= high) for low, high in edges)
    ]
    assert found.ece == pytest.approx(sum(gaps) / len(labels), abs=1e-9)
    assert sum(part.count for part in found.bins) == found.total == len(labels)
    assert found.nll == pytest.approx(metrics.log_loss(labels, logits.softmax(1).numpy()), rel=1e-6)
    one_hot = torch.nn.functional.one_hot(labels).double()
    assert found.brier == pytest.approx(float((probabilities.double() - one_hot).square().sum(1).mean()), rel=1e-9)


def test_two_classes_have_twice_scikit_learns_brier_score() -> None:
    logits, labels = drawn(1.0, 500, 2)
    expected = 2 * metrics.brier_score_loss(labels, logits.softmax(1)[:, 1].numpy())
    assert measure_calibration(logits.softmax(1), labels).brier == pytest.approx(expected)


def test_empty_bins_say_nothing_and_a_probability_of_zero_is_no_infinity() -> None:
    found = measure_calibration(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert found.bins[0].accuracy is None
    assert (found.ece, found.mce, found.brier) == (1.0, 1.0, 2.0)
    assert found.nll == pytest.approx(87.34, abs=0.01)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_one_that_scipy_finds(scale: float) -> None:
    logits, labels = drawn(scale)

    def loss(temperature: float) -> float:
        return torch.nn.functional.cross_entropy(logits / temperature, labels).item()

    best: Any = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    found = fit_temperature(logits.softmax(1), labels)
    assert found == pytest.approx(best.x, rel=1e-5)
    assert found == pytest.approx(scale, rel=0.1)
    mended = measure_calibration(recalibrated(logits.softmax(1), found), labels)
    assert mended.nll == pytest.approx(loss(best.x), abs=1e-6)
    assert mended.ece < 0.03


def test_float32_probabilities_serve_as_well_as_logits() -> None:
    logits, labels = drawn(3.0)
    assert fit_temperature(logits.softmax(1).float(), labels) == pytest.approx(
        fit_temperature(logits.softmax(1), labels), rel=1e-5
    )
    mended = recalibrated(logits.softmax(1).float(), 2.5)
    torch.testing.assert_close(mended, apply_temperature(logits, 2.5).float(), rtol=1e-4, atol=1e-7)
    assert torch.equal(mended.argmax(1), logits.argmax(1))


def test_answers_without_a_best_temperature_get_the_nearest_end() -> None:
    logits, _ = drawn(1.0, 50)
    assert fit_temperature(logits.softmax(1), logits.argmax(1)) == TEMPERATURES[0]
    assert fit_temperature(logits.softmax(1), logits.argmin(1)) == TEMPERATURES[1]


def test_nothing_to_calibrate_on_is_said() -> None:
    nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    with pytest.raises(UsageError, match="hold out a validation part"):
        fit_temperature(*nothing)
    with pytest.raises(UsageError, match="calibration of 0 samples in 15 bins"):
        measure_calibration(*nothing)
    assert np.isclose(apply_temperature(torch.zeros(1, 4), 3.0).sum(), 1)
