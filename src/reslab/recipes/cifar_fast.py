"""The fast CIFAR recipes: the paper's networks, unchanged, at the paper's error in minutes."""

from reslab.config import DataConfig, EvaluationConfig, Muon, OneCycle, PadCrop, RunConfig, TrainConfig
from reslab.spec.families import model_spec

_BATCH_SIZE = 128
EPOCHS = 23


def cifar_fast(kind: str, depth: int) -> RunConfig:
    """Train the paper's CIFAR networks, unchanged, to the paper's error in minutes.

    Muon, one cycle of the learning rate, alternating flips, small images first. All 50,000 training images are used,
    nothing is selected, and the last weights are the result.

    Source: the networks of Sec. 4.2; the training follows Jordan et al. 2024.
    Command: `reslab train cifar-resnet20-fast`.
    Expected: a test error near 8.75 % for ResNet-20, which the recipe was tuned for.
    Cost: 23 epochs of 50,000 images.

    Args:
        kind: "plain" or "resnet".
        depth: Layers, one of `CIFAR_DEPTHS`.
    """
    return RunConfig(
        recipe=f"cifar-{kind}{depth}-fast",
        model=model_spec(f"cifar_{kind}{depth}"),
        data=DataConfig(
            kind="cifar10",
            mean="channel",
            scale="std",
            initial_size=20,
            full_size_from=0.75,
            augment=PadCrop(padding=4, flip=True, fill="reflect", flip_order="alternating"),
        ),
        optim=Muon(lr=0.07, momentum=0.6, sgd_lr=0.07, sgd_momentum=0.9, weight_decay=5e-4),
        schedule=OneCycle(pct_start=0.05, start_factor=0.2, final_factor=0.0),
        train=TrainConfig(
            iterations=EPOCHS * 50_000 // _BATCH_SIZE,
            batch_size=_BATCH_SIZE,
            log_every=100,
            checkpoint_every=1000,
        ),
        evaluation=EvaluationConfig(every=1000, monitor="none"),
    )
