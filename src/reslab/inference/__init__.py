"""From a model file to predictions and explanations, on the fastest engine of this machine."""

from .classifier import BadFile, Classifier, Prediction
from .explainer import Explainer, Explanation
from .loaded import LoadedModel
from .predictor import Predictor, load

__all__ = ["BadFile", "Classifier", "Explainer", "Explanation", "LoadedModel", "Prediction", "Predictor", "load"]
