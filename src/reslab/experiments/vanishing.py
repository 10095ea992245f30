"""When gradients vanish: what a network's signals are held to (paper Sec. 4.1), as functions of what was measured.

A row is a network: "gradient" and "gradient_norm" (relative to the weight's norm, and as it is) and "variance" of the
responses, each a list over the layers in order of depth; "when" is "start" for an untrained network, "end" for one
that was trained.
"""

import statistics
from collections.abc import Sequence
from typing import Any

HEALTHY = 100.0  # times that a layer's gradient may be smaller than the median layer's, or than in the shallowest net
SHRINKS = 10.0  # times that the gradient may shrink from the last third of the layers to the first


def weakest(row: dict[str, Any]) -> float:
    """How many times smaller the smallest layer's gradient is than the median layer's; infinite if it is 0."""
    smallest = min(row["gradient"])
    return statistics.median(row["gradient"]) / smallest if smallest else float("inf")


def drift(row: dict[str, Any]) -> float:
    """The largest over the smallest variance of a layer's response."""
    smallest = min(row["variance"])
    return max(row["variance"]) / smallest if smallest else float("inf")


def growth_toward_input(row: dict[str, Any]) -> float:
    """The median gradient of the first third of the layers over that of the last: below 1, it shrinks on its way."""
    third = len(row["gradient"]) // 3
    last = statistics.median(row["gradient"][-third:])
    return statistics.median(row["gradient"][:third]) / last if last else float("inf")


def smallest_norm(rows: Sequence[dict[str, Any]]) -> float:
    """The smallest norm of a layer's gradient, as it is."""
    return min(min(row["gradient_norm"]) for row in rows)


def vanishes(row: dict[str, Any], smallest_if_shallow: float) -> bool:
    """Whether a network fails the rule of `normalization`; the number is `smallest_norm` with 20 layers."""
    if row["when"] == "end":
        return weakest(row) > HEALTHY
    return growth_toward_input(row) < 1 / SHRINKS or smallest_norm([row]) < smallest_if_shallow / HEALTHY
