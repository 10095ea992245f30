"""The CIFAR recipes: the paper's set-up (Sec. 4.2) for plain and residual nets of its depths."""

from reslab.config import (
    DataConfig,
    EvaluationConfig,
    NoWarmup,
    PadCrop,
    RunConfig,
    Sgd,
    StepDecay,
    TrainConfig,
    UntilTrainingError,
)
from reslab.spec.families import CIFAR_PAPER_DEPTHS, model_spec

CIFAR_DEPTHS = CIFAR_PAPER_DEPTHS
_NEEDS_WARMUP_FROM = 110  # "in this case, we find that the initial learning rate of 0.1 is slightly too large"


def cifar(kind: str, depth: int) -> RunConfig:
    """Train on CIFAR-10 as the paper does (Sec. 4.2).

    SGD, momentum 0.9, weight decay 1e-4, batch 128, lr 0.1 divided by 10 at 32k and 48k, 64k iterations. All 50,000
    training images are used, nothing is selected, and the last weights are the result.

    Source: Sec. 4.2, Table 6, Fig. 6.
    Command: `reslab train cifar-resnet20`.
    Expected: a test error of 8.75 % for ResNet-20, 6.97 % for ResNet-56 (Table 6).
    Cost: 64,000 iterations of 128 images, 8.2 M images.

    Args:
        kind: "plain" or "resnet".
        depth: Layers, one of `CIFAR_DEPTHS`. From 110 on, the run begins at a tenth of the learning rate.
    """
    return RunConfig(
        recipe=f"cifar-{kind}{depth}",
        model=model_spec(f"cifar_{kind}{depth}"),
        data=DataConfig(kind="cifar10", mean="pixel", scale="none", augment=PadCrop(padding=4, flip=True, fill="mean")),
        optim=Sgd(lr=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4, decay_norm_and_bias=True),
        schedule=StepDecay(milestones=(32_000, 48_000), gamma=0.1),
        warmup=UntilTrainingError(factor=0.1, below_percent=80.0) if depth >= _NEEDS_WARMUP_FROM else NoWarmup(),
        train=TrainConfig(iterations=64_000, batch_size=128, log_every=100, checkpoint_every=500),
        evaluation=EvaluationConfig(every=2000, monitor="test"),
    )
