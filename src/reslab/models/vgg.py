"""VGG-16 and VGG-19, to compare their complexity as the paper's Sec. 3.3 and Fig. 3 do."""

import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.spec import ModelSpec

from .initialization import he_initialize

_POOLED_SIZE = 7  # VGG's classifier is fully connected over 7x7 positions: inputs must be 224x224


class VGG(nn.Module):
    """A VGG network: stages of 3x3 convolutions, each ended by a 2x2 max-pool, then three fully connected layers.

    Parameter names are torchvision's without batch norm: `features.0.weight, ..., classifier.0.weight, ...`. It has no
    dropout, like every network of this package.

    Args:
        spec: The architecture, of the "vgg" family.
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
        """Return the network's modules in order, under "stem" (empty), each stage's name and "head"."""
        stages: list[list[nn.Module]] = [[]]
        for layer in self.features:
            stages[-1].append(layer)
            if isinstance(layer, nn.MaxPool2d):
                stages.append([])
        named = {f"stage{number}": layers for number, layers in enumerate(stages[:-1], start=1)}
        return {"stem": [], **named, "head": [self.classifier]}

    def forward_features(self, images: Tensor) -> dict[str, Tensor]:
        """Run the stages, and keep each one's output after its pooling.

        Args:
            images: [batch, in_channels, h, w].

        Returns:
            Outputs [batch, channels, h', w'] under "stage1", "stage2" and so on.
        """
        features: dict[str, Tensor] = {}
        x = images
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                features[f"stage{len(features) + 1}"] = x
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Run the whole network.

        Args:
            images: [batch, in_channels, 224, 224].

        Returns:
            Logits [batch, num_classes].

        Raises:
            UsageError: The images have another size.
        """
        pooled = 2 ** len(self.spec.num_blocks)
        if any(side // pooled != _POOLED_SIZE for side in images.shape[-2:]):
            raise UsageError(f"VGG takes images of 224x224 pixels, not {images.shape[-2]}x{images.shape[-1]}.")
        return self.forward_head(self.features(images))

    def forward_head(self, features: Tensor) -> Tensor:
        """Run the three fully connected layers.

        Args:
            features: The last stage's output, [batch, channels, h, w].

        Returns:
            Logits [batch, num_classes].
        """
        return self.classifier(F.adaptive_avg_pool2d(features, _POOLED_SIZE).flatten(1))
