"""The training loop: how long, on what batches, and what is logged and kept."""

from dataclasses import dataclass
from typing import Literal

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Configure the training loop; everything is counted in iterations (optimizer steps).

    Attributes:
        iterations: Optimizer steps in the whole run.
        batch_size: Images per step, over all processes together.
        accumulation_steps: Split each process's part of the batch into this many micro-batches to save memory.
            Batch-norm statistics are then those of a micro-batch.
        grad_clip_norm: Largest norm of the gradient over all parameters; None does not clip.
        label_smoothing: Share of each image's target that is spread evenly over all classes. Class weights weigh the
            whole loss of an image.
        class_weights: "balanced" weighs each image's loss by the inverse of its class's frequency in training. The
            weights average 1 over the images, so an image counts the same in any batch and micro-batch.
        ema_decay: Decay of an exponential moving average of the weights, which is then the result; None takes the
            weights themselves.
        freeze_stages: Number of stages, counted from the first, that keep the weights and the batch-norm statistics
            they start with. 0 freezes nothing, 1 the stem and the first stage, and so on; with all of them only the
            head trains.
        log_every: Iterations between two rows of the training log.
        checkpoint_every: Iterations between two checkpoints.
    """

    iterations: int
    batch_size: int = 128
    accumulation_steps: int = 1
    grad_clip_norm: float | None = None
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    ema_decay: float | None = None
    freeze_stages: int = 0
    log_every: int = 100
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "accumulation_steps", "log_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "1 or more")
        clip, decay, smoothing = self.grad_clip_norm, self.ema_decay, self.label_smoothing
        require(self.freeze_stages >= 0, "train.freeze_stages", self.freeze_stages, "0 or more")
        require(clip is None or clip > 0, "train.grad_clip_norm", clip, "above 0, or none")
        require(0 <= smoothing < 1, "train.label_smoothing", smoothing, "0 <= label_smoothing < 1")
        require(decay is None or 0 < decay < 1, "train.ema_decay", decay, "0 < ema_decay < 1, or none")
