"""How far a score may be off because the samples are a draw: Wilson's interval and the bootstrap."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from reslab.errors import UsageError, check_choice

Statistic = Literal["error", "balanced_accuracy", "macro_f1"]

_NUMBERS_AT_ONCE = 2**21  # drawn counts in memory


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of confidence.

    Attributes:
        low: Its lower end, in the unit of the score.
        high: Its upper end.
        level: The confidence.
        method: How it was computed, in words.
    """

    low: float
    high: float
    level: float
    method: str


def wilson(count: int, total: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval (1927) of a proportion, without continuity correction.

    Args:
        count: Samples that count.
        total: Samples in all.
        level: The confidence.

    Returns:
        An interval in [0, 1].

    Raises:
        UsageError: The count is not in 0 .. total, there are no samples, or the level is outside (0, 1).
    """
    _check_level(level)
    if not 0 <= count <= total or total < 1:
        raise UsageError(f"{count} of {total} is not a proportion; allowed: 0 <= count <= total, total >= 1.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = count / total
    centre = share + z**2 / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    # at 0 and at n the bound is exactly 0 and 1, which rounding would miss
    low = 0.0 if count == 0 else (centre - spread) / scale
    high = 1.0 if count == total else (centre + spread) / scale
    return Interval(low, high, level, "Wilson's score interval")


def bootstrap(
    confusion: Tensor, statistic: Statistic = "error", *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval (Efron 1979) of a score of a confusion matrix.

    Samples drawn with replacement fall into the matrix's cells as a multinomial draw of n does, so the cells are drawn,
    not the samples: the same distribution, for the cost of the cells that are not empty.

    Args:
        confusion: int64 [num_classes, num_classes]; row: true class, column: predicted.
        statistic: "error" in %; "balanced_accuracy" or "macro_f1" in [0, 1], as in `scores.ClassScores`.
        level: The confidence.
        resamples: Draws.
        seed: The same seed gives the same interval.

    Raises:
        UsageError: An unknown statistic, a level outside (0, 1), no resamples, or an empty matrix.
    """
    check_choice("statistic", statistic, get_args(Statistic))
    _check_level(level)
    counts = confusion.cpu().numpy()
    total = int(counts.sum())
    if total == 0 or resamples < 1:
        raise UsageError(f"bootstrap of {total} samples with {resamples} resamples; both must be at least 1.")
    rows, columns = np.nonzero(counts)
    shares = counts[rows, columns] / total
    generator = np.random.default_rng(seed)
    at_once = max(_NUMBERS_AT_ONCE // len(shares), 1)
    score = _scorer(statistic, rows, columns)
    values = [
        score(generator.multinomial(total, shares, min(at_once, resamples - start)))
        for start in range(0, resamples, at_once)
    ]
    low, high = np.quantile(np.concatenate(values), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, f"percentile bootstrap, {resamples} resamples, seed {seed}")


def _scorer(statistic: Statistic, rows: np.ndarray, columns: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from drawn cells, int64 [draws, cells], to the statistic of each draw, float64 [draws]."""
    is_hit = rows == columns

    def error(cells: np.ndarray) -> np.ndarray:
        total = cells.sum(1)
        return 100.0 * (total - cells[:, is_hit].sum(1)) / total

    def mean_over_classes(cells: np.ndarray) -> np.ndarray:
        classes, place = np.unique(np.concatenate([rows, columns]), return_inverse=True)
        row, column = np.split(place, 2)
        support, given, hits = (
            _sums(cells[:, chosen], where[chosen], len(classes))
            for where, chosen in ((row, slice(None)), (column, slice(None)), (row, is_hit))
        )
        whole = support if statistic == "balanced_accuracy" else (support + given) / 2
        scores = hits / np.maximum(whole, 0.5)
        has_samples = support > 0
        return (scores * has_samples).sum(1) / has_samples.sum(1)

    return error if statistic == "error" else mean_over_classes


def _sums(cells: np.ndarray, groups: np.ndarray, num_groups: int) -> np.ndarray:
    """Sum the columns of `cells` [draws, cells] by group -> float64 [draws, num_groups]."""
    sums = np.zeros((len(cells), num_groups))
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    if len(present):
        sums[:, present] = np.add.reduceat(cells[:, order], starts, axis=1)
    return sums


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UsageError(f"level is {level}; a confidence level is between 0 and 1, for example 0.95.")
