"""When gradients vanish: what a network's signals are held to (paper Sec. 4.1), as functions of what was measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reslab.spec import Norm

When = Literal["start", "end"]  # of the training
HEALTHY = 100.0  # times that a layer's gradient may be smaller than the median layer's, or than in the shallowest net
SHRINKS = 10.0  # times that the gradient may shrink from the last third of the layers to the first


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSignals:
    """What was measured on one network, over its layers in order of depth.

    Attributes:
        kind: "plain" or "resnet".
        norm: The network's normalization.
        when: "start" for an untrained network, "end" for a trained one.
        seed: Seed of the network's weights.
        depth: The number of weighted layers.
        variance: Variance of each layer's response.
        gradient: Norm of each weight's gradient, relative to the weight's norm.
        gradient_norm: Norm of each weight's gradient, as it is.
    """

    kind: str
    norm: Norm
    when: When
    seed: int
    depth: int
    variance: tuple[float, ...]
    gradient: tuple[float, ...]
    gradient_norm: tuple[float, ...]

    @property
    def weakest(self) -> float:
        """How many times smaller the smallest layer's gradient is than the median layer's; infinite if it is 0."""
        smallest = min(self.gradient)
        return statistics.median(self.gradient) / smallest if smallest else float("inf")

    @property
    def drift(self) -> float:
        """The largest over the smallest variance of a layer's response."""
        smallest = min(self.variance)
        return max(self.variance) / smallest if smallest else float("inf")

    @property
    def growth_toward_input(self) -> float:
        """The median gradient of the first third of the layers over that of the last third."""
        third = len(self.gradient) // 3
        last = statistics.median(self.gradient[-third:])
        return statistics.median(self.gradient[:third]) / last if last else float("inf")

    def vanishes(self, smallest_if_shallow: float) -> bool:
        """Return whether the network fails the rule of `normalization`.

        Args:
            smallest_if_shallow: The `smallest_norm` of nets with 20 layers.
        """
        if self.when == "end":
            return self.weakest > HEALTHY
        return self.growth_toward_input < 1 / SHRINKS or min(self.gradient_norm) < smallest_if_shallow / HEALTHY


def smallest_norm(networks: Sequence[NetworkSignals]) -> float:
    """Return the smallest norm of a layer's gradient in some networks, as it is."""
    return min(min(network.gradient_norm) for network in networks)
