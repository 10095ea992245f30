"""Plain and residual networks: a stem, stages of blocks, global average pooling, one fully connected layer."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reslab.spec import ModelSpec

from .blocks import BLOCKS, zero_init_last_scale
from .initialization import he_initialize
from .normalization import frozen_running_statistics, make_norm, norm_relu


class ResNet(nn.Module):
    """A plain or residual network (paper Table 1 and Sec. 4.2).

    Parameter names are torchvision's: `conv1, bn1, layer1.0.conv1, ..., layer1.0.downsample.0, ..., fc`. The paper's
    conv2_x is `layer1`, and so on.

    Args:
        spec: The architecture, of the "imagenet" or "cifar" family.
        checkpoint_activations: Recompute each block's activations in the backward pass instead of keeping them.

    Attributes:
        stage_names: "layer1", "layer2" and so on, in order.
    """

    def __init__(self, spec: ModelSpec, *, checkpoint_activations: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.checkpoint_activations = checkpoint_activations
        kernel, stride = (7, 2) if spec.stem == "imagenet" else (3, 1)
        self.conv1 = nn.Conv2d(
            spec.in_channels, spec.stem_channels, kernel, stride, padding=kernel // 2, bias=spec.norm == "none"
        )
        self.bn1 = make_norm(spec, spec.stem_channels)
        channels = spec.stem_channels
        self.stage_names = tuple(f"layer{number}" for number in range(1, len(spec.num_blocks) + 1))
        for number, (name, num_blocks, width) in enumerate(
            zip(self.stage_names, spec.num_blocks, spec.widths, strict=True)
        ):
            stage = self._make_stage(channels, num_blocks, width, stride=1 if number == 0 else 2)
            setattr(self, name, stage)
            channels = width * spec.expansion
        self.fc = nn.Linear(channels, spec.num_classes)
        he_initialize(self)
        if spec.zero_init_residual:
            for block in self.blocks():
                zero_init_last_scale(block)  # type: ignore[arg-type]

    def _make_stage(self, in_channels: int, num_blocks: int, width: int, stride: int) -> nn.Sequential:
        block = BLOCKS[self.spec.block]
        first = block(self.spec, in_channels, width, stride)
        others = [block(self.spec, first.out_channels, width, 1) for _ in range(num_blocks - 1)]
        return nn.Sequential(first, *others)

    def stages(self) -> dict[str, nn.Sequential]:
        """Return the stages by name, in order."""
        return {name: getattr(self, name) for name in self.stage_names}

    def parts(self) -> dict[str, list[nn.Module]]:
        """Return the modules of each part, in order; the keys are "stem", the names of the stages, and "head"."""
        stages: dict[str, list[nn.Module]] = {name: [stage] for name, stage in self.stages().items()}
        return {"stem": [self.conv1, self.bn1], **stages, "head": [self.fc]}

    def blocks(self) -> list[nn.Module]:
        """Return every block, in order of depth."""
        return [block for stage in self.stages().values() for block in stage]

    def forward_stem(self, images: Tensor) -> Tensor:
        """Run the stem.

        Args:
            images: [batch, in_channels, h, w].

        Returns:
            [batch, stem_channels, h', w']: a quarter of h and w with the ImageNet stem, the same h and w with CIFAR's.
        """
        x = norm_relu(self.bn1, self.conv1(images))
        return F.max_pool2d(x, 3, 2, padding=1) if self.spec.stem == "imagenet" else x

    def forward_features(self, images: Tensor) -> dict[str, Tensor]:
        """Run the stem and the stages, and keep each one's output.

        Args:
            images: [batch, in_channels, h, w].

        Returns:
            Outputs [batch, channels, h', w'] under "stem", "layer1", "layer2" and so on.
        """
        features = {"stem": self.forward_stem(images)}
        x = features["stem"]
        for name, stage in self.stages().items():
            for block in stage:
                x = self._run(block, x)
            features[name] = x
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Run the whole network.

        Args:
            images: [batch, in_channels, h, w].

        Returns:
            Logits [batch, num_classes].
        """
        return self.forward_head(self.forward_features(images)[self.stage_names[-1]])

    def forward_head(self, features: Tensor) -> Tensor:
        """Run global average pooling and the fully connected layer.

        Args:
            features: The last stage's output, [batch, channels, h, w].

        Returns:
            Logits [batch, num_classes].
        """
        return self.fc(features.mean((2, 3)))

    def _run(self, block: nn.Module, x: Tensor) -> Tensor:
        if not (self.checkpoint_activations and self.training):
            return block(x)
        return checkpoint(block, x, use_reentrant=False, context_fn=partial(_recompute_contexts, block))  # type: ignore[return-value]


def _recompute_contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), frozen_running_statistics(block)
