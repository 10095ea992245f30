"""From a model file to answers, on the fastest engine for this machine."""

from .predictor import Predictor, load

__all__ = ["Predictor", "load"]
