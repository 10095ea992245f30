"""Scores against scikit-learn, intervals against scipy."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from reslab.errors import UsageError
from reslab.evaluation import bootstrap, class_scores, confused_pairs, confusion_matrix, top_k, wilson

NUM_CLASSES = 7


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    # class 6 has no samples; class 5 is rare
    return torch.from_numpy(np.random.default_rng(0).choice(6, 400, p=[0.3, 0.25, 0.2, 0.14, 0.1, 0.01]))


@pytest.fixture(scope="module")
def probabilities(labels: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(len(labels), NUM_CLASSES, generator=torch.Generator().manual_seed(1))
    noise[:, 4] -= 9  # never predicted
    noise[torch.arange(len(labels)), labels] += 1.5
    return noise.softmax(1)


def test_top_k_is_scikit_learns(probabilities: torch.Tensor, labels: torch.Tensor) -> None:
    found = top_k(probabilities, labels, (1, 2, 5, 7))
    for result in found[:-1]:
        expected = metrics.top_k_accuracy_score(labels, probabilities.numpy(), k=result.k, labels=range(NUM_CLASSES))
        assert result.error == pytest.approx(100 * (1 - expected))
        assert result.total == 400
    assert found[0].correct == (probabilities.argmax(1) == labels).sum()
    assert found[-1].error == 0


def test_of_equal_probabilities_the_first_class_counts() -> None:
    equal = torch.full((3, 4), 0.25)
    assert [found.correct for found in top_k(equal, torch.tensor([0, 1, 3]), (1, 2, 4))] == [1, 2, 3]


@pytest.mark.parametrize("k", [0, 8])
def test_a_k_that_no_class_has_is_refused(probabilities: torch.Tensor, labels: torch.Tensor, k: int) -> None:
    with pytest.raises(UsageError, match="allowed: k from 1 to 7"):
        top_k(probabilities, labels, (1, k))


def test_class_scores_are_scikit_learns(probabilities: torch.Tensor, labels: torch.Tensor) -> None:
    predictions = probabilities.argmax(1)
    confusion = confusion_matrix(predictions, labels, NUM_CLASSES)
    assert np.array_equal(confusion, metrics.confusion_matrix(labels, predictions, labels=range(NUM_CLASSES)))
    found = class_scores(confusion)
    expected: Any = metrics.precision_recall_fscore_support(
        labels,
        predictions,
        labels=range(NUM_CLASSES),
        zero_division=0.0,  # type: ignore[arg-type]
    )
    for ours, theirs in zip((found.precision, found.recall, found.f1, found.support), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert found.precision[4] == found.f1[4] == 0  # never predicted
    assert (confusion[:, 6].sum() > 0, found.recall[6], found.f1[6]) == (True, 0, 0)  # predicted, but has no samples
    present = {"labels": range(6), "average": "macro", "zero_division": 0.0}
    assert found.macro_precision == pytest.approx(metrics.precision_score(labels, predictions, **present))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, predictions, **present))
    assert found.macro_recall == found.balanced_accuracy
    with pytest.warns(UserWarning, match="classes not in y_true"):
        expected_balance = metrics.balanced_accuracy_score(labels, predictions)
    assert found.balanced_accuracy == pytest.approx(expected_balance)


def test_confused_pairs_are_the_largest_cells_off_the_diagonal() -> None:
    confusion = torch.tensor([[90, 4, 6], [0, 10, 4], [2, 0, 0]])
    pairs = confused_pairs(confusion, 3)
    assert [(pair.label, pair.prediction, pair.count) for pair in pairs] == [(0, 2, 6), (1, 2, 4), (0, 1, 4)]
    assert pairs[1].share == pytest.approx(4 / 14)
    assert len(confused_pairs(confusion)) == 4
    assert confused_pairs(torch.eye(3, dtype=torch.int64)) == ()


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (9181, 10_000), (50, 50), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilsons_interval_is_scipys(count: int, total: int, level: float) -> None:
    found = wilson(count, total, level)
    expected = stats.binomtest(count, total).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3), (0, 0)])
def test_no_proportion_no_interval(count: int, total: int) -> None:
    with pytest.raises(UsageError, match="is not a proportion"):
        wilson(count, total)


def score(statistic: str, labels: np.ndarray, predictions: np.ndarray) -> float:
    if statistic == "error":
        return 100 * float((labels != predictions).mean())
    found = class_scores(confusion_matrix(torch.from_numpy(predictions), torch.from_numpy(labels), NUM_CLASSES))
    return found.balanced_accuracy if statistic == "balanced_accuracy" else found.macro_f1


@pytest.mark.parametrize("statistic", ["error", "balanced_accuracy", "macro_f1"])
def test_the_bootstrap_is_scipys_percentile_bootstrap_of_the_samples(
    probabilities: torch.Tensor, labels: torch.Tensor, statistic: str
) -> None:
    predictions = probabilities.argmax(1)
    confusion = confusion_matrix(predictions, labels, NUM_CLASSES)
    found = bootstrap(confusion, statistic, resamples=20_000, level=0.9)  # type: ignore[arg-type]
    expected = stats.bootstrap(
        (labels.numpy(), predictions.numpy()),
        lambda *sample: score(statistic, *sample),
        paired=True, vectorized=False, method="percentile", n_resamples=3000, confidence_level=0.9,
        rng=np.random.default_rng(5),
    )  # fmt: skip
    # an error moves in steps of 0.25 %, one sample
    tolerance = 0.05 * (found.high - found.low) + (0.25 if statistic == "error" else 0)
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=tolerance)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=tolerance)
    assert found.low < score(statistic, labels.numpy(), predictions.numpy()) < found.high


def test_the_bootstrap_of_the_error_is_the_binomials_own_interval() -> None:
    confusion = torch.tensor([[4000, 1000], [1000, 4000]])
    found = bootstrap(confusion, resamples=20_000)
    low, high = stats.binom.interval(0.95, 10_000, 0.2)
    assert (found.low, found.high) == pytest.approx((low / 100, high / 100), abs=0.03)


def test_the_bootstrap_depends_on_its_seed_only_and_not_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    confusion = torch.randint(0, 9, (20, 20), generator=torch.Generator().manual_seed(0))
    first = bootstrap(confusion, "macro_f1", resamples=200, seed=3)
    assert bootstrap(confusion, "macro_f1", resamples=200, seed=4) != first
    monkeypatch.setattr("reslab.evaluation.intervals._NUMBERS_AT_ONCE", 4000)
    assert bootstrap(confusion, "macro_f1", resamples=200, seed=3) == first


def test_what_cannot_be_resampled_is_said() -> None:
    with pytest.raises(UsageError, match="bootstrap of 0 samples"):
        bootstrap(torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(UsageError, match=r"statistic is 'macro_f2'; allowed: .*Did you mean 'macro_f1'"):
        bootstrap(torch.eye(3, dtype=torch.int64), "macro_f2")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"level is 95; .* between 0 and 1"):
        bootstrap(torch.eye(3, dtype=torch.int64), level=95)
