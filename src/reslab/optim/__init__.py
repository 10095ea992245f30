"""Optimizers, learning-rate schedules and weight averages."""

from .ema import WeightAverage
from .muon import make_muon
from .optimizers import make_sgd
from .schedules import ErrorWarmup, LearningRate, PlateauDecay

__all__ = ["ErrorWarmup", "LearningRate", "PlateauDecay", "WeightAverage", "make_muon", "make_sgd"]
