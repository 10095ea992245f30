"""From config to what changes the weights: optimizer, learning rate, moving average, options of the loop."""

import logging

import torch

from reslab.config import (
    Constant,
    Cosine,
    LinearWarmup,
    Muon,
    NoWarmup,
    OneCycle,
    Plateau,
    RunConfig,
    Schedule,
    Sgd,
    StepDecay,
    TrainConfig,
    UntilTrainingError,
    Warmup,
)
from reslab.data import Dataset
from reslab.data.dataset import balanced_weights
from reslab.engines.training import Engine
from reslab.models import Network, lr_multipliers
from reslab.optim import ErrorWarmup, LearningRate, PlateauDecay, WeightAverage, make_muon, make_sgd, schedules
from reslab.train import TrainOptions

log = logging.getLogger(__name__)


def build_learning_rate(config: RunConfig) -> LearningRate:
    """Build the learning rate at each step: base x schedule x warm-up."""
    schedule = _build_schedule(config.schedule, config.train.iterations)
    return LearningRate(config.optim.lr, schedule, _build_warmup(config.warmup))


def _build_schedule(schedule: Schedule, iterations: int) -> schedules.Factor | PlateauDecay:
    match schedule:
        case Constant():
            return schedules.constant()
        case StepDecay():
            return schedules.step_decay(schedule.milestones, schedule.gamma)
        case Plateau():
            return PlateauDecay(schedule.factor, schedule.patience, schedule.min_delta, schedule.max_drops)
        case Cosine():
            return schedules.cosine(iterations, schedule.final_factor)
        case OneCycle():
            return schedules.one_cycle(iterations, schedule.pct_start, schedule.start_factor, schedule.final_factor)


def _build_warmup(warmup: Warmup) -> schedules.Factor | ErrorWarmup:
    match warmup:
        case NoWarmup():
            return schedules.constant()
        case LinearWarmup():
            return schedules.linear_warmup(warmup.iterations)
        case UntilTrainingError():
            return ErrorWarmup(warmup.factor, warmup.below_percent, warmup.window_iterations)


def build_optimizer(config: RunConfig, model: Network) -> torch.optim.Optimizer:
    """Build the optimizer over all parameters of the network that train."""
    match config.optim:
        case Sgd() as optim:
            return make_sgd(
                model,
                lr=optim.lr,
                momentum=optim.momentum,
                nesterov=optim.nesterov,
                weight_decay=optim.weight_decay,
                decay_norm_and_bias=optim.decay_norm_and_bias,
                lr_multipliers=lr_multipliers(model, optim.layer_decay),
            )
        case Muon() as optim:
            return make_muon(
                model,
                lr=optim.lr,
                momentum=optim.momentum,
                sgd_lr=optim.sgd_lr,
                sgd_momentum=optim.sgd_momentum,
                weight_decay=optim.weight_decay,
            )


def build_average(config: TrainConfig, model: Network) -> WeightAverage | None:
    """Build the moving average of the weights, if the config asks for one."""
    return None if config.ema_decay is None else WeightAverage(model, config.ema_decay)


def build_train_options(config: RunConfig, engine: Engine, train: Dataset) -> TrainOptions:
    """Build the options of the loop, with the engine's precision and the weights of the training part's classes."""
    options = config.train
    return TrainOptions(
        iterations=options.iterations,
        accumulation=options.accumulation_steps,
        use_bf16=engine.precision == "bf16",
        clip_norm=options.grad_clip_norm,
        label_smoothing=options.label_smoothing,
        class_weights=_class_weights(config, train) if options.class_weights == "balanced" else None,
        log_every=options.log_every,
        evaluate_every=config.evaluation.every,
        checkpoint_every=options.checkpoint_every,
        patience_evaluations=config.evaluation.patience,
    )


def _class_weights(config: RunConfig, train: Dataset) -> tuple[float, ...]:
    """Return weights that average 1 over the images shown, so that they do not change the mean learning rate."""
    weights = balanced_weights(train.labels, len(train.class_names))
    if config.data.sampling == "natural":
        return weights
    present = [weight for weight in weights if weight]  # of which each is shown equally often
    mean = sum(present) / len(present)
    return tuple(weight / mean for weight in weights)
