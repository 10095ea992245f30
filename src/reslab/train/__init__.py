"""The training loop: steps, logging, evaluation, checkpoints, bit-exact resume."""

from reslab.artifacts.checkpoint import TrainState

from .state import Monitor, Observer, Records, TrainOptions
from .trainer import Trainer

__all__ = ["Monitor", "Observer", "Records", "TrainOptions", "TrainState", "Trainer"]
