"""The paper's ImageNet set-up (Sec. 3.4); it works on any image folder."""

from reslab.config import DataConfig, EvaluationConfig, Plateau, RunConfig, ScaleCrop, Sgd, TrainConfig
from reslab.spec.families import model_spec

IMAGENET_NETS = (
    ("plain", 18), ("plain", 34), ("resnet", 18), ("resnet", 34), ("resnet", 50), ("resnet", 101), ("resnet", 152),
)  # fmt: skip


def imagenet(kind: str, depth: int) -> RunConfig:
    """SGD, momentum 0.9, weight decay 1e-4, batch 256, lr 0.1 divided by 10 on plateaus, 600k iterations.

    Short side sampled in [256, 480], 224 crop or its flip, per-pixel mean subtracted, PCA colour. The plateau is of
    the validation part's error: 50,000 training images held out where the folder has no `val` of its own.
    """
    return RunConfig(
        recipe=f"imagenet-{kind}{depth}",
        model=model_spec(f"{kind}{depth}"),
        data=DataConfig(
            kind="folder",
            mean="pixel",
            scale="none",
            validation_size=50_000,
            augment=ScaleCrop(min_short_side=256, max_short_side=480, crop_size=224, flip=True, color_std=0.1),
        ),
        optim=Sgd(lr=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4, decay_norm_and_bias=True),
        schedule=Plateau(factor=0.1, patience=5, min_delta=0.1, max_drops=3),
        train=TrainConfig(iterations=600_000, batch_size=256, log_every=100, checkpoint_every=1000),
        evaluation=EvaluationConfig(every=5000, monitor="validation", final_training_error=False),
    )
