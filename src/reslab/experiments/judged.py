"""What a claim rests on: differences, shares, waiting times and paired answers, each with its test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import stats

from .statistics import MeanDifference

MOST_SEEDS = 1000  # as far as the search for deciding seeds goes


class Judged(Protocol):
    """Something that a claim rests on, and what it says of the claim."""

    @property
    def what(self) -> str:
        """What is compared."""
        ...

    @property
    def holds(self) -> bool:
        """Whether it is as the claim says."""
        ...

    @property
    def fails(self) -> bool:
        """Whether it is surely not as the claim says."""
        ...

    @property
    def smallest_effect(self) -> str:
        """How small an effect could be seen, in words; "" where that has no number."""
        ...

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds would decide; 0 where it is decided, None where no number up to `MOST_SEEDS` would."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured difference, and on which side of a threshold the claim puts it.

    Attributes:
        what: What is compared, for example "plain-56 minus plain-20".
        difference: The difference with its interval.
        side: The claim holds if the whole interval is "above" or "below" the threshold.
        threshold: The threshold, in the unit of the difference.
        unit: The unit.
        fails_beyond: The claim fails if the whole interval is on the other side of this value; None for the threshold
            itself.
    """

    what: str
    difference: MeanDifference
    side: Literal["above", "below"]
    threshold: float = 0.0
    unit: str = "points"
    fails_beyond: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the whole interval is on the claim's side.

        A margin may be reached, but no difference at all is neither above nor below 0.
        """
        if self.side == "above":
            return self.difference.low > self.threshold
        return self.difference.high < 0 if self.threshold == 0 else self.difference.high <= self.threshold

    @property
    def fails(self) -> bool:
        """Whether the whole interval is on the other side."""
        limit = self.threshold if self.fails_beyond is None else self.fails_beyond
        return self.difference.high < limit if self.side == "above" else self.difference.low > limit

    @property
    def smallest_effect(self) -> str:
        """The half-width of the interval, in words; "" where it has none."""
        if self.difference.no_interval or not self.difference.half_width:
            return ""
        return f"±{self.difference.half_width:.2f} {self.unit}".rstrip()

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds would move the interval off the threshold; 0 where it is off, None where none would."""
        if self.holds or self.fails:
            return 0
        limit = self.threshold if self.fails_beyond is None else self.fails_beyond
        counts = (self.difference.seeds_to_exclude(one, MOST_SEEDS) for one in (self.threshold, limit))
        found = [count for count in counts if count is not None]
        return min(found) - self.difference.count if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RareEvent:
    """A share of runs that the claim says is small: how many of them were lost.

    The interval is Clopper and Pearson's, of 95 %.

    Attributes:
        what: What is counted.
        events: How many runs it happened to.
        count: How many runs there are.
        limit: The claim holds if the whole interval of the share is at most this, and fails if it is wholly above.
    """

    what: str
    events: int
    count: int
    limit: float

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the share."""
        return _share_interval(self.events, self.count)

    @property
    def holds(self) -> bool:
        """Whether the whole interval is at most the limit."""
        return self.interval[1] <= self.limit

    @property
    def fails(self) -> bool:
        """Whether the whole interval is above the limit."""
        return self.interval[0] > self.limit

    @property
    def smallest_effect(self) -> str:
        """The smallest share that would be seen, in words."""
        return f"a share of {100 * _share_interval(0, self.count)[1]:.0f} %"

    @property
    def more_seeds(self) -> int | None:
        """How many more runs would decide if the same share of them were lost."""
        if self.holds or self.fails:
            return 0
        for more in range(1, MOST_SEEDS + 1):
            count = self.count + more
            low, high = _share_interval(round(self.events * count / self.count), count)
            if high <= self.limit or low > self.limit:
                return more
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sooner:
    """Two groups of waiting times, of which the claim says that the first are shorter: a log-rank test.

    Attributes:
        what: What is waited for.
        first: The times of the first group; infinite for a run in which it never happened.
        second: Those of the second group.
        end: When waiting ended: a time of that length or infinite is censored.
        level: The p-value below which the groups differ.
    """

    what: str
    first: tuple[float, ...]
    second: tuple[float, ...]
    end: float
    level: float = 0.05

    @property
    def p_value(self) -> float:
        """The p-value of the two-sided test."""
        return _log_rank(self.first, self.second, self.end)

    @property
    def holds(self) -> bool:
        """Whether the first group is sooner."""
        return self.p_value < self.level and self._is_first_sooner

    @property
    def fails(self) -> bool:
        """Whether the first group is later."""
        return self.p_value < self.level and not self._is_first_sooner

    @property
    def smallest_effect(self) -> str:
        """A rank test has no half-width."""
        return ""

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds would decide if they repeated those there are, all of them alike often."""
        if self.holds or self.fails:
            return 0
        seeds = min(len(self.first), len(self.second))
        for times in range(2, MOST_SEEDS // seeds + 2):
            if _log_rank(self.first * times, self.second * times, self.end) < self.level:
                return (times - 1) * seeds
        return None

    @property
    def _is_first_sooner(self) -> bool:
        """Whether the first group's times have the smaller ranks; the test itself has no direction."""
        both = np.minimum([*self.first, *self.second], self.end)
        ranks = stats.rankdata(both)
        return bool(ranks[: len(self.first)].mean() < ranks[len(self.first) :].mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedAnswers:
    """Two networks on the same images, of which the claim says that the first is better: McNemar's exact test.

    Attributes:
        what: Which two.
        only_first: Answers that are right only of the first, over all seeds.
        only_second: Answers that are right only of the second.
        total: Answers of each, over all seeds.
        seeds: How many seeds of each there are.
        level: The p-value below which they differ.
    """

    what: str
    only_first: int
    only_second: int
    total: int
    seeds: int = 1
    level: float = 0.05

    @property
    def p_value(self) -> float:
        """The p-value of the two-sided test."""
        discordant = self.only_first + self.only_second
        return float(stats.binomtest(self.only_first, discordant).pvalue) if discordant else 1.0

    @property
    def difference(self) -> float:
        """Error of the second less that of the first, in points."""
        return 100 * (self.only_first - self.only_second) / self.total

    @property
    def holds(self) -> bool:
        """Whether the first is better."""
        return self.p_value < self.level and self.difference > 0

    @property
    def fails(self) -> bool:
        """Whether the first is worse."""
        return self.p_value < self.level and self.difference < 0

    @property
    def smallest_effect(self) -> str:
        """The smallest difference that this test would see with as many discordant images, in words."""
        discordant = self.only_first + self.only_second
        for more in range(discordant % 2, discordant + 1, 2):
            if stats.binomtest((discordant + more) // 2, discordant).pvalue < self.level:
                return f"±{100 * more / self.total:.2f} points"
        return ""

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds of both would decide if their answers differed as often."""
        if self.holds or self.fails:
            return 0
        for times in range(2, MOST_SEEDS // self.seeds + 2):
            discordant = times * (self.only_first + self.only_second)
            if discordant and stats.binomtest(times * self.only_first, discordant).pvalue < self.level:
                return (times - 1) * self.seeds
        return None


def _share_interval(events: int, count: int) -> tuple[float, float]:
    interval = stats.binomtest(events, count).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def _log_rank(first: Sequence[float], second: Sequence[float], end: float) -> float:
    if len({min(time, end) for time in (*first, *second)}) == 1:
        return 1.0  # in all runs at once, or in none: scipy would divide by zero
    groups = []
    for times in (first, second):
        values = np.minimum(times, end)
        groups.append(stats.CensoredData.right_censored(values, values >= end))
    return float(stats.logrank(*groups).pvalue)
