"""`reslab evaluate`, `calibrate` and `report`: what they print, what they record, and what they refuse."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.data.test_idx import write as write_idx

from reslab.artifacts.model_file import load_model, save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.data.sources.digits import load_digits
from reslab.data.views import batches
from reslab.evaluation.calibration import TEMPERATURES
from reslab.report import write_report

OLD = Path(__file__).parents[1] / "fixtures" / "ebf7f61"


@pytest.fixture
def finished(digits_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(digits_run, tmp_path / "run")
    (tmp_path / "run" / "test_uses.json").unlink(missing_ok=True)
    return tmp_path / "run"


def test_the_test_set_is_said_to_be_used_again_and_validation_is_not(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(finished), "--split", "validation"]) == 0
    assert RunFolder(finished).test_uses() == ()
    assert run(["evaluate", str(finished)]) == 0
    assert "is used for the 2nd time" in capsys.readouterr().err  # the training's end was the first
    assert run(["evaluate", str(finished / "model.safetensors"), "--protocol", "flip"]) == 0
    assert "is used for the 3rd time" in capsys.readouterr().err
    uses = RunFolder(finished).test_uses()
    result = RunFolder(finished).result()
    assert result is not None
    assert uses[0].error == pytest.approx(result.final["test"].error)
    assert uses[1].command.endswith("--protocol flip")
    assert "mirror image" in uses[1].protocol
    assert run(["report", str(finished)]) == 0
    page = (finished / "report.html").read_text()
    assert "Uses of the test set after training" in page
    assert "--protocol flip" in page


def test_an_ensemble_averages_the_probabilities_of_its_members(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _with_shaken_head(finished, tmp_path / "other.safetensors")
    assert run(["evaluate", str(finished), str(other), "--split", "validation", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    validation = load_digits().part("validation")
    probabilities = torch.zeros(len(validation), 10, dtype=torch.float64)
    for path in (finished / "model.safetensors", other):
        file = load_model(path)
        (batch,) = batches(validation, file.card.preprocess, batch_size=len(validation), device=torch.device("cpu"))
        with torch.no_grad():
            probabilities += file.model(batch.images).double().softmax(1) / 2
    assert (found["members"], len(found["models"])) == (2, 2)
    assert found["correct"] == (probabilities.argmax(1) == validation.labels).sum()
    of_labels = probabilities[torch.arange(len(validation)), validation.labels]
    assert found["loss"] == pytest.approx(-of_labels.log().mean().item(), rel=1e-4)


def test_evaluate_prints_the_scores_that_it_printed_before_they_had_types(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(OLD / "model.safetensors", tmp_path)
    assert run(["evaluate", str(tmp_path / "model.safetensors"), "--split", "validation", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scores = json.loads((OLD / "judgement.json").read_text())["scores"]
    assert list(found) == ["model", "network", "data", *scores]
    for path, number in _leaves(scores):
        expected = pytest.approx(number, rel=1e-5) if isinstance(number, float) else number  # on any processor
        assert _leaf(found, path) == expected, path
    assert [path for path, _ in _leaves(found) if path[0] in scores] == [path for path, _ in _leaves(scores)]


def _leaves(values: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if not isinstance(values, dict | list):
        yield path, values
        return
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield from _leaves(value, (*path, key))


def _leaf(values: Any, path: tuple[str | int, ...]) -> Any:
    return reduce(lambda part, key: part[key], path, values)


def test_an_ensemble_of_other_classes_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = load_model(finished / "model.safetensors")
    names = ("ten", *file.card.class_names[1:])
    save_model(tmp_path / "other.safetensors", file.model, replace(file.card, class_names=names))
    assert run(["evaluate", str(finished), str(tmp_path / "other.safetensors")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "other.safetensors does not have the classes of" in said
    assert "(missing: ['0']; additional: ['ten']). An ensemble needs the same list in all" in said
    assert RunFolder(finished).test_uses() == ()


def test_a_use_of_the_test_set_that_cannot_be_recorded_is_said_and_the_numbers_stand(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: RunFolder, use: object) -> int:
        raise OSError("Read-only file system")

    monkeypatch.setattr(RunFolder, "add_test_use", refuse)
    assert run(["evaluate", str(finished)]) == 0
    said = capsys.readouterr()
    assert "test error: " in said.out
    assert "this use of the test set is not recorded: Read-only file system" in said.err


def test_a_report_on_other_data_says_which_and_that_the_rest_is_the_runs(finished: Path, digit_pictures: Path) -> None:
    assert run(["report", str(finished), "--data", str(digit_pictures), "--split", "validation"]) == 0
    page = (finished / "report.html").read_text()
    data = page[page.index("<h2>Data</h2>") : page.index("<h2>Do it again</h2>")]
    kept = json.loads((finished / "judgement.json").read_text())
    assert kept["scores"]["total"] == 30
    assert f"other data than the run&#39;s: digits (read as digits; fingerprint {kept['data_fingerprint']})" in page
    assert "validation:" not in data  # how many of each class, which is known of the judged data only
    assert run(["report", str(finished), "--split", "validation"]) == 0
    page = (finished / "report.html").read_text()
    assert "other data" not in page
    assert "validation: from " in page[page.index("<h2>Data</h2>") :]


def test_a_run_that_is_not_finished_cannot_be_judged_on_data_of_ones_own(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "result.json").unlink()
    assert run(["report", str(finished), "--split", "validation"]) == 1
    assert "is not finished, so there is nothing to judge yet; leave out --data" in capsys.readouterr().err


def _with_shaken_head(run_folder: Path, path: Path) -> Path:
    file = load_model(run_folder / "model.safetensors")
    torch.manual_seed(0)
    with torch.no_grad():
        file.model.fc.weight.add_(torch.randn_like(file.model.fc.weight))  # type: ignore[operator,union-attr]
    save_model(path, file.model, file.card)
    return path


def test_of_a_network_whose_logits_overflow_what_can_be_counted_is_said(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_model(finished / "model.safetensors")
    with torch.no_grad():
        loaded.model.get_parameter("fc.weight").fill_(3e38)
    save_model(finished / "model.safetensors", loaded.model, loaded.card)
    assert run(["evaluate", str(finished), "--split", "validation"]) == 0
    assert "calibration error (ECE): not finite" in capsys.readouterr().out
    assert run(["calibrate", str(finished)]) == 1
    assert "logits overflow" in capsys.readouterr().err
    assert run(["report", str(finished)]) == 0
    assert "not judged: the network's answers are not finite" in capsys.readouterr().err
    assert not (finished / "judgement.json").exists()


def test_evaluate_refuses_what_could_never_work(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, said in (
        (["--protocol", "ten-crop"], "crops pictures that are larger"),
        (["--protocol", "multi-scale"], "name sides near that"),
        (["--protocol", "multi-scale", "--sides", "8,big"], "whole numbers of pixels"),
        (["--top-k", "11"], "--top-k is 11; allowed: 1 to 10"),
        (["--top-k", "0"], "--top-k is 0; allowed: 1 to 10"),
    ):
        assert run(["evaluate", str(finished), "--split", "validation", *flags]) == 2
        assert said in capsys.readouterr().err
    assert (
        run(["evaluate", str(finished), "--split", "validation", "--protocol", "multi-scale", "--sides", "8,12"]) == 0
    )
    assert "short sides 8, 12" in capsys.readouterr().out


def test_calibrate_writes_a_temperature_and_leaves_the_rest_as_it_was(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished / "model.safetensors"
    before = load_model(path)
    assert run(["calibrate", str(finished)]) == 0
    assert "360 samples" in capsys.readouterr().out
    after = load_model(path)
    assert after.card.temperature is not None
    assert after.card.metrics == before.card.metrics
    assert after.card.preprocess == before.card.preprocess
    for name, tensor in before.model.state_dict().items():
        assert torch.equal(after.model.state_dict()[name], tensor)
    assert run(["evaluate", str(finished), "--split", "validation", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["temperature"] == after.card.temperature
    assert found["calibration"]["nll"] < found["uncalibrated"]["nll"]
    once = path.read_bytes()
    assert run(["calibrate", str(finished)]) == 0  # fitted at temperature 1 each time, not on top of the last
    assert path.read_bytes() == once


def test_a_checkpoints_model_file_is_not_changed(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = max((finished / "checkpoints").glob("step-*")) / "model.safetensors"
    before = checkpoint.read_bytes()
    assert run(["calibrate", str(checkpoint)]) == 1
    assert "belongs to a checkpoint, which must not change" in " ".join(capsys.readouterr().err.split())
    assert checkpoint.read_bytes() == before


def test_calibrate_writes_to_where_a_link_leads(finished: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.safetensors"
    link.symlink_to(finished / "model.safetensors")
    assert run(["calibrate", str(link)]) == 0
    assert link.is_symlink()
    assert load_model(finished / "model.safetensors").card.temperature is not None


def test_a_runs_model_file_is_judged_on_the_runs_own_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_idx(tmp_path / "idx")  # 20 images to train on, of which 8 are held out, and 10 to test on
    changes = ["--train.iterations", "4", "--train.batch_size", "8", "--schedule.milestones", "[2]"]
    changes += ["--warmup.kind", "none", "--data", str(tmp_path / "idx"), "--data.validation_size", "8"]
    folder = tmp_path / "run"
    assert run(["train", "digits-resnet20", *changes, "--run-dir", str(folder)]) == 0
    for split, total in (("train", 12), ("validation", 8), ("test", 10)):
        found = []
        for given in (folder, folder / "model.safetensors"):
            capsys.readouterr()
            assert run(["evaluate", str(given), "--split", split, "--json"]) == 0
            found.append(json.loads(capsys.readouterr().out))
        assert [one["total"] for one in found] == [total, total]
        assert found[0]["loss"] == found[1]["loss"]


def test_a_use_of_the_test_set_is_kept_with_the_command_that_counts_it_again(finished: Path) -> None:
    assert run(["evaluate", str(finished), "--split", "all", "--protocol", "flip"]) == 0
    command = RunFolder(finished).test_uses()[-1].command
    assert command == f"reslab evaluate {finished} --split all --protocol flip"


def test_a_temperature_is_fitted_on_validation_only(finished: Path) -> None:
    content = (finished / "model.safetensors").read_bytes()
    assert run(["calibrate", str(finished), "--split", "test"]) == 2
    assert (finished / "model.safetensors").read_bytes() == content


def test_a_temperature_at_the_end_of_its_range_is_not_written(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (finished / "model.safetensors").read_bytes()
    monkeypatch.setattr("reslab.evaluation.fit_temperature", lambda probabilities, labels: TEMPERATURES[0])
    assert run(["calibrate", str(finished)]) == 1
    assert "no temperature fits: on 360 images the likelihood still rises at 0.02" in capsys.readouterr().err
    assert (finished / "model.safetensors").read_bytes() == content


def test_a_second_report_uses_the_judgement_of_the_first_until_the_model_file_changes(finished: Path) -> None:
    kept = finished / "judgement.json"
    assert run(["report", str(finished)]) == 0
    first, page = kept.stat().st_mtime_ns, (finished / "report.html").read_bytes()
    assert str(finished.parent) not in page.decode()  # a page is passed on, and others have other folders
    assert run(["report", str(finished)]) == 0
    assert kept.stat().st_mtime_ns == first
    assert len(RunFolder(finished).test_uses()) == 1  # the images were not read again
    assert (finished / "report.html").read_bytes() == page
    assert run(["calibrate", str(finished)]) == 0
    assert run(["report", str(finished)]) == 0
    assert kept.stat().st_mtime_ns != first


def test_a_judgement_of_an_older_version_is_made_anew(finished: Path) -> None:
    kept = finished / "judgement.json"
    assert run(["report", str(finished)]) == 0
    now = json.loads(kept.read_text())
    older = {key: value for key, value in now.items() if key != "inside"}
    kept.write_text(json.dumps({**older, "basis": {**now["basis"], "version": 1}}))
    write_report(RunFolder(finished))  # not read, and no hindrance
    assert "Inside the network" not in (finished / "report.html").read_text()
    assert run(["report", str(finished)]) == 0
    assert json.loads(kept.read_text()) == now
    assert "Inside the network" in (finished / "report.html").read_text()


def test_a_run_whose_images_are_gone_still_has_its_report(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((finished / "config.json").read_text())
    config["data"] |= {"kind": "folder", "path": str(finished / "gone")}
    (finished / "config.json").write_text(json.dumps(config))
    assert run(["report", str(finished)]) == 0
    assert "not judged: " in capsys.readouterr().err
    page = (finished / "report.html").read_text()
    assert "Confusion matrix" in page
    assert "are added by: reslab report run" in page
    assert run(["report", str(finished), "--data", str(finished / "gone")]) == 1


def test_a_model_file_has_a_report_of_its_own(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "mine.safetensors"
    shutil.copy(digits_run / "model.safetensors", model)
    assert run(["report", str(model), "--split", "validation"]) == 0
    page = tmp_path / "mine-report.html"
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    assert "validation error (95 % interval" in text
    assert "Near-duplicates in the training images" in text
    assert not (tmp_path / "test_uses.json").exists()
    assert run(["report", str(model), "--output", str(tmp_path / "no" / "page.html")]) == 2
    assert "make it first" in capsys.readouterr().err
