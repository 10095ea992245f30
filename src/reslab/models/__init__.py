"""Plain, residual and VGG networks."""

from .build import Network, build, create_model
from .finetune import freeze, lr_multipliers
from .growth import deepen
from .resnet import ResNet
from .vgg import VGG

__all__ = ["VGG", "Network", "ResNet", "build", "create_model", "deepen", "freeze", "lr_multipliers"]
