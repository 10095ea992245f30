"""A recipe for any folder of photos: network, sizes, epochs and batch from what the data and the machine are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from reslab.config import DataConfig, EvaluationConfig, OneCycle, PhotoConfig, ResizedCrop, RunConfig, Sgd, TrainConfig
from reslab.errors import RunError, UsageError, counted
from reslab.spec import ModelSpec
from reslab.spec.families import model_spec

_SMALL_PICTURES = 48  # pixels of the shorter side, up to which a CIFAR network sees more than an ImageNet one
_LARGE_DATA = 200_000
_IMAGES_FROM_SCRATCH, _IMAGES_FROM_WEIGHTS = 600_000, 100_000  # to see in all, where the data is small
_CPU_MINUTES = 40  # of training steps as timed; evaluations, decoding and the end make it up to an hour
_PEAK_LR = 0.1  # for a batch of 128, from scratch
_FINE_TUNING_LR = 0.01
_EVALUATIONS, _PATIENCE = 25, 12
_SELECTION = (
    "the result is the checkpoint with the lowest validation error; training stops early after "
    f"{_PATIENCE} evaluations in a row (of {_EVALUATIONS}) without improvement."
)
_SKEWED = 1.5  # times as many images in the largest class as in the smallest


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFacts:
    """Facts about the photos and the machine, from which a plan is made.

    Attributes:
        num_images: Images in the training part, before anything is held out.
        num_classes: How many classes they have.
        smallest_class: How many images the smallest class has.
        largest_class: How many images the largest class has.
        short_side: Median over some of the pictures, in pixels.
        parts: The parts that the folder has besides training: "validation", "test".
        channels: Channels of the pictures.
        has_gpu: Whether training runs on a GPU.
    """

    num_images: int
    num_classes: int
    smallest_class: int
    largest_class: int
    short_side: int
    parts: tuple[str, ...]
    channels: int = 3
    has_gpu: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderOptions:
    """What the user has decided; None leaves a choice to the plan.

    Attributes:
        model: A network's name.
        epochs: How many times the network sees every training image.
        size: Side of the pictures that the network sees in evaluation, in pixels.
        batch_size: Images of one step.
        start: The network of the model file to start from.
        start_size: The size that it was trained for, in pixels.
        weights: The path of that model file.
    """

    model: str | None = None
    epochs: int | None = None
    size: int | None = None
    batch_size: int | None = None
    start: ModelSpec | None = None
    start_size: int | None = None
    weights: str | None = None


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """A config for a folder of photos, and a sentence on each choice in it."""

    config: RunConfig
    reasons: tuple[str, ...]


# (network, side of the training views, batch size) -> images per second of a training step, where it can be measured
Rate = Callable[[ModelSpec, int, int], float]

NOMINAL = FolderFacts(
    num_images=10_000, num_classes=10, smallest_class=1000, largest_class=1000, short_side=128, parts=("validation",)
)


def plan_folder(facts: FolderFacts, path: str | None, options: FolderOptions, rate: Rate | None = None) -> FolderPlan:
    """Choose a config for a folder of photos.

    Args:
        facts: Facts about the photos and the machine.
        path: The folder.
        options: What the user has decided.
        rate: Measures how fast a network trains here; None leaves the time out of the plan.

    Raises:
        UsageError: An option cannot be: an unknown network, too small a size, or no epoch at all.
        RunError: Too few images to hold any out.
    """
    _check(options)
    data, num_train, held = _parts(facts, path)
    size, size_reason = _size(facts, options)
    model, model_reason = _model(facts, options, size)
    batch_size = options.batch_size or _batch_size(num_train)
    data = _views(data, size, facts, options)
    epochs, epochs_reason = _epochs(num_train, model, data, batch_size, facts, options, rate)
    iterations = max(1, epochs * num_train // batch_size)
    is_skewed = facts.largest_class > _SKEWED * facts.smallest_class
    config = RunConfig(
        recipe="folder",
        model=model,
        data=data,
        optim=_optimizer(batch_size, options),
        schedule=OneCycle(pct_start=0.15, start_factor=0.1, final_factor=0.0),
        train=_loop(iterations, batch_size, is_skewed),
        evaluation=_evaluation(iterations),
        weights=options.weights,
    )
    reasons = [held, size_reason, model_reason, f"batch {batch_size}: {_why_batch(num_train, options)}", epochs_reason]
    if is_skewed:
        reasons.append(
            f"class weights: classes have {facts.smallest_class} to {facts.largest_class} images "
            "(train.class_weights none, and with it data.sampling balanced to show all equally often)."
        )
    return FolderPlan(config, (*reasons, _SELECTION))


def _loop(iterations: int, batch_size: int, is_skewed: bool) -> TrainConfig:
    return TrainConfig(
        iterations=iterations,
        batch_size=batch_size,
        label_smoothing=0.1,
        class_weights="balanced" if is_skewed else "none",
        log_every=max(1, min(50, iterations // 20)),
        checkpoint_every=max(1, iterations // _EVALUATIONS),
    )


def _evaluation(iterations: int) -> EvaluationConfig:
    return EvaluationConfig(
        every=max(1, iterations // _EVALUATIONS),
        monitor="validation",
        select="best",
        patience=_PATIENCE,
        final_training_error=False,
    )


def folder() -> RunConfig:
    """Random parts of each picture, small ones first; SGD with one cycle; the best checkpoint by validation error.

    What is shown here is for ten thousand pictures of 128 pixels in ten classes; `reslab train-folder DATA`
    reads the folder first.
    """
    return plan_folder(NOMINAL, None, FolderOptions()).config


def _check(options: FolderOptions) -> None:
    if options.epochs is not None and options.epochs < 1:
        raise UsageError(f"epochs is {options.epochs}; allowed: 1 or more.")
    if options.size is not None and options.size < 16:
        raise UsageError(f"size is {options.size}; allowed: 16 pixels or more.")
    if options.model is not None and options.weights is not None:
        raise UsageError(
            "model and weights are both given, but the weights' file says which network it is; leave model out."
        )


def _parts(facts: FolderFacts, path: str | None) -> tuple[DataConfig, int, str]:
    """Say what is held out of training: the result must be of images that were not used to select anything."""
    count = facts.num_images
    part = round(count * (0.15 if count < 1000 else 0.1))
    held = max(min(part, 10_000), min(2 * facts.num_classes, count // 4))
    if not held and facts.parts != ("validation", "test"):
        raise RunError(
            f"{path}: has {counted(count, 'training image')}, too few to hold any out for validation. Add more, or "
            "folders val and test next to train."
        )
    data = DataConfig(kind="folder", path=path, validation_size=held)
    if facts.parts == ("validation", "test"):
        return replace(data, validation_size=0), count, "parts: train, val and test as the folder has them."
    if facts.parts == ("test",):
        return data, count - held, f"parts: {held} of train's images are held out for validation; test is the folder's."
    if facts.parts == ("validation",):
        text = (
            f"parts: val is kept as the test set, and {held} of train's images are held out for validation, so that "
            "the final number is of images that were not used to select anything (data.validation_is validation uses "
            "val for that)."
        )
        return replace(data, validation_is="test"), count - held, text
    text = (
        "parts: there are no validation and test parts, so "
        f"{held} images are held out for validation and {held} for the test."
    )
    return replace(data, test_size=held), count - 2 * held, text


def _size(facts: FolderFacts, options: FolderOptions) -> tuple[int, str]:
    if options.size is not None:
        return options.size, f"size {options.size}: as asked."
    if options.start_size is not None:
        return options.start_size, f"size {options.start_size}: what the weights were trained for."
    if facts.short_side <= _SMALL_PICTURES:
        size = max(16, facts.short_side // 4 * 4)
    elif facts.short_side < 224 or not facts.has_gpu:
        size = min(128, facts.short_side // 32 * 32)
    else:
        size = 224
    machine = "" if facts.has_gpu or facts.short_side < 224 else ", and on a CPU 128 is what can be waited for"
    return size, f"size {size}: pictures have a shorter side of {facts.short_side} pixels{machine}."


def _model(facts: FolderFacts, options: FolderOptions, size: int) -> tuple[ModelSpec, str]:
    if options.start is not None:
        _check_takes_any_size(options.start, "the weights' network")
        spec = replace(options.start, num_classes=facts.num_classes, in_channels=facts.channels)
        return spec, f"network {options.start.label}: that of the weights, with a head for {facts.num_classes} classes."
    if options.model is not None:
        name, why = options.model, "as asked."
    elif size <= _SMALL_PICTURES:
        name, why = "cifar_resnet20", "pictures are small."
    elif facts.has_gpu and facts.num_images >= _LARGE_DATA:
        name, why = "resnet50", f"{facts.num_images:,} images and a GPU."
    else:
        many = facts.num_images >= _LARGE_DATA
        name, why = "resnet18", f"{'there is no GPU' if many else f'{facts.num_images:,} images'}."
    spec = model_spec(name, num_classes=facts.num_classes, in_channels=facts.channels)
    _check_takes_any_size(spec, "model")
    return spec, f"network {name}: {why}"


def _check_takes_any_size(spec: ModelSpec, what: str) -> None:
    if spec.family == "vgg":
        raise UsageError(
            f"{what} is {spec.label}, which takes images of 224x224 pixels only, but the planned training shows it "
            "smaller ones; choose another network, or train this one with a recipe and sizes of your own."
        )


def _batch_size(num_train: int) -> int:
    return 256 if num_train >= _LARGE_DATA else 64 if num_train >= 1280 else 32 if num_train >= 320 else 16


def _why_batch(num_train: int, options: FolderOptions) -> str:
    return "as asked." if options.batch_size else f"{num_train:,} training images."


def _views(data: DataConfig, size: int, facts: FolderFacts, options: FolderOptions) -> DataConfig:
    """Training sees random parts at 7/8 of the size: objects then appear as large as in evaluation (FixRes, 2019)."""
    if size <= _SMALL_PICTURES:
        crop, first, area = size, None, 0.5
    else:
        crop = max(32, size * 7 // 8 // 16 * 16)
        first = max(32, crop * 4 // 7 // 16 * 16) if options.weights is None else None
        area = 0.25 if facts.num_images >= 1000 else 0.35
    return replace(
        data,
        channels=None if facts.channels == 3 else facts.channels,
        mean="channel" if options.weights is None else "weights",
        scale="std",
        photos=PhotoConfig(size=size, short_side=size),
        initial_size=None if first == crop else first,
        full_size_from=0.6,
        augment=ResizedCrop(crop_size=crop, min_area=area, color_std=0.1 if facts.channels == 3 else 0.0),
    )


def _epochs(
    num_train: int,
    model: ModelSpec,
    data: DataConfig,
    batch_size: int,
    facts: FolderFacts,
    options: FolderOptions,
    rate: Rate | None,
) -> tuple[int, str]:
    assert isinstance(data.augment, ResizedCrop)
    measured = rate(model, data.augment.crop_size, batch_size) if rate is not None else 0.0
    measured /= _relative_cost(data)
    if options.epochs is not None:
        epochs, why = options.epochs, "as asked"
    else:
        images = _IMAGES_FROM_SCRATCH if options.weights is None else _IMAGES_FROM_WEIGHTS
        least, most = (16, 200) if options.weights is None else (4, 60)
        epochs = min(max(round(images / num_train), least), most)
        why = f"{num_train:,} training images{'' if options.weights is None else ', which start from weights'}"
        if measured and not facts.has_gpu:
            within = int(_CPU_MINUTES * 60 * measured / num_train)
            if within < epochs:
                epochs, why = max(within, least), f"what this CPU does in {_CPU_MINUTES} minutes, but at least {least}"
    took = f"; about {_duration(epochs * num_train / measured)} here" if measured else ""
    return epochs, f"{counted(epochs, 'epoch')}: {why}{took}."


def _relative_cost(data: DataConfig) -> float:
    """Pixels of the mean training view over those of the largest."""
    assert isinstance(data.augment, ResizedCrop)
    full = data.augment.crop_size
    if data.initial_size is None:
        return 1.0
    sizes = range(data.initial_size, full, 16)
    small = sum(side**2 for side in sizes) / max(len(sizes), 1) / full**2
    return data.full_size_from * small + 1 - data.full_size_from


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _optimizer(batch_size: int, options: FolderOptions) -> Sgd:
    lr = _PEAK_LR if options.weights is None else _FINE_TUNING_LR
    return Sgd(
        lr=lr * batch_size / 128,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4 if options.weights is None else 1e-4,
        decay_norm_and_bias=False,
        layer_decay=1.0 if options.weights is None else 0.7,
    )
