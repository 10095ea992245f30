"""Everything that answers say of a network, as JSON values: what `reslab evaluate --json` prints and reports show."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from reslab.evaluation.metrics import error_percent

from .calibration import Calibration, measure_calibration, recalibrated
from .intervals import Interval, bootstrap, wilson
from .predictions import Predictions
from .scores import class_scores, confused_pairs, confusion_matrix, top_k

_PAIRS = 20


def summarize(
    answers: Predictions, class_names: Sequence[str], ks: tuple[int, ...] = (1,), temperature: float | None = None
) -> dict[str, Any]:
    """Return the scores of answers as JSON values; see docs/how-to/judge.md for what each number means.

    ks: which top-k errors. temperature: the model file's; where there is one, "calibration" is at that temperature,
    and "uncalibrated" at 1. "loss" is the mean negative log-likelihood at temperature 1, in nats. The three are None
    where a probability is not finite, as of a network whose logits overflow.
    Raises UsageError for a k outside 1 .. num_classes, and for no samples.
    """
    raw = measure_calibration(answers.probabilities, answers.labels) if answers.are_finite else None
    at_temperature = raw
    if raw is not None and temperature is not None:
        at_temperature = measure_calibration(recalibrated(answers.probabilities, temperature), answers.labels)
    confusion = confusion_matrix(answers.classes, answers.labels, len(class_names))
    return {
        "split": answers.split,
        "protocol": answers.protocol,
        "members": answers.members,
        **summarize_confusion(confusion, class_names),
        "loss": None if raw is None else raw.nll,
        "top_k": [
            {**asdict(found), "error": found.error} for found in top_k(answers.probabilities, answers.labels, ks)
        ],
        "temperature": temperature,
        "calibration": _values(at_temperature),
        "uncalibrated": _values(raw),
        "confusion": {"num_classes": len(class_names), "cells": sparse(confusion)},
    }


def summarize_confusion(confusion: Tensor, class_names: Sequence[str]) -> dict[str, Any]:
    """Return what follows from a confusion matrix alone, int64 [num_classes, num_classes], row: true class.

    The error's interval is Wilson's (it holds also where nothing is wrong), the others are from the bootstrap.
    """
    total, correct = int(confusion.sum()), int(confusion.diagonal().sum())
    error = wilson(total - correct, total)
    scores = class_scores(confusion)
    columns = (scores.precision, scores.recall, scores.f1, scores.support)
    rows = zip(class_names, *(column.tolist() for column in columns), strict=True)
    return {
        "correct": correct,
        "total": total,
        "error": error_percent(correct, total),
        "macro_precision": scores.macro_precision,
        "macro_recall": scores.macro_recall,
        "macro_f1": scores.macro_f1,
        "balanced_accuracy": scores.balanced_accuracy,
        "intervals": {
            "error": asdict(Interval(100 * error.low, 100 * error.high, error.level, error.method)),
            "balanced_accuracy": asdict(bootstrap(confusion, "balanced_accuracy")),
            "macro_f1": asdict(bootstrap(confusion, "macro_f1")),
        },
        "classes": [
            {"name": name, "precision": precision, "recall": recall, "f1": f1, "support": support}
            for name, precision, recall, f1, support in rows
        ],
        "confused": [
            {**asdict(pair), "label": class_names[pair.label], "prediction": class_names[pair.prediction]}
            for pair in confused_pairs(confusion, _PAIRS)
        ],
    }


def sparse(confusion: Tensor) -> list[list[int]]:
    """Return the cells that are not empty, as [row, column, count]."""
    rows, columns = torch.nonzero(confusion, as_tuple=True)
    return torch.stack([rows, columns, confusion[rows, columns]], dim=1).tolist()


def _values(found: Calibration | None) -> dict[str, Any] | None:
    return None if found is None else {**asdict(found), "bins": [asdict(part) for part in found.bins]}
