"""The training loop: how long, how precise, what is evaluated and kept."""

from dataclasses import dataclass
from typing import Literal

from reslab.errors import UsageError

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The training loop. Everything is counted in iterations (optimizer steps); batch_size is over all processes.

    accumulation: split each process's part of the batch into this many pieces to save memory; batch-norm
        statistics are then those of a piece.
    precision: "bf16" computes convolutions in bfloat16 where the device has it natively; "auto" picks it there.
    fused_norm: batch norm, addition and ReLU as one operation on CPUs, by a kernel that a C++ compiler builds.
    compile: torch.compile per block; "auto" considers it for long runs on CUDA and on CPUs with AMX.
        Of fused_norm and compile only one can be "on", which turns the other one off where that is "auto".
        What "auto" leaves open in these three is measured at the start of a long run, and kept for the next.
    bn_group_size: batch-norm statistics over groups of this many samples; None: over each process's (piece of a) batch.
    sync_bn: batch-norm statistics over all processes instead (CUDA only).
    class_weights: "balanced" weighs each image's loss by the inverse of how frequent its class is in training; the
        weights average 1 over the images, so an image counts the same in any batch and piece of one.
    label_smoothing: the share of each image's target that goes to all classes alike; class weights weigh the whole loss
        of an image.
    freeze_stages: how many stages, from the first, keep the weights and the batch-norm statistics they start with; 0:
        none, 1: the stem and the first stage, and so on. With all of them only the head trains.
    bn: "frozen" normalises by the running statistics in training too, and keeps them; scales and shifts still train.
    bn_reestimate_batches: before the final evaluation, replace the running statistics of batch norm by the plain
        average over this many training batches; 0: leave them.
    monitor: the split evaluated every `evaluate_every` iterations. "test" only draws a curve: nothing may depend on it.
    select: which checkpoint is the result; "best" is by validation error.
    final_training_error: at the end, also evaluate the clean training set (no augmentation, eval mode).
    patience_evaluations: stop early after this many evaluations without a better validation error; None: never.
    """

    iterations: int
    batch_size: int = 128
    accumulation: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    fused_norm: Literal["auto", "on", "off"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    checkpoint_activations: bool = False
    bn_group_size: int | None = None
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    ema_decay: float | None = None
    log_every: int = 100
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    monitor: Literal["none", "validation", "test"] = "none"
    select: Literal["last", "best"] = "last"
    patience_evaluations: int | None = None
    sync_bn: bool = False
    freeze_stages: int = 0
    bn: Literal["batch", "frozen"] = "batch"
    bn_reestimate_batches: int = 0
    final_training_error: bool = True

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "accumulation", "log_every", "evaluate_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("freeze_stages", "bn_reestimate_batches"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("bn_group_size", "patience_evaluations"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "1 or more, or none")
        require(self.clip_norm is None or self.clip_norm > 0, "clip_norm", self.clip_norm, "above 0, or none")
        require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "0 <= label_smoothing < 1")
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay", self.ema_decay, "0 < ema_decay < 1, or none"
        )
        if self.bn == "frozen":
            self._check_nothing_takes_statistics()
        if self.sync_bn and self.bn_group_size is not None:
            raise UsageError(
                f"bn_group_size is {self.bn_group_size} and sync_bn is true: statistics are over groups or over all "
                "processes, not both; leave one out."
            )
        if self.monitor != "validation":
            chooser = (
                "select='best'"
                if self.select == "best"
                else "patience_evaluations"
                if self.patience_evaluations
                else None
            )
            if chooser:
                raise UsageError(
                    f"{chooser} chooses by the validation error, but train.monitor is {self.monitor!r}; "
                    "use train.monitor='validation'. Nothing may be chosen by the test set."
                )

    def _check_nothing_takes_statistics(self) -> None:
        for name in ("sync_bn", "bn_group_size", "bn_reestimate_batches"):
            if value := getattr(self, name):
                raise UsageError(
                    f"bn is 'frozen' and {name} is {value}: frozen batch norm takes no statistics; leave one out."
                )
