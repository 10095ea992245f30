"""How the networks of an experiment were trained, in words made from the records' own settings."""

from reslab.config import Constant, LinearWarmup, Plateau, RunConfig, StepDecay, UntilTrainingError, from_dict

from .evidence import Evidence

_DATA = {"digits": "Embedded handwritten digits", "small": "CIFAR-10", "paper": "CIFAR-10"}


def settings_in_words(evidence: Evidence) -> str:
    """Return data, iterations, batch and learning rate; one part for each of the settings that networks differ in."""
    groups: dict[str, list[str]] = {}
    for arm, records in evidence.records.items():
        groups.setdefault(training_in_words(from_dict(records[0].config())), []).append(arm)
    data = _DATA[evidence.size]
    if len(groups) == 1:
        return f"{data}; {next(iter(groups))}"
    parts = [f"{', '.join(arms)}: {words}" for words, arms in groups.items()]
    return f"{data}. {'. '.join(parts)}"


def training_in_words(config: RunConfig) -> str:
    """Return "510 iterations of 64 images at a learning rate of 0.05 after a linear warm-up ...", without full stop."""
    train = config.train
    return (
        f"{train.iterations:,} iterations of {train.batch_size} images at a learning rate of {config.optim.lr:g}"
        f"{_warmup_in_words(config)}{_schedule_in_words(config)}"
    )


def _warmup_in_words(config: RunConfig) -> str:
    match config.warmup:
        case LinearWarmup() as warmup:
            return f" after a linear warm-up of {warmup.iterations} iterations"
        case UntilTrainingError() as warmup:
            first = warmup.factor * config.optim.lr
            return f", {first:g} until the training error is below {warmup.below_percent:g} %"
    return ""


def _schedule_in_words(config: RunConfig) -> str:
    match config.schedule:
        case StepDecay() as schedule:
            return f", divided by {1 / schedule.gamma:g} at {' and '.join(f'{step:,}' for step in schedule.milestones)}"
        case Plateau() as schedule:
            return f", divided by {1 / schedule.factor:g} when the validation error plateaus"
        case Constant():
            return ", kept to the end"
        case other:
            return f", on the schedule {other.kind!r}"
