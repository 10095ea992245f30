"""From a model file to answers, on the fastest engine for this machine."""

from .classifier import BadFile, Classifier, Prediction
from .predictor import Predictor, load

__all__ = ["BadFile", "Classifier", "Prediction", "Predictor", "load"]
