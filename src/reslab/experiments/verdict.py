"""Verdicts: what the numbers say of a claim, and how many more seeds would decide where they do not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .judged import MOST_SEEDS, Judged

VerdictOutcome = Literal["reproduced", "not reproduced", "undecided", "not testable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome for a claim, or for one part of it.

    Attributes:
        outcome: What the rule says.
        sentence: Sentences with the numbers that the outcome follows from, the most important one first.
        part: Which part of the claim is judged; "" for a claim with one part.
        more_seeds: For an undecided claim, how many more seeds of each network would decide if the further ones
            repeat mean and spread of those that are there; None where no number up to `MOST_SEEDS` would.
        estimates: The differences that the rule judged, and where it draws the line for each.
    """

    outcome: VerdictOutcome
    sentence: str
    part: str = ""
    more_seeds: int | None = None
    estimates: tuple[Judged, ...] = ()

    @property
    def headline(self) -> str:
        """The first sentence; a full stop within a number or a name does not end it."""
        return re.split(r"(?<=\.) (?=[A-Z])", self.sentence, maxsplit=1)[0]

    @property
    def label(self) -> str:
        """The outcome in words, for example "undecided: 4 more seeds would decide"."""
        match self.outcome:
            case "not testable":
                return "not testable at this size"
            case "undecided" if self.more_seeds is None:
                return f"undecided: more than {MOST_SEEDS:,} more seeds would be needed"
            case "undecided":
                seeds = "seed" if self.more_seeds == 1 else "seeds"
                return f"undecided: {self.more_seeds:,} more {seeds} would decide"
        return self.outcome

    @property
    def power(self) -> str:
        """The half-widths of what was judged, in words; "" where nothing has an interval."""
        parts = [f"{one.what} {one.smallest_effect}" for one in self.estimates if one.smallest_effect]
        return "; ".join(parts)


def decide(sentence: str, *estimates: Judged, part: str = "") -> Verdict:
    """Return the verdict on a claim that holds if all its estimates do and fails if one does.

    Args:
        sentence: The numbers in words.
        estimates: What the claim rests on.
        part: Which part of the claim it is.
    """
    if any(estimate.fails for estimate in estimates):
        outcome: VerdictOutcome = "not reproduced"
    elif all(estimate.holds for estimate in estimates):
        outcome = "reproduced"
    else:
        outcome = "undecided"
    needed = [estimate.more_seeds for estimate in estimates]
    more = None if outcome != "undecided" or None in needed else max(count for count in needed if count is not None)
    return Verdict(outcome=outcome, sentence=sentence, part=part, more_seeds=more, estimates=estimates)


def outcomes_in_words(verdicts: Sequence[Verdict]) -> str:
    """Return "reproduced", or "plain nets: reproduced; residual nets: undecided: 2 more seeds would decide"."""
    return "; ".join(f"{verdict.part}: {verdict.label}" if verdict.part else verdict.label for verdict in verdicts)
