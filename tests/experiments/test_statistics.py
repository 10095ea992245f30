"""Differences between seeds, held against the closed form of Welch's t."""

import math

import pytest
from scipy import stats

from reslab.experiments.statistics import (
    MeanDifference,
    difference,
    difference_of_shares,
    p_in_words,
    paired_difference,
    spread,
)


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


def test_the_interval_of_twins_is_students_over_the_seeds() -> None:
    one, other = (40.0, 30.0, 20.5), (39.0, 29.5, 19.0)
    found = paired_difference(one, other)
    expected = stats.ttest_rel(one, other)
    assert found.mean == pytest.approx(1)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.half_width < difference(one, other).half_width / 5  # what the twins have in common is left out


def test_twins_of_one_seed_or_with_one_difference_have_no_interval_to_compute() -> None:
    assert "one seed" in str(paired_difference((12.0,), (8.0,)))
    assert paired_difference((3.0, 2.0), (2.0, 1.0)).in_words() == "+1.00 points (the same in every seed: no interval)"
    assert paired_difference((3.0, 2.0), (3.0, 2.0)).p_value == 1


def test_a_difference_of_rounding_is_plus_zero() -> None:
    assert str(paired_difference((0.1, 0.2), (0.2, 0.1 + 1e-9))).startswith("+0.00 points")


def test_one_seed_says_nothing_of_the_spread() -> None:
    found = difference((12.0,), (8.0,))
    assert found.mean == 4
    assert not found.is_above_zero
    assert "one seed" in str(found)


def test_no_difference_needs_no_interval() -> None:
    found = difference((0.0, 0.0), (0.0, 0.0))
    assert (found.low, found.high, found.p_value) == (0, 0, 1)
    assert str(found) == "+0.00 points (the same in every seed)"


def test_a_difference_that_is_the_same_in_every_seed_is_not_told_from_chance() -> None:
    one_image = 100 / 359  # of the digits' test part
    for found in (difference((one_image,) * 3, (0.0,) * 3), paired_difference((3 * one_image,) * 2, (one_image,) * 2)):
        assert found.mean > 0
        assert not found.is_above_zero
        assert (found.low, found.high, found.p_value) == (-math.inf, math.inf, 1)


def test_a_spread_is_mean_and_sample_deviation() -> None:
    assert spread((1.0, 2.0, 3.0)) == "2.00 ± 1.00"
    assert spread((1.0,)) == "1.00"


def test_the_interval_of_two_shares_is_agrestis_and_caffos() -> None:
    found = difference_of_shares(50.0, 80.0, 10)
    one, other = 6 / 12, 9 / 12
    half = 1.959964 * math.sqrt((one * (1 - one) + other * (1 - other)) / 12)
    assert found.mean == -30
    assert (found.low, found.high) == pytest.approx((100 * (one - other - half), 100 * (one - other + half)))
    assert difference_of_shares(100.0, 100.0, 1280).low < 0 < difference_of_shares(100.0, 100.0, 1280).high
    assert difference_of_shares(85.0, 90.0, 1280).is_below_zero


def test_a_small_p_is_not_printed_as_zero() -> None:
    assert p_in_words(0.004) == "p < 0.01"
    assert p_in_words(0.214) == "p = 0.21"


def test_binary_fractions_make_no_spread() -> None:
    twins = paired_difference([1.3, 1.4, 1.1], [0.3, 0.4, 0.1])
    assert twins == MeanDifference(1.0, -math.inf, math.inf, 1.0, "the same in every seed", count=3)
    assert "the same in every seed" in twins.in_words()
    assert difference([0.1 + 0.2, 0.3], [0.3, 0.3]).in_words() == difference([0.3, 0.3], [0.3, 0.3]).in_words()


def test_seeds_to_exclude_a_value_are_those_of_the_interval_with_so_many() -> None:
    found = difference((10.0, 11.0, 12.5), (8.0, 10.2, 9.1))
    seeds = found.seeds_to_exclude(0.5, 1000)
    assert seeds is not None

    def half_width(count: int) -> float:
        freedom = found.freedom * (count - 1) / 2
        return float(stats.t.ppf(0.975, freedom)) * found.error * math.sqrt(3 / count)

    assert half_width(seeds) < found.mean - 0.5 <= half_width(seeds - 1)
    assert found.seeds_to_exclude(found.mean, 1000) is None  # no number separates a mean from itself
    assert difference((1.0,), (0.0,)).seeds_to_exclude(0, 1000) == 3
    # an interval over images knows nothing of the spread over seeds
    assert difference_of_shares(50.0, 40.0, 100).seeds_to_exclude(0, 1000) == 3
