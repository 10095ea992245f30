"""Differences between seeds, held against the closed form of Welch's t."""

import math

import pytest
from scipy import stats

from reslab.experiments.statistics import difference, spread


def test_the_interval_is_welchs() -> None:
    one, other = (10.0, 11.0, 12.5), (8.0, 8.2, 8.1)
    found = difference(one, other)
    variances = [sum((x - sum(v) / 3) ** 2 for x in v) / 2 / 3 for v in (one, other)]
    error = math.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / sum(v**2 / 2 for v in variances)
    half = stats.t.ppf(0.975, freedom) * error
    assert found.mean == pytest.approx(sum(one) / 3 - sum(other) / 3)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.is_above_zero == (found.low > 0)


def test_one_seed_says_nothing_of_the_spread() -> None:
    found = difference((12.0,), (8.0,))
    assert found.mean == 4
    assert not found.is_above_zero
    assert "one seed" in str(found)


def test_equal_values_need_no_interval() -> None:
    assert difference((0.0, 0.0), (0.0, 0.0)).p_value == 1
    assert difference((1.0, 1.0), (0.0, 0.0)).is_above_zero


def test_a_spread_is_mean_and_sample_deviation() -> None:
    assert spread((1.0, 2.0, 3.0)) == "2.00 ± 1.00"
    assert spread((1.0,)) == "1.00"
