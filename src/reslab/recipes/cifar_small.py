"""The small CIFAR recipes: the paper's comparisons in hours on a laptop."""

from dataclasses import replace

from reslab.config import LinearWarmup, RunConfig, StepDecay

from .cifar import cifar

ITERATIONS = 2344  # six epochs of 50,000 images in batches of 128
_WARMUP = 100


def cifar_small(kind: str, depth: int) -> RunConfig:
    """Train on CIFAR-10 for six epochs, with one schedule for every depth, so that depth is the only difference.

    The paper's SGD, batch 128, lr 0.1 after 100 iterations of linear warm-up, divided by 10 at half and three quarters
    of the run. With six epochs instead of 164, every depth needs the warm-up that the paper's 110 layers need.

    Source: none in the paper; it shows in small what Sec. 4.2, Table 6 and Fig. 6 show.
    Command: `reslab train cifar-resnet20-small`.
    Expected: errors to compare networks by, far above those of the full training.
    Cost: 2,344 iterations of 128 images.

    Args:
        kind: "plain" or "resnet".
        depth: Layers, one of `CIFAR_DEPTHS`.
    """
    config = cifar(kind, depth)
    return replace(
        config,
        recipe=f"cifar-{kind}{depth}-small",
        schedule=StepDecay(milestones=(ITERATIONS // 2, ITERATIONS * 3 // 4), gamma=0.1),
        warmup=LinearWarmup(iterations=_WARMUP),
        train=replace(config.train, iterations=ITERATIONS, log_every=50, checkpoint_every=293),
        evaluation=replace(config.evaluation, every=293),
    )
