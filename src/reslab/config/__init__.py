"""What a run is: frozen, typed, validated configuration, and the one way to override it. No torch here."""

from .data import Augment, DataConfig, NoAugment, PadCrop, ResizedCrop, ScaleCrop
from .merge import check_form, differences, from_dict, override, read_toml, to_dict, without_defaults
from .optim import (
    Constant,
    Cosine,
    LinearWarmup,
    Muon,
    NoWarmup,
    OneCycle,
    Plateau,
    Schedule,
    Sgd,
    StepDecay,
    UntilTrainingError,
    Warmup,
)
from .run import RunConfig
from .train import TrainConfig

__all__ = [
    "Augment",
    "Constant",
    "Cosine",
    "DataConfig",
    "LinearWarmup",
    "Muon",
    "NoAugment",
    "NoWarmup",
    "OneCycle",
    "PadCrop",
    "Plateau",
    "ResizedCrop",
    "RunConfig",
    "ScaleCrop",
    "Schedule",
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
    "without_defaults",
]
