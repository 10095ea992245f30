"""Means over seeds, and how sure a difference between them is."""

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95
MARGIN = 1.0  # points of error that count as the same
_ROUNDING = 1e-9  # points: a spread below it is that of binary fractions


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of one sample minus that of another, with its 95 % interval.

    no_interval: why it has no finite one; empty where it has.
    """

    mean: float
    low: float
    high: float
    p_value: float
    no_interval: str = ""

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

    def in_words(self, unit: str = "points", digits: int = 2) -> str:
        """Return the mean with its unit and interval, or that there is none."""
        mean = f"{self.mean:+z.{digits}f} {unit}".rstrip()  # z: no difference is +0.00, never -0.00
        if self.no_interval:
            return f"{mean} ({self.no_interval}: no interval)"
        if not self.half_width:
            return f"{mean} (the same in every seed)"
        return f"{mean} (95 % interval {self.low:+z.{digits}f} to {self.high:+z.{digits}f})"

    def __str__(self) -> str:
        return self.in_words()


def _one_seed(mean: float) -> Difference:
    return Difference(mean, -math.inf, math.inf, 1.0, "one seed")


def _same_in_every_seed(mean: float) -> Difference:
    """No spread to estimate: errors are counts, and a few seeds agree by chance, one image apart for instance.

    So a difference has no interval then. None at all has: where every seed fits every image, for instance.
    """
    if mean:
        return Difference(mean, -math.inf, math.inf, 1.0, "the same in every seed")
    return Difference(mean, mean, mean, 1.0)


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Return mean(one) - mean(other), with Welch's interval for independent samples.

    Fewer than two values on a side, or values that are the same in every seed, say nothing of the spread: no finite
    interval.
    """
    mean = _rounded(statistics.mean(one) - statistics.mean(other))
    if min(len(one), len(other)) < 2:
        return _one_seed(mean)
    if max(statistics.pstdev(one), statistics.pstdev(other)) < _ROUNDING:
        return _same_in_every_seed(mean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy doubts values that are equal in every seed
        test = stats.ttest_ind(one, other, equal_var=False)
    interval = test.confidence_interval(CONFIDENCE)
    return Difference(mean, float(interval.low), float(interval.high), float(test.pvalue))  # type: ignore[attr-defined]


def _rounded(mean: float) -> float:
    """A mean without what binary fractions add to it: a difference of exactly a margin must not fall on either side."""
    return round(mean, 9)


def paired_difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Return the mean of one - other seed by seed, with Student's interval: for runs that begin with the same weights.

    What such twins have in common, the luck of their first weights, is no part of the difference between them.
    """
    changes = [mine - its for mine, its in zip(one, other, strict=True)]
    mean = _rounded(statistics.mean(changes))
    if len(changes) < 2:
        return _one_seed(mean)
    error = statistics.stdev(changes) / math.sqrt(len(changes))
    if error < _ROUNDING:
        return _same_in_every_seed(mean)
    freedom = len(changes) - 1
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Difference(mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, freedom)))


def difference_of_gaps(
    one: tuple[Sequence[float], Sequence[float]], other: tuple[Sequence[float], Sequence[float]]
) -> Difference:
    """Return (mean(one[0]) - mean(one[1])) - (mean(other[0]) - mean(other[1])): what one gap is more than another.

    The interval is Welch's for a sum of four means, with Satterthwaite's degrees of freedom.
    """
    samples = (*one, *other)
    means = [statistics.mean(sample) for sample in samples]
    mean = _rounded(means[0] - means[1] - means[2] + means[3])
    if min(map(len, samples)) < 2:
        return _one_seed(mean)
    parts = [statistics.variance(sample) / len(sample) for sample in samples]
    error = math.sqrt(sum(parts))
    if error < _ROUNDING:
        return _same_in_every_seed(mean)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Difference(mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, freedom)))


def difference_of_shares(one: float, other: float, count: int) -> Difference:
    """Return one - other for two errors in %, each counted over `count` images: a binomial interval, in points.

    Agresti and Caffo 2000: Wald's interval after one error and one success more on each side, so that a share of 0 %
    or 100 % has an interval too. The mean is the plain difference.
    """
    shares = [(error / 100 * count + 1) / (count + 2) for error in (one, other)]
    error = math.sqrt(sum(share * (1 - share) / (count + 2) for share in shares))
    centre, half = shares[0] - shares[1], float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    p_value = float(2 * stats.norm.sf(abs(centre) / error))
    return Difference(one - other, 100 * (centre - half), 100 * (centre + half), p_value)


def p_in_words(p_value: float) -> str:
    """Return "p = 0.21", or "p < 0.01" for one too small for two digits."""
    return f"p = {p_value:.2f}" if p_value >= 0.01 else "p < 0.01"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return mean ± standard deviation in words; the value alone where there is one."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean
