"""A network from a model file, together with what the file says about its inputs and classes."""

import torch
from torch import Tensor, nn

from reslab.artifacts.model_file import ModelCard
from reslab.models import Network
from reslab.models.modes import eval_mode
from reslab.spec import ModelSpec

from .explainer import Explainer


class LoadedModel(Explainer, nn.Module):
    """What `reslab.load(path)` returns: a network and its card, as one module.

    Call it with normalised images to get logits, or let it `predict` and `explain` pictures of any kind.

    Attributes:
        network: The network alone, with torchvision's parameter names.
        card: Preprocessing, class names, recipe, metrics and temperature.
    """

    def __init__(self, network: Network, card: ModelCard) -> None:
        super().__init__()
        self.network, self.card = network, card

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [n, num_classes] of normalised images [n, channels, height, width]."""
        return self.network(images)

    @property
    def spec(self) -> ModelSpec:
        """The network's specification."""
        return self.network.spec

    @property
    def device(self) -> torch.device:
        """The device of the weights, which inputs must be on."""
        return next(self.network.parameters()).device

    @torch.no_grad()  # inference_mode would give logits that nothing can be computed from later
    def logits_of(self, images: Tensor) -> Tensor:
        """Compute logits in eval mode, without gradients.

        Args:
            images: Normalised images [n, channels, height, width], as `prepare` returns them.

        Returns:
            float32 [n, num_classes], on the CPU.
        """
        with eval_mode(self):
            return self(images.to(next(self.network.parameters()).dtype)).float().cpu()
