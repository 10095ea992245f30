"""How good a network is: answers over the views of a protocol, their scores, intervals and calibration."""

from .calibration import Calibration, apply_temperature, calibration, fit_temperature, recalibrated
from .intervals import Interval, bootstrap, wilson
from .predictions import Answers, answer, ensemble
from .protocols import Protocol
from .scores import ClassScores, ConfusedPair, TopK, class_scores, confused_pairs, confusion_matrix, top_k
from .summary import summarize, summarize_confusion

__all__ = [
    "Answers",
    "Calibration",
    "ClassScores",
    "ConfusedPair",
    "Interval",
    "Protocol",
    "TopK",
    "answer",
    "apply_temperature",
    "bootstrap",
    "calibration",
    "class_scores",
    "confused_pairs",
    "confusion_matrix",
    "ensemble",
    "fit_temperature",
    "recalibrated",
    "summarize",
    "summarize_confusion",
    "top_k",
    "wilson",
]
