"""The summary holds the numbers of the parts it is made of, and only JSON values."""

import json
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score, precision_recall_fscore_support

from reslab.evaluation import Predictions, measure_calibration, recalibrated, summarize, summarize_confusion, wilson


@pytest.fixture
def answers() -> Predictions:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 6, (200,), generator=generator)
    logits = torch.randn(200, 6, generator=generator) + 2.0 * torch.eye(6)[labels]
    return Predictions(logits.softmax(1), labels, "test", "single original view, fp32")


NAMES = ("a", "b", "c", "d", "e", "f")


def test_a_summary_agrees_with_scikit_learn(answers: Predictions) -> None:
    found = summarize(answers, NAMES, (1, 3))
    truth, given = answers.labels.numpy(), answers.classes.numpy()
    rows: Any = precision_recall_fscore_support(truth, given)
    for key, column in zip(("precision", "recall", "f1", "support"), rows, strict=True):
        assert [getattr(row, key) for row in found.classes] == pytest.approx(list(column))
    assert found.macro_f1 == pytest.approx(f1_score(truth, given, average="macro"))
    assert found.correct == int((truth == given).sum())
    assert found.loss == pytest.approx(-answers.probabilities[torch.arange(200), answers.labels].log().mean().item())
    best = answers.probabilities.argsort(dim=1, descending=True)[:, :3]
    assert found.top_k[1].correct == int((best == answers.labels[:, None]).any(1).sum())


def test_a_summary_is_json_and_its_cells_make_the_matrix(answers: Predictions) -> None:
    found = json.loads(json.dumps(asdict(summarize(answers, NAMES)), allow_nan=False))
    matrix = torch.zeros(6, 6, dtype=torch.int64)
    for row, column, count in found["confusion"]["cells"]:
        matrix[row, column] = count
    alone = json.loads(json.dumps(asdict(summarize_confusion(matrix, NAMES, split="test", protocol=answers.protocol))))
    differs = {key for key in found if alone[key] != found[key]}
    assert differs == {"loss", "top_k", "calibration", "uncalibrated"}
    assert matrix.sum() == 200


def test_the_errors_interval_is_wilsons_in_percent(answers: Predictions) -> None:
    found = summarize(answers, NAMES)
    wanted = wilson(found.wrong, found.total)
    assert found.intervals.error.low == pytest.approx(100 * wanted.low)
    assert found.intervals.error.high == pytest.approx(100 * wanted.high)


def test_a_temperature_changes_the_calibration_and_nothing_that_is_counted(answers: Predictions) -> None:
    plain, tempered = summarize(answers, NAMES), summarize(answers, NAMES, temperature=2.0)
    changed = {one.name for one in fields(plain) if getattr(plain, one.name) != getattr(tempered, one.name)}
    assert changed == {"temperature", "calibration"}
    assert plain.calibration == plain.uncalibrated
    assert tempered.calibration is not None
    assert tempered.calibration.ece == measure_calibration(recalibrated(answers.probabilities, 2.0), answers.labels).ece


def test_of_answers_that_are_not_finite_only_what_is_counted_is_known(answers: Predictions) -> None:
    spoiled = answers.probabilities.clone()
    spoiled[0] = torch.nan
    found = summarize(replace(answers, probabilities=spoiled), NAMES, (1, 3), temperature=2.0)
    json.dumps(asdict(found), allow_nan=False)
    assert (found.loss, found.calibration, found.uncalibrated) == (None, None, None)
    assert found.top_k[0].correct == found.correct == int((spoiled.argmax(1) == answers.labels).sum())
