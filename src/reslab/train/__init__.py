"""The training loop: one optimizer step after another, logged, evaluated, saved, and gone on with to the bit."""

from .state import Loop, Monitor, Observer, Records, TrainState
from .trainer import Trainer

__all__ = ["Loop", "Monitor", "Observer", "Records", "TrainState", "Trainer"]
