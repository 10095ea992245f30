"""What a run is: frozen, typed, validated configuration, and the one way to change it. No torch here."""

from .augment import Augment, NoAugment, PadCrop, ResizedCrop, ScaleCrop
from .batch_norm import BatchNormConfig
from .compute import ComputeConfig
from .data import DataConfig, PhotoConfig
from .evaluation import EvaluationConfig
from .merge import Setting, check_form, differences, from_dict, override, read_toml, to_dict
from .optim import Muon, Optim, Sgd
from .run import RunConfig
from .schedule import (
    Constant,
    Cosine,
    LinearWarmup,
    NoWarmup,
    OneCycle,
    Plateau,
    Schedule,
    StepDecay,
    UntilTrainingError,
    Warmup,
)
from .train import TrainConfig

__all__ = [
    "Augment",
    "BatchNormConfig",
    "ComputeConfig",
    "Constant",
    "Cosine",
    "DataConfig",
    "EvaluationConfig",
    "LinearWarmup",
    "Muon",
    "NoAugment",
    "NoWarmup",
    "OneCycle",
    "Optim",
    "PadCrop",
    "PhotoConfig",
    "Plateau",
    "ResizedCrop",
    "RunConfig",
    "ScaleCrop",
    "Schedule",
    "Setting",
    "Sgd",
    "StepDecay",
    "TrainConfig",
    "UntilTrainingError",
    "Warmup",
    "check_form",
    "differences",
    "from_dict",
    "override",
    "read_toml",
    "to_dict",
]
