"""The network of a model file, as the module it was trained as, that also knows its inputs and its classes."""

import torch
from torch import Tensor, nn

from reslab.artifacts.model_file import ModelFile
from reslab.models import ResNet
from reslab.models.vgg import VGG

from .explainer import Explainer


class _LoadedModule(Explainer, nn.Module):
    def place(self) -> torch.device:
        return next(self.parameters()).device

    @torch.no_grad()  # inference_mode would give logits that nothing can be computed from later
    def logits_of(self, images: Tensor) -> Tensor:
        training = [module for module in self.modules() if module.training]  # part of it may be frozen
        self.eval()
        try:
            return self(images.to(next(self.parameters()).dtype)).float().cpu()
        finally:
            for module in training:
                module.training = True


class LoadedResNet(_LoadedModule, ResNet):
    """A ResNet or plain network out of a model file; parameters and forward pass are those of `ResNet`."""


class LoadedVGG(_LoadedModule, VGG):
    """A VGG network out of a model file; parameters and forward pass are those of `VGG`."""


def with_card(loaded: ModelFile) -> LoadedResNet | LoadedVGG:
    """Return the network of a model file with its card; weights are shared with `loaded.model`, not copied."""
    kind = LoadedResNet if isinstance(loaded.model, ResNet) else LoadedVGG
    model = kind.__new__(kind)
    model.__dict__.update(loaded.model.__dict__)  # the constructor would draw weights that are thrown away
    model.card = loaded.card
    return model
