"""How good a network is: predictions over the views of a protocol, their scores, intervals and calibration."""

from .calibration import Calibration, apply_temperature, fit_temperature, measure_calibration, recalibrated
from .evaluator import evaluate, predict_split, view_logits
from .intervals import Interval, bootstrap, wilson
from .metrics import Evaluation
from .predictions import Predictions, ensemble
from .protocols import Protocol
from .scores import ClassScores, ConfusedPair, TopK, class_scores, confused_pairs, confusion_matrix, top_k
from .summary import Scores, summarize, summarize_confusion

__all__ = [
    "Calibration",
    "ClassScores",
    "ConfusedPair",
    "Evaluation",
    "Interval",
    "Predictions",
    "Protocol",
    "Scores",
    "TopK",
    "apply_temperature",
    "bootstrap",
    "class_scores",
    "confused_pairs",
    "confusion_matrix",
    "ensemble",
    "evaluate",
    "fit_temperature",
    "measure_calibration",
    "predict_split",
    "recalibrated",
    "summarize",
    "summarize_confusion",
    "top_k",
    "view_logits",
    "wilson",
]
