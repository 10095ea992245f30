"""The report while a run goes on: written when there are numbers, seldom, and never in the way."""

import shutil
import time
from pathlib import Path

import pytest

from reslab.artifacts.metrics_log import EvaluationRow
from reslab.artifacts.run_folder import RunFolder
from reslab.report import LiveReport

ROW = EvaluationRow(step=20, split="validation", correct=2, total=4, loss=1.0, error=50.0)


@pytest.fixture
def going_on(digits_run: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(digits_run, tmp_path / "run")
    for name in ("result.json", "model.safetensors", "report.html", "judgement.json"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    return RunFolder(tmp_path / "run")


def test_the_page_is_written_at_the_first_numbers_and_reloads_itself(going_on: RunFolder) -> None:
    LiveReport(going_on.path).on_row(ROW)
    text = going_on.report_path.read_text()
    assert "In progress: step 40 of 40" in text
    assert 'http-equiv="refresh"' in text


def test_the_page_is_not_written_more_often_than_it_reloads(
    going_on: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    live = LiveReport(going_on.path)
    live.on_row(ROW)
    going_on.report_path.unlink()
    now[0] += 14
    live.on_row(ROW)
    assert not going_on.report_path.exists()
    now[0] += 2
    live.on_row(ROW)
    assert going_on.report_path.exists()


def test_a_damaged_folder_stops_nothing_and_is_said_once(
    going_on: RunFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (going_on.path / "environment.json").write_text("{")
    live = LiveReport(going_on.path)
    for _ in range(2):
        live.on_row(ROW)
        monkeypatch.setattr(time, "monotonic", lambda: 1e12)
    assert caplog.text.count("no report while the run goes on") == 1
