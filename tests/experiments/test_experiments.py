"""Whole experiments with networks and trainings cut down: the command, its pages, and its JSON."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reslab.cli.commands.reproduce import _all_at
from reslab.cli.main import run
from reslab.config import RunConfig, override
from reslab.errors import RunError
from reslab.experiments import arms, catalog
from reslab.experiments.book import write_book
from reslab.experiments.chapters import read_chapters
from reslab.experiments.claims import complexity, shattering
from reslab.experiments.experiment import SingleMeasurement
from reslab.recipes.digits import digits

SHORT: dict[str, Any] = {
    "train": {"iterations": 6, "log_every": 2, "checkpoint_every": 3, "batch_size": 16},
    "evaluation": {"every": 3},
    "schedule": {"kind": "step", "milestones": [3], "gamma": 0.1},
    "warmup": {"kind": "none"},
}


@pytest.fixture
def short_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(kind: str, depth: int) -> RunConfig:
        return override(digits(kind, depth), SHORT)

    monkeypatch.setitem(arms._RECIPES, "digits", short)


def test_the_command_trains_judges_and_writes_the_book(
    short_digits: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--seeds", "1", "--run-dir", str(tmp_path)]
    assert run(["reproduce", "shortcuts", "plateau", *flags]) == 0
    printed = capsys.readouterr()
    assert "shortcuts (digits): undecided: 2 more seeds would decide." in printed.out
    assert "images/s" in printed.err
    (tmp_path / "book" / "index.html").unlink()
    assert run(["reproduce", "shortcuts", *flags]) == 0
    assert "images/s" not in capsys.readouterr().err  # nothing was trained again
    page = (tmp_path / "book" / "shortcuts.html").read_text(encoding="utf-8")
    for text in (
        "option C",
        "The rule of the verdict",
        "25.03 %, 24.52 %, 24.19 %",
        "<svg",
        "reslab reproduce shortcuts",
    ):
        assert text in page
    front = (tmp_path / "book" / "index.html").read_text(encoding="utf-8")
    assert "shortcuts.html" in front
    assert "plateau.html" in front


def test_evidence_holds_no_path_and_gives_the_verdict_again(
    short_digits: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reproduce", "shortcuts", "--seeds", "2", "--run-dir", str(tmp_path / "runs")]) == 0
    results = tmp_path / "runs" / "results"
    for path in results.rglob("*.json"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
    (chapter,) = read_chapters(results)
    assert chapter.evidence.num_seeds == 2
    assert f"shortcuts (digits): {chapter.outcome}." in capsys.readouterr().out
    assert chapter.command == "reslab reproduce shortcuts --size digits --seeds 2"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["construction", "degradation", "normalization", "convergence", "depth", "thousand-layers", "responses", "warmup",
     "landscape", "lesion"],
)  # fmt: skip
def test_every_experiment_runs_from_training_to_page(name: str, short_digits: None, tmp_path: Path) -> None:
    assert run(["reproduce", name, "--seeds", "1", "--run-dir", str(tmp_path)]) == 0
    assert (tmp_path / "book" / f"{name}.html").stat().st_size < 3_000_000
    evidence = json.loads((tmp_path / "results" / f"{name}-digits.json").read_text())
    assert evidence["experiment"] == name


@pytest.mark.slow
def test_the_complexity_needs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complexity, "_BATCH", 1)
    monkeypatch.setattr(complexity, "_ROUNDS", 1)
    assert run(["reproduce", "complexity", "--run-dir", str(tmp_path)]) == 0
    (chapter,) = read_chapters(tmp_path / "results")
    assert chapter.outcome == "reproduced"
    page = (tmp_path / "book" / "complexity.html").read_text(encoding="utf-8")
    assert '<h2 id="digits">Computed: reproduced</h2>' in page


@pytest.mark.slow
def test_shattering_needs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shattering, "_IMAGES", 4)
    monkeypatch.setattr(shattering, "_SEEDS", 1)
    assert run(["reproduce", "shattering", "--run-dir", str(tmp_path)]) == 0
    page = (tmp_path / "book" / "shattering.html").read_text(encoding="utf-8")
    assert "cosine at 2 % of noise" in page


def test_one_that_fails_does_not_keep_the_others_from_running(
    short_digits: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(bench: object) -> dict[str, Any]:
        raise RunError("the memory is full.")

    failing = replace(complexity.EXPERIMENT, once=SingleMeasurement(complexity.Costs, fail))
    monkeypatch.setitem(catalog.EXPERIMENTS, "complexity", failing)
    flags = ["--seeds", "1", "--run-dir", str(tmp_path)]
    assert run(["reproduce", "complexity", "plateau", *flags]) == 1
    said = capsys.readouterr()
    assert "plateau (digits): " in said.out
    assert "reslab: complexity: the memory is full." in said.err
    assert "1 of 2 experiments failed: complexity; the reasons are above." in said.err
    assert (tmp_path / "book" / "plateau.html").exists()


def test_evidence_that_cannot_be_shown_keeps_no_other_from_its_page(
    short_digits: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--seeds", "1", "--run-dir", str(tmp_path)]
    assert run(["reproduce", "shortcuts", "plateau", *flags]) == 0
    evidence = tmp_path / "results" / "plateau-digits.json"
    whole = evidence.read_text(encoding="utf-8")
    values = json.loads(whole)
    models = {arm: hashes for arm, hashes in values["models"].items() if "plateau" not in arm}
    for content, reason in (
        (whole[:50], "not a JSON file"),
        (json.dumps({**values, "models": models}), "it is not of the same networks as this version's experiment"),
    ):
        evidence.write_text(content, encoding="utf-8")
        book = tmp_path / f"book of {reason[:10]}"
        with pytest.raises(
            RunError, match=f"index.html is written, but without what cannot be shown: .*{re.escape(reason)}"
        ):
            write_book(tmp_path / "results", book)
        assert sorted(page.name for page in book.iterdir()) == ["index.html", "shortcuts.html"]
    evidence.write_text(whole, encoding="utf-8")
    again = tmp_path / "results" / "fp32"
    again.mkdir()
    shutil.copy(evidence, again)
    with pytest.raises(RunError, match="are of the same experiment at the same size"):
        write_book(tmp_path / "results", tmp_path / "book of two")
    assert sorted(page.name for page in (tmp_path / "book of two").iterdir()) == ["index.html", "shortcuts.html"]
    assert run(["reproduce", "shortcuts", *flags]) == 1
    assert "without what cannot be shown" in capsys.readouterr().err


def test_a_record_that_is_not_of_this_versions_networks_is_not_shown_under_its_rule(
    short_digits: None, tmp_path: Path
) -> None:
    assert run(["reproduce", "plateau", "--seeds", "1", "--run-dir", str(tmp_path)]) == 0
    (path,) = (tmp_path / "results" / "records" / "digits-resnet20").iterdir()
    values = json.loads(path.read_text(encoding="utf-8"))
    values["config"]["optim"]["lr"] = 0.02
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(
        RunError, match=r"3\.json is not of this version's plateau: .*optim.lr: 0.02 recorded, 0.05 now"
    ):
        read_chapters(tmp_path / "results")


def test_the_papers_length_without_a_gpu_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(*_: object) -> None:
        raise RunError("no further.")

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("reslab.experiments.run_experiment.run_experiment", stop)
    assert run(["reproduce", "depth", "--size", "paper", "--run-dir", str(tmp_path)]) == 1
    assert "takes hours for the smallest and days" in caplog.text


def test_without_a_name_the_experiments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce"]) == 0
    assert "thousand-layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["degradatoin"], "Did you mean 'degradation'"),
        (["depth", "--size", "tiny"], "allowed: 'digits', 'small', 'paper'"),
        (["depth", "--all"], "leave out the names or --all"),
        (["--size", "paper"], "no experiments are named. Name some, or use --all"),
        (["--seeds", "2"], "no experiments are named. Name some, or use --all"),
        (["depth", "--seeds", "0"], "allowed: 1 or more"),
        (["depth", "--jobs", "0"], "allowed: 1 or more"),
        (["depth", "--data", "somewhere"], "leave --data out"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reproduce", *arguments, "--run-dir", str(tmp_path / "runs")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_named_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reslab.experiments.run_experiment.run_experiment", lambda *_: pytest.fail("work has begun"))
    (tmp_path / "file").write_text("")
    for flags, said in (
        (["--run-dir", str(tmp_path / "file" / "exp")], f"{tmp_path}/file/exp/runs: cannot be written: "),
        (["--run-dir", str(tmp_path / "exp"), "--results", str(tmp_path / "file")], "file is a file, not a folder"),
        *(
            [(["--run-dir", "/proc/exp"], "/proc/exp/runs: cannot be written: /proc: ")]
            if Path("/proc/1").exists()
            else []
        ),
    ):
        assert run(["reproduce", "complexity", *flags]) == 1
        assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_data_is_said_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--size", "small", "--data", str(tmp_path / "nowhere"), "--run-dir", str(tmp_path / "runs")]
    assert run(["reproduce", "depth", *flags]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_photos_have_to_be_named_and_all_leaves_them_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--run-dir", str(tmp_path)]
    assert run(["reproduce", "imagenet-nets", *flags]) == 2
    assert "imagenet-nets cannot run at size 'digits'; allowed: small, paper." in capsys.readouterr().err
    assert run(["reproduce", "imagenet-nets", "--size", "small", *flags]) == 2
    assert "trains on photos, which have no usual place" in capsys.readouterr().err
    assert "imagenet-nets" not in [experiment.name for experiment in _all_at("small")]
