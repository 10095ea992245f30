"""Records: the curves a run had, the hash of its model, and which records they may replace."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.artifacts.made_up import environment, run_result

from reslab.artifacts.make_record import MAX_CURVE_POINTS, make_record, write_record
from reslab.artifacts.metrics_log import EvaluationRow, TimingRow, TrainRow, metrics_log, rate_drops
from reslab.artifacts.record import CurvePoint, RecordedRun, save_record
from reslab.artifacts.run_folder import RunFolder
from reslab.config import from_dict
from reslab.errors import RunError, UsageError
from reslab.optim import PlateauDecay
from reslab.system.files import sha256_of

RESULTS = Path(__file__).parents[2] / "results"


def _run(path: Path, *, windows: int = 5, loss: float = 2.0) -> RunFolder:
    """A finished run of `windows` logged windows of 10 iterations, made up."""
    folder = RunFolder.create(path, {"recipe": "made-up"}, environment())
    for number in range(1, windows + 1):
        folder.metrics.append(TrainRow(step=10 * number, loss=loss / number, error=90 / number, lr=0.1))
    folder.metrics.append(_evaluated(10 * windows, 3, 0.7))
    folder.timing.append(TimingRow(step=10 * windows, seconds=1.0, waited_seconds=0.0))
    folder.model_path.write_bytes(f"weights of {loss}".encode())
    folder.write_result(run_result(iterations=10 * windows, model_sha256=sha256_of(folder.model_path)))
    return folder


def _evaluated(step: int, correct: int, loss: float | None) -> EvaluationRow:
    return EvaluationRow(step=step, split="test", correct=correct, total=4, loss=loss, error=25.0 * (4 - correct))


def _record(folder: RunFolder, results: Path, **options: Any) -> Path:
    return write_record(folder, make_record(folder, {"recipe": "made-up"}, [23, 35]), results, **options)


def test_a_record_holds_the_loss_curve_and_the_models_hash(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    record = RecordedRun.open(_record(folder, tmp_path / "results"))
    assert record.document.model_sha256 == hashlib.sha256(b"weights of 2.0").hexdigest()
    assert [row.loss for row in record.rows("train")] == [2.0, 1.0, 0.66667, 0.5, 0.4]
    assert record.rows("test") == [CurvePoint(step=50, error=25.0, loss=0.7)]


def test_a_temperature_fitted_after_training_makes_no_other_training(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    trained = sha256_of(folder.model_path)
    _record(folder, tmp_path / "results")
    folder.model_path.write_bytes(b"the same weights with a temperature")
    record = RecordedRun.open(_record(folder, tmp_path / "results"))
    assert record.document.model_sha256 == trained
    assert record.path.with_suffix(".safetensors").read_bytes() == folder.model_path.read_bytes()


def test_a_loss_that_is_not_finite_is_null_in_the_record(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    folder.metrics.append(_evaluated(60, 1, None))
    path = _record(folder, tmp_path / "results")
    assert json.loads(path.read_text())["loss_curve"]["test"] == [[50, 0.7], [60, None]]
    assert [row.loss for row in RecordedRun.open(path).rows("test")] == [0.7, None]


def test_a_long_loss_curve_is_thinned_like_the_error_curve(tmp_path: Path) -> None:
    windows = 2 * MAX_CURVE_POINTS - 1
    record = RecordedRun.open(_record(_run(tmp_path / "run", windows=windows), tmp_path / "results"))
    rows = record.rows("train")
    assert [row.step for row in rows[:2]] == [20, 40]
    assert rows[1].loss == pytest.approx((2 / 3 + 2 / 4) / 2, rel=1e-4)
    assert (rows[-1].step, rows[-1].error) == (10 * windows, round(90 / windows, 4))
    assert rows[-1].loss == pytest.approx(2 / windows, rel=1e-4)


def test_a_record_without_losses_and_hash_is_read_and_may_be_written_again(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    path = _record(folder, tmp_path / "results")
    save_record(path, replace(RecordedRun.open(path).document, loss_curve=None, model_sha256=None, seconds=None))
    assert RecordedRun.open(path).rows("test") == [CurvePoint(step=50, error=25.0, loss=None)]
    _record(folder, tmp_path / "results")
    assert RecordedRun.open(path).document.loss_curve is not None


@pytest.mark.parametrize("rows_left", [0, 3])
def test_a_run_whose_log_is_lost_or_cut_replaces_no_whole_record(rows_left: int, tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    before = _record(folder, tmp_path / "results").read_bytes()
    folder.metrics.truncate(10 * rows_left)
    with pytest.raises(
        RunError, match=rf"metrics\.jsonl is not complete: .* is of step {10 * rows_left}, .* 50 iterations"
    ):
        _record(folder, tmp_path / "results")
    assert (tmp_path / "results" / "made-up" / "0.json").read_bytes() == before


def test_a_run_whose_times_are_lost_is_said_to_be_so(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    folder.timing.path.write_bytes(b"")
    with pytest.raises(
        RunError, match=r"timing\.jsonl is not complete: .* is of step 0, but the run has 50 iterations"
    ):
        _record(folder, tmp_path / "results")


def test_a_damaged_record_is_said_to_be_damaged_and_not_to_be_of_another_training(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    path = _record(folder, tmp_path / "results")
    path.write_text(path.read_text()[:100])
    with pytest.raises(RunError, match=r"0\.json: not a JSON file: .*remove it, and it is written again"):
        _record(folder, tmp_path / "results")


def test_a_record_without_its_model_needs_no_model_file(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    folder.write_result(run_result(iterations=50, model_sha256="abc"))
    folder.model_path.unlink()
    path = _record(folder, tmp_path / "results", with_model=False)
    assert RecordedRun.open(path).document.model_sha256 == "abc"
    with pytest.raises(RunError, match=r"model\.safetensors: No such file"):
        _record(folder, tmp_path / "results")


def test_a_log_of_other_bytes_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl: damaged: byte 12 is not UTF-8"):
        metrics_log(tmp_path / "metrics.jsonl").read()


def test_a_row_with_a_field_that_is_wrong_is_named(tmp_path: Path) -> None:
    row = {"step": 1, "split": "train", "loss": 1.0, "error": 50.0, "lr": "much"}
    (tmp_path / "metrics.jsonl").write_text(f"{json.dumps({**row, 'lr': 0.1})}\n{json.dumps(row)}\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2: lr: Input should be a valid number"):
        metrics_log(tmp_path / "metrics.jsonl").read()


@pytest.mark.parametrize("has_hash", [False, True])
def test_the_record_of_another_training_is_not_overwritten(tmp_path: Path, has_hash: bool) -> None:
    path = _record(_run(tmp_path / "one"), tmp_path / "results")
    if not has_hash:
        record = RecordedRun.open(path).document
        (_, *rest) = record.curve["train"]
        save_record(path, replace(record, model_sha256=None, curve={**record.curve, "train": ((10, 91.0), *rest)}))
    before = path.read_bytes()
    other = _run(tmp_path / "two", loss=3.0)
    with pytest.raises(
        UsageError, match=r"0\.json holds the result of a training other than .*two.*another folder for records"
    ):
        _record(other, tmp_path / "results")
    assert path.read_bytes() == before
    _record(other, tmp_path / "results", replace=True)
    assert path.read_bytes() != before


def test_another_trainings_model_file_does_not_stay_beside_a_record(tmp_path: Path) -> None:
    one, other = _run(tmp_path / "one"), _run(tmp_path / "two", loss=3.0)
    model = _record(one, tmp_path / "results").with_suffix(".safetensors")
    _record(one, tmp_path / "results", with_model=False)
    assert model.exists()
    _record(other, tmp_path / "results", replace=True, with_model=False)
    assert not model.exists()


def _rows(*rates: tuple[int, float]) -> list[TrainRow]:
    return [TrainRow(step=step, loss=1.0, error=50.0, lr=lr) for step, lr in rates]


def test_drops_of_a_step_schedule_are_its_milestones_as_far_as_the_run_went() -> None:
    rows = _rows((10, 1.0), (20, 1.0), (30, 0.1))
    assert rate_drops(rows, milestones=(23, 35)) == (23,)
    assert rate_drops(rows, plateau_gamma=0.1) == (20,)
    assert rate_drops(rows, [_evaluated(step, 3, 0.1) for step in (13, 26)], plateau_gamma=0.1) == (26,)
    assert rate_drops(rows, [_evaluated(step, 3, 0.1) for step in (13, 39)], plateau_gamma=0.1) == (20,)
    assert rate_drops(rows) == ()
    assert rate_drops([], milestones=(23, 35)) == ()


@pytest.mark.parametrize("gamma", [0.01, 0.1, 0.5, 0.7, 0.95, 0.999])
def test_drops_at_a_plateau_are_found_for_any_factor_and_a_warmup_is_none(gamma: float) -> None:
    rates = [0.02, 0.06, 0.1, 0.1, 0.1 * gamma, 0.1 * gamma, 0.1 * gamma**2]
    rows = _rows(*((10 * number, lr) for number, lr in enumerate(rates, start=1)))
    assert rate_drops(rows, plateau_gamma=gamma) == (40, 60)


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("**/*-plateau/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_the_drops_in_committed_records_are_those_that_the_schedule_makes_of_their_errors(path: Path) -> None:
    record = RecordedRun.open(path)
    schedule = from_dict(record.config()).schedule
    assert schedule.kind == "plateau"
    decay = PlateauDecay(schedule.factor, schedule.patience, schedule.min_delta, schedule.max_drops)
    factors = {}
    for row in record.rows("validation"):
        decay.observe(row.error)
        factors[row.step] = decay.factor()
    steps = [row.step for row in record.rows("train")]
    rows = _rows(*((step, next((factors[s] for s in reversed(factors) if s < step), 1.0)) for step in steps))
    assert rate_drops(rows, record.rows("validation"), plateau_gamma=schedule.factor) == record.rate_drops()
