"""Records: the curves a run had, the hash of its model, and which records they may replace."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from reslab.artifacts.metrics_log import rate_drops, read_rows
from reslab.artifacts.record import MAX_CURVE_POINTS, RecordedRun, write_record
from reslab.artifacts.run_folder import RunFolder
from reslab.errors import RunError, UsageError
from reslab.optim import PlateauDecay

RESULTS = Path(__file__).parents[2] / "results"
_STEP = {"kind": "step", "milestones": [23, 35], "gamma": 0.1}


def _run(path: Path, *, windows: int = 5, loss: float = 2.0, schedule: dict[str, Any] = _STEP) -> RunFolder:
    """A finished run of `windows` logged windows of 10 iterations, made up."""
    config = {
        "recipe": "made-up",
        "data": {"path": "/somewhere"},
        "schedule": schedule,
        "weights": None,
        "evaluation": {"monitor": "test"},
    }
    environment = {"data": {"name": "x", "sizes": {"train": 8}}, "sessions": []}
    folder = RunFolder.create(path, config, environment)
    for number in range(1, windows + 1):
        row = {"step": 10 * number, "split": "train", "loss": loss / number, "error": 90 / number, "lr": 0.1}
        folder.metrics.append(row)
    folder.metrics.append({"step": 10 * windows, "split": "test", "correct": 3, "total": 4, "loss": 0.7, "error": 25.0})
    folder.timing.append({"step": 10 * windows, "seconds": 1.0})
    folder.model_path.write_bytes(f"weights of {loss}".encode())
    result = {
        "recipe": "made-up", "model": "x", "seed": 0, "iterations": 10 * windows, "selection": "none", "protocol": "y",
        "monitor": "test", "reported_split": "test", "minutes": 1.0,
        "final": {"test": {"correct": 3, "total": 4, "loss": 0.7, "error": 25.0}},
    }  # fmt: skip
    folder.write("result.json", result)
    return folder


def test_a_record_holds_the_loss_curve_and_the_models_hash(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    record = RecordedRun.open(write_record(folder, tmp_path / "results"))
    assert record.values["model_sha256"] == hashlib.sha256(b"weights of 2.0").hexdigest()
    assert [row["loss"] for row in record.rows("train")] == [2.0, 1.0, 0.66667, 0.5, 0.4]
    assert record.rows("test") == [{"step": 50, "error": 25.0, "loss": 0.7}]


def test_a_temperature_fitted_after_training_makes_no_other_training(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    trained = hashlib.sha256(folder.model_path.read_bytes()).hexdigest()
    folder.write("result.json", {**(folder.result() or {}), "model_sha256": trained})
    write_record(folder, tmp_path / "results")
    folder.model_path.write_bytes(b"the same weights with a temperature")
    record = RecordedRun.open(write_record(folder, tmp_path / "results"))
    assert record.values["model_sha256"] == trained
    assert record.path.with_suffix(".safetensors").read_bytes() == folder.model_path.read_bytes()


def test_a_loss_that_is_not_finite_is_null_in_the_record(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    folder.metrics.append({"step": 60, "split": "test", "correct": 1, "total": 4, "loss": None, "error": 75.0})
    path = write_record(folder, tmp_path / "results")
    assert json.loads(path.read_text())["loss_curve"]["test"] == [[50, 0.7], [60, None]]
    assert [row["loss"] for row in RecordedRun.open(path).rows("test")] == [0.7, None]


def test_a_long_loss_curve_is_thinned_like_the_error_curve(tmp_path: Path) -> None:
    windows = 2 * MAX_CURVE_POINTS - 1
    record = RecordedRun.open(write_record(_run(tmp_path / "run", windows=windows), tmp_path / "results"))
    rows = record.rows("train")
    assert [row["step"] for row in rows[:2]] == [20, 40]
    assert rows[1]["loss"] == pytest.approx((2 / 3 + 2 / 4) / 2, rel=1e-4)
    assert rows[-1] == {
        "step": 10 * windows,
        "error": round(90 / windows, 4),
        "loss": pytest.approx(2 / windows, rel=1e-4),
    }


def test_an_older_record_without_losses_and_hash_is_read_and_may_be_written_anew(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    path = write_record(folder, tmp_path / "results")
    older = json.loads(path.read_text())
    del older["loss_curve"], older["model_sha256"]
    older["rate_drops"] = [20, 30]
    path.write_text(json.dumps(older))
    record = RecordedRun.open(path)
    assert record.rows("test") == [{"step": 50, "error": 25.0}]
    assert record.rate_drops() == [23, 35]
    write_record(folder, tmp_path / "results")
    assert "loss_curve" in json.loads(path.read_text())


@pytest.mark.parametrize("rows_left", [0, 3])
def test_a_run_whose_log_is_lost_or_cut_replaces_no_whole_record(rows_left: int, tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    before = write_record(folder, tmp_path / "results").read_bytes()
    folder.metrics.truncate(10 * rows_left)
    with pytest.raises(
        RunError, match=rf"metrics\.jsonl is not whole: .* is of step {10 * rows_left}, .* 50 iterations"
    ):
        write_record(folder, tmp_path / "results")
    assert (tmp_path / "results" / "made-up" / "0.json").read_bytes() == before


def test_a_run_whose_times_are_lost_is_said_to_be_so(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    folder.timing.path.write_bytes(b"")
    with pytest.raises(RunError, match=r"timing\.jsonl is not whole: .* is of step 0, and the run has 50 iterations"):
        write_record(folder, tmp_path / "results")


def test_a_damaged_record_is_said_to_be_damaged_and_not_to_be_of_another_training(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    path = write_record(folder, tmp_path / "results")
    path.write_text(path.read_text()[:100])
    with pytest.raises(RunError, match=r"0\.json: not a JSON file: .*remove it, and it is written anew"):
        write_record(folder, tmp_path / "results")


def test_a_record_without_its_model_needs_no_model_file(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    folder.write("result.json", {**(folder.result() or {}), "model_sha256": "abc"})
    folder.model_path.unlink()
    path = write_record(folder, tmp_path / "results", with_model=False)
    assert RecordedRun.open(path).values["model_sha256"] == "abc"
    with pytest.raises(RunError, match=r"model\.safetensors: No such file"):
        write_record(folder, tmp_path / "results")


def test_a_log_of_other_bytes_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl: damaged: byte 12 is no UTF-8"):
        read_rows(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("is_older", [False, True])
def test_the_record_of_another_training_is_not_overwritten(tmp_path: Path, is_older: bool) -> None:
    path = write_record(_run(tmp_path / "one"), tmp_path / "results")
    if is_older:
        older = json.loads(path.read_text())
        del older["model_sha256"]
        older["curve"]["train"][0][1] += 1
        path.write_text(json.dumps(older))
    before = path.read_bytes()
    other = _run(tmp_path / "two", loss=3.0)
    with pytest.raises(UsageError, match=r"0\.json holds the result of another training than .*two.*another --results"):
        write_record(other, tmp_path / "results")
    assert path.read_bytes() == before
    write_record(other, tmp_path / "results", replace=True)
    assert path.read_bytes() != before


def test_another_trainings_model_file_does_not_stay_beside_a_record(tmp_path: Path) -> None:
    one, other = _run(tmp_path / "one"), _run(tmp_path / "two", loss=3.0)
    model = write_record(one, tmp_path / "results").with_suffix(".safetensors")
    write_record(one, tmp_path / "results", with_model=False)
    assert model.exists()
    write_record(other, tmp_path / "results", replace=True, with_model=False)
    assert not model.exists()


def test_drops_of_a_step_schedule_are_its_milestones_as_far_as_the_run_went() -> None:
    rows = [{"step": step, "lr": lr} for step, lr in ((10, 1.0), (20, 1.0), (30, 0.1))]
    assert rate_drops(_STEP, rows) == [23]
    assert rate_drops({"kind": "plateau", "factor": 0.1}, rows) == [20]
    assert rate_drops({"kind": "plateau", "factor": 0.1}, rows, [{"step": step} for step in (13, 26)]) == [26]
    assert rate_drops({"kind": "plateau", "factor": 0.1}, rows, [{"step": step} for step in (13, 39)]) == [20]
    assert rate_drops({"kind": "cosine"}, rows) == []
    assert rate_drops(_STEP, []) == []


@pytest.mark.parametrize("factor", [0.01, 0.1, 0.5, 0.7, 0.95, 0.999])
def test_drops_at_a_plateau_are_found_for_any_factor_and_a_warmup_is_none(factor: float) -> None:
    rates = [0.02, 0.06, 0.1, 0.1, 0.1 * factor, 0.1 * factor, 0.1 * factor**2]
    rows = [{"step": 10 * number, "lr": lr} for number, lr in enumerate(rates, start=1)]
    assert rate_drops({"kind": "plateau", "factor": factor}, rows) == [40, 60]


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("**/*-plateau/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_the_drops_in_committed_records_are_those_that_the_schedule_makes_of_their_errors(path: Path) -> None:
    record = RecordedRun.open(path)
    schedule = record.config()["schedule"]
    decay = PlateauDecay(schedule["factor"], schedule["patience"], schedule["min_delta"], schedule["max_drops"])
    factors = {}
    for row in record.rows("validation"):
        decay.observe(row["error"])
        factors[row["step"]] = decay.factor()
    steps = [row["step"] for row in record.rows("train")]
    rows = [{"step": step, "lr": next((factors[s] for s in reversed(factors) if s < step), 1.0)} for step in steps]
    assert rate_drops(schedule, rows, record.rows("validation")) == record.rate_drops()
