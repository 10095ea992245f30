"""Six epochs of CIFAR-10: the paper's comparisons in hours on a laptop, the same for every network."""

from dataclasses import replace

from reslab.config import LinearWarmup, RunConfig, StepDecay

from .cifar import cifar

ITERATIONS = 2344  # six epochs of 50,000 images in batches of 128
_WARMUP = 100


def cifar_small(kind: str, depth: int) -> RunConfig:
    """The paper's SGD, batch 128, lr 0.1 after 100 iterations of linear warm-up, divided by 10 at half and 3/4.

    One schedule for every depth, so that depth is the only difference; with six epochs instead of 164 it needs a
    warm-up where the paper's 110 layers do.
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
