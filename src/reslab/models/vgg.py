"""VGG-16 and VGG-19, for the comparison of complexity in the paper's Table 1 and Fig. 3 only."""

import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.spec import ModelSpec

from .initialization import he_initialize

_POOLED_SIZE = 7  # VGG's classifier is fully connected over 7x7 positions: inputs must be 224x224


class VGG(nn.Module):
    """3x3 convolutions in stages that end in a 2x2 max-pool, then three fully connected layers.

    Parameter names are torchvision's without batch norm: `features.0.weight, ..., classifier.0.weight, ...`. Dropout
    is left out, as in every network of this package.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        channels = spec.in_channels
        for num_blocks, width in zip(spec.num_blocks, spec.widths, strict=True):
            for _ in range(num_blocks):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        # torchvision numbers its dropouts too, so the linear layers are 0, 3 and 6
        self.classifier = nn.Sequential(
            nn.Linear(channels * _POOLED_SIZE**2, 4096), nn.ReLU(), nn.Identity(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Identity(),
            nn.Linear(4096, spec.num_classes),
        )  # fmt: skip
        he_initialize(self)

    def parts(self) -> dict[str, list[nn.Module]]:
        """Return the modules of the network from the images to the logits: no stem, each stage, the classifier."""
        stages: list[list[nn.Module]] = [[]]
        for layer in self.features:
            stages[-1].append(layer)
            if isinstance(layer, nn.MaxPool2d):
                stages.append([])
        named = {f"stage{number}": layers for number, layers in enumerate(stages[:-1], start=1)}
        return {"stem": [], **named, "head": [self.classifier]}

    def forward_features(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each stage by name: "stage1", ... each [batch, channels, h, w], after its pooling."""
        features: dict[str, Tensor] = {}
        x = images
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                features[f"stage{len(features) + 1}"] = x
        return features

    def forward(self, images: Tensor) -> Tensor:
        """images [batch, in_channels, 224, 224] -> logits [batch, num_classes]; UsageError for another size."""
        pooled = 2 ** len(self.spec.num_blocks)
        if any(side // pooled != _POOLED_SIZE for side in images.shape[-2:]):
            raise UsageError(f"VGG takes images of 224x224 pixels, not {images.shape[-2]}x{images.shape[-1]}.")
        return self.forward_head(self.features(images))

    def forward_head(self, features: Tensor) -> Tensor:
        """The last stage's output [batch, channels, h, w] -> logits [batch, num_classes]"""
        return self.classifier(F.adaptive_avg_pool2d(features, _POOLED_SIZE).flatten(1))
