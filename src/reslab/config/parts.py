"""The parts of a configuration: frozen, typed, each checked when it is made."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Discriminator

from reslab.errors import UsageError
from reslab.spec import ModelSpec


def _require(condition: bool, field_name: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{field_name} is {value!r}; allowed: {allowed}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAugment:
    """Every training image as it is."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class PadCrop:
    """Pad each side, crop the original size at random, flip half of the images (paper Sec. 4.2).

    fill: what the padding is: "mean" pads after the mean is subtracted (as fb.resnet.torch), "black" before,
        "reflect" repeats what is inside.
    flip_order: "random" draws for each image and epoch; "alternating" draws once for each image, and then flips it in
        every second epoch (Jordan 2024), so that two epochs show both sides of all images.
    cutout_size: side of a square at a random place that is set to the mean (DeVries and Taylor 2017); 0 for none.
    """

    kind: Literal["pad_crop"] = "pad_crop"
    padding: int = 4
    flip: bool = True
    fill: Literal["mean", "black", "reflect"] = "mean"
    flip_order: Literal["random", "alternating"] = "random"
    cutout_size: int = 0

    def __post_init__(self) -> None:
        _require(self.padding >= 0, "padding", self.padding, "0 or more pixels")
        _require(self.cutout_size >= 0, "cutout_size", self.cutout_size, "0 or more pixels")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleCrop:
    """Resize the shorter side to a random size in [min, max], crop at random, flip half (paper Sec. 3.4).

    color_std: standard deviation of the PCA colour augmentation (paper ref. 21: 0.1); 0 for none.
    """

    kind: Literal["scale_crop"] = "scale_crop"
    min_short_side: int = 256
    max_short_side: int = 480
    crop_size: int = 224
    flip: bool = True
    color_std: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.crop_size, self.min_short_side, self.max_short_side)
        _require(
            1 <= sizes[0] <= sizes[1] <= sizes[2],
            "crop_size, min_short_side, max_short_side",
            sizes,
            "1 <= crop_size <= min <= max",
        )
        _require(self.color_std >= 0, "color_std", self.color_std, "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResizedCrop:
    """A random part of the picture resized to a square, or its mirror image (Szegedy et al. 2015); for photos.

    min_area: the smallest part of the area that is taken; max_aspect: the longest shape, as width over height or back.
    color_std: as of "scale_crop". randaugment_ops, randaugment_magnitude: operations on colour and geometry for each
        image, and their strength, 0 to 30 (Cubuk et al. 2020); 0 operations for none.
    erase_probability: of a random rectangle set to the mean (Zhong et al. 2020).
    """

    kind: Literal["resized_crop"] = "resized_crop"
    crop_size: int = 224
    min_area: float = 0.25
    max_aspect: float = 4 / 3
    flip: bool = True
    color_std: float = 0.0
    randaugment_ops: int = 0
    randaugment_magnitude: int = 9
    erase_probability: float = 0.0

    def __post_init__(self) -> None:
        _require(self.crop_size >= 8, "crop_size", self.crop_size, "8 pixels or more")
        _require(0 < self.min_area <= 1, "min_area", self.min_area, "a part of the area, above 0 up to 1")
        _require(self.max_aspect >= 1, "max_aspect", self.max_aspect, "1 or more")
        _require(self.color_std >= 0, "color_std", self.color_std, "0 or more")
        _require(self.randaugment_ops >= 0, "randaugment_ops", self.randaugment_ops, "0 or more")
        _require(0 <= self.randaugment_magnitude <= 30, "randaugment_magnitude", self.randaugment_magnitude, "0 to 30")
        _require(0 <= self.erase_probability <= 1, "erase_probability", self.erase_probability, "0 to 1")


Augment = Annotated[NoAugment | PadCrop | ScaleCrop | ResizedCrop, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where images come from and how they reach the network.

    kind: the format; "auto" recognises what lies at `path` by its content.
    path: a folder or archive; None looks under the data root (RESLAB_DATA) and downloads what can be downloaded.
    validation_size: images held out of the training images, stratified by class; used when the data has no
        validation part of its own.
    test_size: images held out before them as the test part, likewise; used when the data has no test part of its own.
    val_is: what the data's validation part is used as. "test" makes it the test part, so that nothing is chosen by it,
        and validation is held out of training.
    channels: of image files: 1 grey, 3 colour, 4 with transparency, any number from .npy files; None: 3.
    skip_unreadable: leave out image files that cannot be read, and record them in the run, instead of refusing.
    mean: subtract a mean per pixel position (the paper) or per channel; "weights" measures nothing, and takes mean and
        deviation from the model file that the run starts from, so that the network sees the inputs it knows (`scale`
        then has no say).
    scale: divide by nothing (the paper) or by the standard deviation per channel. With batch norm after the first
        convolution the network's output does not depend on it.
    first_size: side of the training images, in pixels, at the start of the run; None: their own from the start.
        Smaller images cost less, and the network can learn what is coarse from them.
    full_size_from: the part of the run after which images have their own size; up to there it grows in equal steps.
    size, short_side, fit: how photos are shown in evaluation: the side of the square, the shorter side before the
        centre is cropped (only "crop" has one), and "crop", "letterbox" or "squash" (see PreprocessSpec). None: the
        training crop, and 256 pixels for each 224.
    sampling: "natural" shows every image once in an epoch, "balanced" every class equally often.
    mixup_alpha, cutmix_alpha: of the Beta distribution of the share that another image gets in each (Zhang et al.
        2018; Yun et al. 2019); 0 for none. The training error is then that of the larger picture's label only.
    """

    kind: Literal["auto", "digits", "cifar10", "cifar100", "idx", "folder"] = "auto"
    path: str | None = None
    validation_size: int = 0
    validation_seed: int = 0
    test_size: int = 0
    val_is: Literal["validation", "test"] = "validation"
    channels: int | None = None
    skip_unreadable: bool = False
    mean: Literal["pixel", "channel", "weights"] = "channel"
    scale: Literal["none", "std"] = "none"
    first_size: int | None = None
    full_size_from: float = 0.5
    size: int | None = None
    short_side: int | None = None
    fit: Literal["crop", "letterbox", "squash"] = "crop"
    sampling: Literal["natural", "balanced"] = "natural"
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    augment: Augment = field(default_factory=NoAugment)

    def __post_init__(self) -> None:
        _require(self.first_size is None or self.first_size >= 8, "first_size", self.first_size, "8 pixels or more")
        _require(0 < self.full_size_from < 1, "full_size_from", self.full_size_from, "a part of the run, 0 to 1")
        _require(self.validation_size >= 0, "validation_size", self.validation_size, "0 or more images")
        _require(self.test_size >= 0, "test_size", self.test_size, "0 or more images")
        _require(self.channels is None or self.channels >= 1, "channels", self.channels, "1 or more, or none")
        _require(self.size is None or self.size >= 8, "size", self.size, "8 pixels or more")
        _require(
            self.short_side is None or self.short_side >= (self.size or 1), "short_side", self.short_side,
            "the side of the evaluation's square (data.size) or more",
        )  # fmt: skip
        for name in ("mixup_alpha", "cutmix_alpha"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sgd:
    """Stochastic gradient descent with momentum; `v = momentum * v + g + weight_decay * w; w -= lr * v`.

    decay_norm_and_bias: whether weight decay also acts on batch-norm scales, shifts and biases. The paper does not say.
    layer_decay: the head has the learning rate; each stage below it, down to the stem, has it times this once more.
    """

    kind: Literal["sgd"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_norm_and_bias: bool = True
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        _require(self.lr > 0, "lr", self.lr, "a number above 0")
        _require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "0 < layer_decay <= 1")
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "0 <= momentum < 1")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _require(not self.nesterov or self.momentum > 0, "nesterov", self.nesterov, "true only with momentum above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Muon:
    """Muon on the convolutions inside the network, SGD with Nesterov momentum on the rest (Jordan et al. 2024).

    lr: size of a step of an inner convolution, relative to its weight, which is held at a fixed norm.
    other_lr, other_momentum, weight_decay: of the rest: the stem, batch norm, the last layer.
    """

    kind: Literal["muon"] = "muon"
    lr: float = 0.1
    momentum: float = 0.6
    other_lr: float = 0.1
    other_momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        for name in ("lr", "other_lr"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "a number above 0")
        for name in ("momentum", "other_momentum"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 <= momentum < 1")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")


Optim = Annotated[Sgd | Muon, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """The learning rate stays where it is."""

    kind: Literal["constant"] = "constant"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDecay:
    """Multiply the learning rate by `factor` at each milestone, in iterations (paper Sec. 4.2)."""

    kind: Literal["step"] = "step"
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in zip((0, *self.milestones), self.milestones, strict=False))
        _require(ascending, "milestones", self.milestones, "iterations above 0 in ascending order")
        _require(0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plateau:
    """Multiply by `factor` when the validation error has not improved for a while (paper Sec. 3.4).

    patience_evaluations: evaluations without improvement before a drop.
    min_improvement: how many points of error (in %) count as an improvement.
    max_drops: drop at most this often.
    """

    kind: Literal["plateau"] = "plateau"
    factor: float = 0.1
    patience_evaluations: int = 5
    min_improvement: float = 0.1
    max_drops: int = 3

    def __post_init__(self) -> None:
        _require(0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")
        _require(self.patience_evaluations >= 1, "patience_evaluations", self.patience_evaluations, "1 or more")
        _require(self.min_improvement >= 0, "min_improvement", self.min_improvement, "0 or more")
        _require(self.max_drops >= 1, "max_drops", self.max_drops, "1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosine:
    """Fall along half a cosine from the learning rate to `final_factor` times it over the whole run."""

    kind: Literal["cosine"] = "cosine"
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.final_factor <= 1, "final_factor", self.final_factor, "0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class OneCycle:
    """Rise linearly from `start_factor` to 1 over the part `rise` of the run, then fall linearly to `final_factor`."""

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = 0.3
    start_factor: float = 0.1
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        _require(0 < self.rise < 1, "rise", self.rise, "a part of the run, 0 < rise < 1")
        _require(0 <= self.start_factor <= 1, "start_factor", self.start_factor, "0 to 1")
        _require(0 <= self.final_factor <= 1, "final_factor", self.final_factor, "0 to 1")


Schedule = Annotated[Constant | StepDecay | Plateau | Cosine | OneCycle, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoWarmup:
    """Start at the schedule's learning rate."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearWarmup:
    """Rise linearly to the schedule's learning rate over `iterations`."""

    kind: Literal["linear"] = "linear"
    iterations: int = 500

    def __post_init__(self) -> None:
        _require(self.iterations >= 1, "iterations", self.iterations, "1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class UntilTrainingError:
    """Use `factor` times the learning rate until the training error is below a bound (paper Sec. 4.2, 110 layers).

    The training error is that of the augmented batches, averaged over each `window_iterations` iterations.
    """

    kind: Literal["until_error"] = "until_error"
    factor: float = 0.1
    below_percent: float = 80.0
    window_iterations: int = 100

    def __post_init__(self) -> None:
        _require(0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")
        _require(0 < self.below_percent < 100, "below_percent", self.below_percent, "0 < below_percent < 100")
        _require(self.window_iterations >= 1, "window_iterations", self.window_iterations, "1 or more")


Warmup = Annotated[NoWarmup | LinearWarmup | UntilTrainingError, Discriminator("kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The training loop. Everything is counted in iterations (optimizer steps); batch_size is over all processes.

    accumulation: split each process's part of the batch into this many pieces to save memory; batch-norm
        statistics are then those of a piece.
    precision: "bf16" computes convolutions in bfloat16 where the device has it natively; "auto" picks it there.
    fused_norm: batch norm, addition and ReLU as one operation on CPUs, by a kernel that a C++ compiler builds.
    compile: torch.compile per block; "auto" considers it for long runs on CUDA and on CPUs with AMX.
        What "auto" leaves open in these three is measured at the start of a long run, and kept for the next.
    bn_group_size: batch-norm statistics over groups of this many samples; None: over each process's (piece of a) batch.
    sync_bn: batch-norm statistics over all processes instead (CUDA only).
    class_weights: "balanced" weighs each image's loss by the inverse of how frequent its class is in training.
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
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("freeze_stages", "bn_reestimate_batches"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("bn_group_size", "patience_evaluations"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "1 or more, or none")
        _require(self.clip_norm is None or self.clip_norm > 0, "clip_norm", self.clip_norm, "above 0, or none")
        _require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "0 <= label_smoothing < 1")
        _require(
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


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A whole run: the same config, seed and data give the same run again.

    weights: a model file of the same network, whose weights training starts from instead of the initialisation; the
        head is carried over as far as it has the data's classes, by name.
    """

    recipe: str
    model: ModelSpec
    data: DataConfig
    train: TrainConfig
    optim: Optim = field(default_factory=Sgd)
    schedule: Schedule = field(default_factory=Constant)
    warmup: Warmup = field(default_factory=NoWarmup)
    weights: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        self._check_finetuning()
        if self.optim.kind == "muon" and self.model.norm == "none":
            raise UsageError(
                "optim.kind 'muon' holds weights at a fixed norm, which only batch norm makes harmless, "
                "and model.norm is 'none'; use optim.kind='sgd'."
            )
        if self.schedule.kind == "plateau" and self.train.monitor != "validation":
            raise UsageError(
                f"schedule.kind 'plateau' follows the validation error, but train.monitor is {self.train.monitor!r}; "
                "use train.monitor='validation'. Nothing may be chosen by the test set."
            )

    def _check_finetuning(self) -> None:
        train, num_stages = self.train, len(self.model.num_blocks)
        _require(
            train.freeze_stages <= num_stages,
            "train.freeze_stages",
            train.freeze_stages,
            f"0 to {num_stages}, the stages of {self.model.label}",
        )
        needing = {"train.freeze_stages": train.freeze_stages > 0, "train.bn": train.bn == "frozen",
                   "data.mean": self.data.mean == "weights"}  # fmt: skip
        for name in [name for name, is_set in needing.items() if is_set and self.weights is None]:
            part, _, field_name = name.partition(".")
            raise UsageError(
                f"{name} is {getattr(getattr(self, part), field_name)!r}, but the run starts from random weights; "
                "give weights (--weights FILE)."
            )
        if self.model.norm == "none" and (train.bn == "frozen" or train.bn_reestimate_batches):
            raise UsageError("train.bn and train.bn_reestimate_batches are for batch norm, and model.norm is 'none'.")
        if train.bn_reestimate_batches and train.freeze_stages == num_stages:
            raise UsageError(
                f"train.bn_reestimate_batches is {train.bn_reestimate_batches}, but with train.freeze_stages "
                f"{num_stages} all batch norm is frozen; leave one out."
            )
        if self.optim.kind == "muon" and train.bn == "frozen":
            raise UsageError(
                "optim.kind 'muon' holds weights at a fixed norm, which frozen batch norm (train.bn) does not make "
                "harmless; use optim.kind='sgd' or train.bn='batch'."
            )
