"""The paper's CIFAR networks, unchanged, at the paper's error in minutes: everything but the network is free."""

from reslab.config import DataConfig, EvaluationConfig, Muon, OneCycle, PadCrop, RunConfig, TrainConfig
from reslab.spec.families import model_spec

_BATCH_SIZE = 128
EPOCHS = 23


def cifar_fast(kind: str, depth: int) -> RunConfig:
    """Muon, a line down to 0, alternating flips, small images first.

    All 50,000 training images are trained on, nothing is selected, and the last weights are the result.
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
