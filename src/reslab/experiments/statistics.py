"""Means over seeds, and how sure a difference between them is."""

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of one sample minus that of another, with its interval (Welch's t, 95 %); without one for single seeds."""

    mean: float
    low: float
    high: float
    p_value: float

    @property
    def is_above_zero(self) -> bool:
        return self.low > 0

    @property
    def is_below_zero(self) -> bool:
        return self.high < 0

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f"{self.mean:+.2f} points (one seed: no interval)"
        return f"{self.mean:+.2f} points (95 % interval {self.low:+.2f} to {self.high:+.2f})"


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Return mean(one) - mean(other). Fewer than two values on a side say nothing of the spread: no finite interval."""
    mean = statistics.mean(one) - statistics.mean(other)
    if min(len(one), len(other)) < 2:
        return Difference(mean, -math.inf, math.inf, 1.0)
    if statistics.pvariance(one) == statistics.pvariance(other) == 0:
        return Difference(mean, mean, mean, 0.0 if mean else 1.0)  # Welch's t would divide by zero
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy doubts values that are equal in every seed
        test = stats.ttest_ind(one, other, equal_var=False)
    interval = test.confidence_interval(CONFIDENCE)
    return Difference(mean, float(interval.low), float(interval.high), float(test.pvalue))  # type: ignore[attr-defined]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return mean ± standard deviation in words; the value alone where there is one."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean
