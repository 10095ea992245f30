"""The training loop: one optimizer step after another, logged, evaluated, saved, and gone on with to the bit."""

from reslab.artifacts.checkpoint import TrainState

from .state import Monitor, Observer, Records, TrainOptions
from .trainer import Trainer

__all__ = ["Monitor", "Observer", "Records", "TrainOptions", "TrainState", "Trainer"]
