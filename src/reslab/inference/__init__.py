"""From a model file to answers, on the fastest engine for this machine."""

from .classifier import BadFile, Classifier, Prediction
from .explainer import Explainer, Explanation
from .predictor import Predictor, load

__all__ = ["BadFile", "Classifier", "Explainer", "Explanation", "Prediction", "Predictor", "load"]
