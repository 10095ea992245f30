"""Means over seeds, and how sure a difference between them is."""

import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

_CONFIDENCE = 0.95
MARGIN = 1.0  # points of error that count as the same
_ROUNDING = 1e-9  # points: a spread below it is that of binary fractions


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """The mean of one sample minus that of another.

    Attributes:
        mean: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        p_value: p-value of the two-sided test against no difference.
        no_interval: Why it has no finite interval; empty where it has one.
        count: How many seeds the smaller sample has.
        error: Standard error of the mean.
        freedom: Degrees of freedom of the t interval; 0 without one.
    """

    mean: float
    low: float
    high: float
    p_value: float
    no_interval: str = ""
    count: int = 0
    error: float = 0.0
    freedom: float = 0.0

    @property
    def is_above_zero(self) -> bool:
        return self.low > 0

    @property
    def is_below_zero(self) -> bool:
        return self.high < 0

    @property
    def half_width(self) -> float:
        """The smallest difference that could be told from zero with this spread; infinite without a finite interval."""
        return (self.high - self.low) / 2

    def seeds_to_exclude(self, value: float, most: int) -> int | None:
        """Find how many seeds in all the interval needs to exclude a value, if mean and spread stay as they are.

        Args:
            value: The value, in the unit of the difference.
            most: Where to stop looking.

        Returns:
            The smallest number of seeds above those there are; None where `most` are not enough. Without a spread over
            seeds to go by, three seeds or one more.
        """
        if not self.freedom:
            return max(3, self.count + 1)
        distance = abs(self.mean - value)
        for seeds in range(self.count + 1, self.count + most + 1):
            freedom = self.freedom * (seeds - 1) / (self.count - 1)
            half_width = stats.t.ppf((1 + _CONFIDENCE) / 2, freedom) * self.error * math.sqrt(self.count / seeds)
            if half_width < distance:
                return seeds
        return None

    def in_words(self, unit: str = "points", digits: int = 2) -> str:
        """Return the mean with its unit and interval, or why it has none."""
        mean = f"{self.mean:+z.{digits}f} {unit}".rstrip()  # z: no difference is +0.00, never -0.00
        if self.no_interval:
            return f"{mean} ({self.no_interval}: no interval)"
        if not self.half_width:
            return f"{mean} (the same in every seed)"
        return f"{mean} (95 % interval {self.low:+z.{digits}f} to {self.high:+z.{digits}f})"

    def __str__(self) -> str:
        return self.in_words()


def difference(sample: Sequence[float], other: Sequence[float]) -> MeanDifference:
    """Return mean(sample) - mean(other) for independent samples, by Welch's t test.

    Fewer than two values in a sample, or two samples of equal values, give no finite interval.
    """
    mean = statistics.mean(sample) - statistics.mean(other)
    spread_of_seeds = max(statistics.pstdev(sample), statistics.pstdev(other))
    count = min(len(sample), len(other))
    return _estimate(mean, count, spread_of_seeds, lambda: stats.ttest_ind(sample, other, equal_var=False))


def paired_difference(sample: Sequence[float], other: Sequence[float]) -> MeanDifference:
    """Return the mean of sample - other seed by seed, by Student's paired t test.

    It is for runs that begin with the same weights: what these twins have in common is not part of their difference.
    """
    changes = [value - twin for value, twin in zip(sample, other, strict=True)]
    spread_of_seeds = statistics.pstdev(changes)
    return _estimate(statistics.mean(changes), len(changes), spread_of_seeds, lambda: stats.ttest_rel(sample, other))


def difference_of_shares(share: float, other: float, count: int) -> MeanDifference:
    """Return share - other for two errors in %, each counted over `count` images: a binomial interval, in points.

    Agresti and Caffo 2000: Wald's interval after one error and one success more on each side, so that a share of 0 %
    or 100 % has an interval too. The mean is the plain difference.
    """
    shares = [(error / 100 * count + 1) / (count + 2) for error in (share, other)]
    error = math.sqrt(sum(share * (1 - share) / (count + 2) for share in shares))
    centre = shares[0] - shares[1]
    low, high = stats.norm.interval(_CONFIDENCE, loc=centre, scale=error)
    p_value = float(2 * stats.norm.sf(abs(centre) / error))
    return MeanDifference(share - other, 100 * float(low), 100 * float(high), p_value, count=1)


def _estimate(mean: float, count: int, spread_of_seeds: float, test: Callable[[], Any]) -> MeanDifference:
    """A difference, and the result of scipy's test of it where there is a spread to test against."""
    mean = _rounded(mean)
    if count < 2:
        return _one_seed(mean)
    if spread_of_seeds < _ROUNDING:
        return _same_in_every_seed(mean, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy doubts values that are equal in every seed
        result = test()
    interval = result.confidence_interval(_CONFIDENCE)
    low, high, freedom = float(interval.low), float(interval.high), float(result.df)
    error = (high - low) / 2 / float(stats.t.ppf((1 + _CONFIDENCE) / 2, freedom))
    return MeanDifference(mean, low, high, float(result.pvalue), count=count, error=error, freedom=freedom)


def _rounded(mean: float) -> float:
    """A mean without what binary fractions add to it: a difference of exactly a margin must not fall on either side."""
    return round(mean, 9)


def _one_seed(mean: float) -> MeanDifference:
    return MeanDifference(mean, -math.inf, math.inf, 1.0, "one seed", count=1)


def _same_in_every_seed(mean: float, count: int) -> MeanDifference:
    """No spread to estimate: errors are counts, and a few seeds agree by chance, one image apart for instance.

    So a difference has no interval then. None at all has: where every seed fits every image, for instance.
    """
    if mean:
        return MeanDifference(mean, -math.inf, math.inf, 1.0, "the same in every seed", count=count)
    return MeanDifference(mean, mean, mean, 1.0, count=count)


def p_in_words(p_value: float) -> str:
    """Return "p = 0.21", or "p < 0.01" for one too small for two digits."""
    return f"p = {p_value:.2f}" if p_value >= 0.01 else "p < 0.01"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return mean ± standard deviation in words; the value alone where there is one."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def half_width_of_mean(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of a mean, by Student's t; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    quantile = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))
