"""The ImageNet recipes: the paper's set-up (Sec. 3.4), for any folder of photos."""

from reslab.config import DataConfig, EvaluationConfig, Plateau, RunConfig, ScaleCrop, Sgd, TrainConfig
from reslab.spec.families import model_spec

IMAGENET_NETS = (
    ("plain", 18), ("plain", 34), ("resnet", 18), ("resnet", 34), ("resnet", 50), ("resnet", 101), ("resnet", 152),
)  # fmt: skip


def imagenet(kind: str, depth: int) -> RunConfig:
    """Train on a folder of photos as the paper trains on ImageNet (Sec. 3.4).

    SGD, momentum 0.9, weight decay 1e-4, batch 256, lr 0.1 divided by 10 on plateaus, 600k iterations. The shorter side
    is sampled from [256, 480]; a 224 crop or its mirror image, minus the per-pixel mean, with PCA colour. The plateau
    is that of the validation error; where the folder has no `val`, 50,000 training images are held out.

    Source: Sec. 3.4 and 4.1.
    Command: `reslab train imagenet-resnet50 --data FOLDER`.
    Expected: a top-1 error of 22.85 % for ResNet-50 with 10 crops (Table 3).
    Cost: 600,000 iterations of 256 images, 154 M images.

    Args:
        kind: "plain" or "resnet".
        depth: Layers, as in `IMAGENET_NETS`.
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
