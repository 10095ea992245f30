"""The digits recipes: the paper's effect in small, in minutes on a laptop."""

from reslab.config import DataConfig, EvaluationConfig, LinearWarmup, NoAugment, RunConfig, Sgd, StepDecay, TrainConfig
from reslab.spec.families import model_spec

DIGITS_DEPTHS = (20, 56)
_ITERATIONS = 510  # 30 epochs of 1,078 images in batches of 64


def digits(kind: str, depth: int) -> RunConfig:
    """Train on the embedded digits: the paper's comparison in small, the same settings for every network.

    SGD, batch 64, lr 0.05 after a linear warm-up, divided by 10 at 60 % and 85 % of the run.

    Source: none in the paper; it shows in small what Sec. 4.2 and Fig. 6 show.
    Command: `reslab train digits-resnet20`.
    Expected: training error near 0, but for the plain net of 56 layers, which stays far above (degradation).
    Cost: 510 iterations of 64 images, less than a minute on a CPU for 20 layers.

    Args:
        kind: "plain" or "resnet".
        depth: Layers: 20 or 56.
    """
    return RunConfig(
        recipe=f"digits-{kind}{depth}",
        model=model_spec(f"cifar_{kind}{depth}", in_channels=1),
        data=DataConfig(kind="digits", mean="pixel", scale="none", augment=NoAugment()),
        optim=Sgd(lr=0.05, momentum=0.9, nesterov=False, weight_decay=1e-4, decay_norm_and_bias=True),
        schedule=StepDecay(milestones=(306, 434), gamma=0.1),
        warmup=LinearWarmup(iterations=85),
        train=TrainConfig(iterations=_ITERATIONS, batch_size=64, log_every=17, checkpoint_every=102),
        evaluation=EvaluationConfig(every=34, monitor="validation"),
    )
