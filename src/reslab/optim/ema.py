"""An exponential moving average of the weights."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of a model's parameters: w_avg = decay * w_avg + (1 - decay) * w.

    Buffers, such as running statistics, are not averaged.

    Args:
        model: The network whose parameters are averaged, starting from their current values.
        decay: Weight of the old average at each update, in [0, 1).

    Attributes:
        averages: The average of each parameter, by the parameter's name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self.decay = model, decay
        self.averages = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Include the current weights in the averages. Called after each optimizer step."""
        for name, parameter in self._model.named_parameters():
            self.averages[name].lerp_(parameter, 1 - self.decay)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Give the model the averaged weights inside a `with` block, for an evaluation or a model file."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._model.named_parameters():
            parameter.data, self.averages[name] = self.averages[name], parameter.data

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages, by parameter name."""
        return self.averages

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy the averages from a `state_dict()`."""
        for name, average in self.averages.items():
            average.copy_(state[name])
