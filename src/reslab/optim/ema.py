"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages `w_avg = decay * w_avg + (1 - decay) * w` of the parameters; buffers are the model's own."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self.decay = model, decay
        self.averages = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the current weights, after an optimizer step."""
        for name, parameter in self._model.named_parameters():
            self.averages[name].lerp_(parameter, 1 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the model's place, for an evaluation or a model file."""
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
        return self.averages

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, average in self.averages.items():
            average.copy_(state[name])
