"""Every document of format version 1 is read: files of commit ebf7f61, and the committed records of those days."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.artifacts.documents import Environment, RunResult, TestUses
from reslab.artifacts.model_file import load_card, load_model, model_bytes
from reslab.artifacts.reader import checked, current, read_document
from reslab.artifacts.record import RecordedRun, save_record
from reslab.artifacts.run_folder import RunFolder
from reslab.artifacts.upgrade import Kind
from reslab.config import from_dict
from reslab.errors import RunError
from reslab.report import basis_of, keep_judgement, kept_judgement
from reslab.runs.record import record_of

OLD = Path(__file__).parents[1] / "fixtures" / "ebf7f61"
FINISHED = OLD / "finished"


def read(name: str) -> Any:
    return json.loads((FINISHED / name).read_text())


def test_an_environment_has_the_machine_in_a_part_of_its_own() -> None:
    old, environment = read("environment.json"), RunFolder(FINISHED).environment()
    assert (environment.data.fingerprint, environment.data.sizes) == (
        old["data"]["fingerprint"],
        old["data"]["sizes"],
    )
    (session,), (before,) = environment.sessions, old["sessions"]
    assert session.engine is not None
    assert (session.date, session.precision, session.engine.reason) == (
        before["date"],
        before["precision"],
        before["engine"]["reason"],
    )
    machine = session.machine
    assert (machine.threads, machine.packages, machine.cpu.name, machine.source.commit) == (
        before["threads"],
        before["packages"],
        before["cpu"]["name"],
        before["source"]["commit"],
    )


def test_a_result_has_all_its_numbers() -> None:
    old, result = read("result.json"), RunFolder(FINISHED).result()
    assert result is not None
    assert result.confusion == tuple(map(tuple, old["confusion"]))
    for split, counts in old["final"].items():
        found = result.final[split]
        assert {"correct": found.correct, "total": found.total, "loss": found.loss, "error": found.error} == counts
    names = ("recipe", "model", "seed", "iterations", "selection", "selected_step", "reported_split", "model_sha256")
    assert [getattr(result, name) for name in names] == [old[name] for name in names]


def test_uses_of_the_test_set_are_read_and_added_to(tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(FINISHED, tmp_path / "run")))
    (use,) = folder.test_uses()
    assert use.command == "reslab evaluate finished"
    assert folder.add_test_use(use) == 3  # the training's is the first
    assert folder.test_uses() == (use, use)


@pytest.fixture
def judged(tmp_path: Path) -> RunFolder:
    folder = RunFolder(Path(shutil.copytree(FINISHED, tmp_path / "run")))
    shutil.copy(OLD / "judgement.json", folder.path)
    return folder


def test_a_judgement_has_all_its_numbers_and_images_and_is_written_in_todays_form(judged: RunFolder) -> None:
    path = judged.path / "judgement.json"
    old, judgement = json.loads(path.read_text()), kept_judgement(judged)
    assert judgement is not None
    assert judgement.basis is not None
    keep_judgement(judged, judgement.basis, judgement)
    assert json.loads(path.read_text()) == {**old, "format_version": 2}
    assert kept_judgement(judged) == judgement


def test_a_judgement_on_a_folder_whose_name_is_not_unicode_is_read_back(judged: RunFolder, tmp_path: Path) -> None:
    judgement, folder = kept_judgement(judged), tmp_path / os.fsdecode(b"\xff")
    assert judgement is not None
    basis = basis_of(judged.model_path, "validation", folder)
    keep_judgement(judged, basis, judgement)
    kept = kept_judgement(judged, basis_of(judged.model_path, "validation", folder))
    assert kept is not None
    assert kept == kept_judgement(judged)
    assert kept.basis == basis


def test_a_judgement_of_another_version_is_not_read_whatever_it_holds(
    judged: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    path = judged.path / "judgement.json"
    basis = json.loads(path.read_text())["basis"]
    path.write_text(json.dumps({"format_version": 1, "basis": {**basis, "version": 1}, "marks": [1, 2]}))
    assert kept_judgement(judged) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format_version": 1}', "judgement.json: Input should be an object"),
        ("[]", "judgement.json: not a JSON object"),
        ('{"format_version": 2, "basis": ', "judgement.json: not a JSON file"),
        ('{"format_version": 9, "basis": {}}', "format version is 9"),
    ],
)
def test_a_damaged_judgement_is_left_out_with_a_warning(
    judged: RunFolder, content: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    (judged.path / "judgement.json").write_text(content)
    assert kept_judgement(judged) is None
    assert said in caplog.text


def test_a_judgement_with_a_wrong_number_is_left_out_and_the_field_is_named(
    judged: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    path = judged.path / "judgement.json"
    values = json.loads(path.read_text())
    values["scores"]["classes"][3]["support"] = "many"
    path.write_text(json.dumps(values))
    assert kept_judgement(judged) is None
    assert "scores.classes.3.support: " in caplog.text


@pytest.mark.parametrize("step", [20, 40])
def test_a_checkpoint_is_read_whole(step: int) -> None:
    checkpoint = RunFolder(FINISHED).checkpoints.load(step)
    old = read(f"checkpoints/step-{step:08d}/state.json")
    state = checkpoint.state
    assert (checkpoint.step, state.train.best_step, state.train.best_error) == (
        step,
        old["best_step"],
        old["train"]["best_error"],
    )
    assert state.learning_rate.schedule is not None
    assert state.learning_rate.schedule.num_drops == old["learning_rate"]["schedule"]["num_drops"]
    assert list(state.log_meter) == old["log_meter"]


def test_a_checkpoint_of_a_schedule_without_state_is_read() -> None:
    state = RunFolder(OLD / "unfinished").checkpoints.load(15).state
    assert (state.learning_rate.schedule, state.learning_rate.warmup) == (None, None)


def test_model_files_are_read() -> None:
    plain, calibrated, letterbox = (
        load_model(OLD / f"model{name}.safetensors") for name in ("", "-calibrated", "-letterbox")
    )
    assert plain.card.metrics is not None
    assert (plain.card.metrics.split, plain.card.metrics.correct) == ("test", 239)
    assert plain.card.temperature is None
    assert calibrated.card.temperature is not None
    tensors, others = plain.model.state_dict(), calibrated.model.state_dict()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    assert letterbox.card.preprocess.resize_mode == "letterbox"
    assert load_card(OLD / "model-letterbox.safetensors") == letterbox.card


def test_a_model_file_that_is_written_again_is_of_today(tmp_path: Path) -> None:
    loaded = load_model(OLD / "model-letterbox.safetensors")
    content = model_bytes(loaded.model, loaded.card)
    assert b'\\"format_version\\": 2' in content
    assert b'\\"fit\\"' not in content
    (tmp_path / "again.safetensors").write_bytes(content)
    assert load_model(tmp_path / "again.safetensors").card == loaded.card


def test_a_record_is_that_of_its_run_and_is_written_in_todays_form(tmp_path: Path) -> None:
    record, old = RecordedRun.open(OLD / "record.json"), json.loads((OLD / "record.json").read_text())
    assert record.document.final["test"].correct == old["test"]["correct"]
    assert record.document.protocol == old["test"]["protocol"]
    assert [[point.step, point.error] for point in record.rows("train")] == old["curve"]["train"]
    assert [point.loss for point in record.rows("train")] == [loss for _, loss in old["loss_curve"]["train"]]
    made = record_of(RunFolder(Path(shutil.copytree(FINISHED, tmp_path / "run"))))
    assert from_dict(record.config()).train == from_dict(made.config).train
    for name in ("final", "curve", "loss_curve", "seconds", "rate_drops", "model_sha256", "dataset", "environment"):
        assert getattr(record.document, name) == getattr(made, name), name
    save_record(tmp_path / "record.json", record.document)
    assert RecordedRun.open(tmp_path / "record.json").document == record.document


@pytest.mark.parametrize(
    ("kind", "form", "name"),
    [
        ("environment", Environment, "environment.json"),
        ("result", RunResult, "result.json"),
        ("test_uses", TestUses, "test_uses.json"),
    ],
)
def test_documents_that_lack_a_field_or_have_another_are_named(
    kind: Kind, form: type[Any], name: str, tmp_path: Path
) -> None:
    values = read(name)
    path = tmp_path / name
    for key in [key for key in values if key != "format_version"]:
        path.write_text(json.dumps({other: value for other, value in values.items() if other != key}))
        with pytest.raises(RunError, match=rf"{name}: (damaged: )?.*{key}"):
            read_document(path, kind, form)
    path.write_text(json.dumps({**values, "another": 1}))
    with pytest.raises(RunError, match=rf"{name}: another: Unexpected keyword argument"):
        read_document(path, kind, form)


def test_a_field_of_another_type_is_named_by_its_path() -> None:
    values = read("result.json")
    values["final"]["test"]["correct"] = "many"
    with pytest.raises(RunError, match=r"result\.json: final\.test\.correct: Input should be a valid integer\."):
        checked(current(values, "result", "result.json"), RunResult, "result.json")


@pytest.mark.parametrize("version", [None, 0, 3, "1"])
def test_an_unknown_version_is_refused(version: Any) -> None:
    with pytest.raises(RunError, match=rf"x\.json: format version is {version}; this reslab reads versions 1 to 2\."):
        current({**read("result.json"), "format_version": version}, "result", "x.json")


def test_what_is_not_an_object_is_named() -> None:
    with pytest.raises(RunError, match=r"x\.json: not a JSON object\."):
        current([1], "result", "x.json")
