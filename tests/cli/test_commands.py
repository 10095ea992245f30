"""The verbs, on finished little runs."""

import json
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.waiting import HANG_SECONDS

from reslab.artifacts.model_file import load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.config_args import choose_config, parse_overrides, read_settings
from reslab.cli.main import run
from reslab.cli.training import print_time
from reslab.config import to_dict
from reslab.errors import UsageError
from reslab.recipes import RECIPES


@pytest.mark.parametrize(
    ("tokens", "changes"),
    [
        (["--optim.lr", "0.05"], {"optim": {"lr": 0.05}}),
        (["--optim.lr=1e-3", "--seed=2"], {"optim": {"lr": 0.001}, "seed": 2}),
        (["--train.grad-clip-norm", "none"], {"train": {"grad_clip_norm": "none"}}),
        (["--schedule.milestones", "[1, 2]"], {"schedule": {"milestones": [1, 2]}}),
        (["--optim.nesterov", "true", "--optim.lr", "-1"], {"optim": {"nesterov": True, "lr": -1}}),
        (["--data.path", "a b/c"], {"data": {"path": "a b/c"}}),
        (["--data.path", '"12"'], {"data": {"path": "12"}}),
        ([], {}),
    ],
)
def test_flags_become_nested_changes(tokens: list[str], changes: dict[str, object]) -> None:
    assert parse_overrides(tokens) == changes


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        (["--optim.lr"], "--optim.lr"),
        (["--optim.lr", "--seed", "1"], "--optim.lr"),
        (["0.1"], "0.1"),
        (["--seed", "1", "--seed.x", "2"], "--seed.x"),
    ],
)
def test_flags_without_values_and_values_without_flags_are_refused(tokens: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=re.escape(named)):
        parse_overrides(tokens)


def test_a_reader_that_goes_away_ends_a_command_without_a_traceback() -> None:
    program = "import reslab.cli.main as m\nm.app = lambda *_, **__: [print(k) for k in range(10**6)]\nm.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(timeout=HANG_SECONDS) == 1


def test_a_file_of_settings_comes_before_flags_and_flags_before_named_ones(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("seed = 5\n[optim]\nlr = 0.2\nmomentum = 0.8\n[train]\niterations = 7\n")
    overrides = ("--optim.lr", "0.3", "--seed", "6")
    settings = read_settings(overrides, config=file, seed=7, data="photos", data_kind="folder")
    config = choose_config("digits-resnet20", settings)
    assert (config.optim.lr, config.optim.momentum, config.train.iterations, config.seed) == (0.3, 0.8, 7, 7)
    assert (config.data.path, config.data.kind) == (str(Path("photos").resolve()), "folder")


def test_a_file_of_settings_that_is_no_toml_is_named_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[optim\nlr = 0.2\n")
    assert run(["train", "digits-resnet20", "--config", str(file), "--run-dir", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    assert "line 1" in said
    assert not (tmp_path / "run").exists()


def test_describe_prints_the_papers_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "resnet50"]) == 0
    said = capsys.readouterr().out
    assert "stride on the 1x1: v1, the paper's" in said
    assert "25,557,032" in said
    assert "3,857,973,248" in said
    assert "(paper: 3.8 G)" in said
    assert run(["describe", "cifar_resnet20", "--layers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 269_722


def test_describe_has_no_figure_of_the_papers_for_images_of_another_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "resnet50", "--image-size", "8"]) == 0
    said = capsys.readouterr().out
    assert "for one 8x8 image\n" in said
    assert "3.8 G" not in said
    assert run(["describe", "cifar_resnet20", "--image-size", "64"]) == 0
    assert "(paper: 0.27 M)" in capsys.readouterr().out  # parameters do not depend on it
    assert run(["describe", "resnet50", "--image-size", "224"]) == 0
    assert "(paper: 3.8 G)" in capsys.readouterr().out


def test_recipes_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in RECIPES)
    assert run(["recipes", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(RECIPES)


@pytest.mark.parametrize("name", ["digits-resnet20", "cifar-resnet110", "imagenet-resnet50"])
def test_a_shown_recipe_is_a_file_that_gives_the_same_config(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import tomllib

    from reslab.config import override

    assert run(["recipes", "show", name]) == 0
    said = capsys.readouterr().out
    assert "differences from the paper" in said
    config = RECIPES[name].make()
    assert to_dict(override(config, tomllib.loads(said))) == to_dict(config)


def test_evaluate_counts_as_the_run_did(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = RunFolder.open(digits_run).result()
    assert result is not None
    for given in (digits_run, digits_run / "model.safetensors"):
        for split in ("train", "validation", "test"):
            assert run(["evaluate", str(given), "--split", split, "--json"]) == 0
            found = json.loads(capsys.readouterr().out)
            assert (found["correct"], found["total"]) == (
                result.final[split].correct,
                result.final[split].total,
            )
    assert run(["evaluate", str(digits_run)]) == 0
    assert f"({result.final['test'].wrong} of 359 wrong; single original view, fp32)" in capsys.readouterr().out


def test_a_record_holds_the_run_without_any_path_and_counts_again(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", str(digits_run), "--results", str(tmp_path)]) == 0
    text = (tmp_path / "digits-resnet20" / "3.json").read_text()
    record = json.loads(text)
    assert str(digits_run) not in text
    assert str(Path.home()) not in text
    assert {"format_version", "recipe", "dataset", "seed", "iterations", "train_size", "selection", "final", "curve",
            "environment", "minutes"} <= record.keys()  # fmt: skip
    assert (record["seed"], record["iterations"], record["train_size"]) == (3, 40, 1078)
    assert [step for step, _ in record["curve"]["train"]] == [10, 20, 30, 40]
    assert [step for step, _ in record["seconds"]] == [10, 20, 30, 40]
    assert record["seconds"] == sorted(record["seconds"], key=lambda point: point[1])
    capsys.readouterr()
    assert run(["evaluate", str(tmp_path / "digits-resnet20" / "3.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["correct"] == record["final"]["test"]["correct"]


def test_a_record_is_not_overwritten_by_another_one(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", str(digits_run), "--results", str(tmp_path)]
    assert run(arguments) == 0
    assert run(arguments) == 0  # the same again is fine
    path = tmp_path / "digits-resnet20" / "3.json"
    other = path.read_text().replace('"model_sha256": "', '"model_sha256": "0')
    path.write_text(other)
    assert run(arguments) == 2
    assert "holds the result of a training other than" in capsys.readouterr().err
    assert path.read_text() == other
    path.write_text("{}")
    assert run(arguments) == 1  # what it was cannot be told
    assert "not a record" in capsys.readouterr().err
    assert path.read_text() == "{}"
    assert run([*arguments, "--replace"]) == 0
    assert path.read_text() != "{}"


def test_a_config_json_repeats_the_run(digits_run: Path, tmp_path: Path) -> None:
    assert run(["train", str(digits_run / "config.json"), "--run-dir", str(tmp_path / "again")]) == 0
    for name in ("metrics.jsonl", "model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (digits_run / name).read_bytes()
    assert (tmp_path / "again" / "report.html").exists()


def test_compare_prints_every_run_and_draws(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(digits_run.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["recipe"] == "digits-resnet20"
    for suffix in ("html", "svg", "png"):
        assert run(["compare", str(digits_run), "--output", str(tmp_path / f"a.{suffix}")]) == 0
        assert (tmp_path / f"a.{suffix}").stat().st_size > 5000
    assert run(["compare", str(digits_run), "--output", str(tmp_path / "a.pdf")]) == 2
    assert not (tmp_path / "a.pdf").exists()


def test_a_run_or_a_file_given_in_place_of_a_recipe_is_told_what_takes_it(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", str(digits_run)]) == 2
    said = capsys.readouterr().err
    assert f"{digits_run} is a run folder. Resume it with 'reslab train --resume --run-dir {digits_run}'" in said
    assert f"'reslab train {digits_run}/config.json --run-dir DIR'" in said
    for name, words in (("a.json", "the config.json in its folder"), ("a.toml", "reslab train RECIPE --config")):
        (tmp_path / name).write_text("")
        assert run(["bench", "input", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert f"{name} is a file, not a recipe. " in said
        assert words in said


def test_compare_takes_a_plan_of_several_seeds_for_no_run(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan"
    shutil.copytree(digits_run, plan / "0")
    shutil.copy(digits_run / "config.json", plan)
    assert run(["compare", str(plan), "--json"]) == 0
    assert [row["path"] for row in json.loads(capsys.readouterr().out)] == [str(plan / "0")]
    shutil.rmtree(plan / "0")
    assert run(["compare", str(plan)]) == 1
    assert f"{plan} holds no runs" in capsys.readouterr().err


def test_a_finished_run_without_its_model_file_says_where_the_weights_still_are(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    shutil.copytree(digits_run, path)
    whole = load_model(path / "model.safetensors").model.state_dict()
    (path / "model.safetensors").unlink()
    left = path / "checkpoints" / "step-00000040" / "model.safetensors"
    kept = load_model(left).model.state_dict()
    assert all(torch.equal(whole[name], kept[name]) for name in whole)
    for verb in ("evaluate", "report"):
        assert run([verb, str(path)]) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert f"{path} is finished, but its model.safetensors is missing; put it back." in said
        assert f"Its weights are still in {left}, a model file too." in said
        assert "--resume" not in said
    folder = RunFolder(path)
    result = folder.result()
    assert result is not None
    folder.write_result(replace(result, is_checkpoint=False))  # as with averaged weights
    assert run(["evaluate", str(path)]) == 1
    assert "still in" not in capsys.readouterr().err
    (path / "result.json").unlink()
    assert run(["evaluate", str(path)]) == 1
    assert "is not finished" in capsys.readouterr().err


def test_compare_reads_records_as_it_reads_runs(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", str(digits_run), "--results", str(tmp_path), "--no-model"]) == 0
    path = tmp_path / "digits-resnet20" / "3.json"
    assert [file.name for file in path.parent.iterdir()] == ["3.json"]
    capsys.readouterr()
    rows = []
    for given in (digits_run, path):
        assert run(["compare", str(given), "--json"]) == 0
        rows.append({**json.loads(capsys.readouterr().out)[0], "path": None})
    assert rows[0] == rows[1]
    assert run(["compare", str(path), "--output", str(tmp_path / "a.html")]) == 0
    (tmp_path / "other.json").write_text("[]")
    assert run(["compare", str(tmp_path / "other.json")]) == 1
    assert "other.json: not a record" in capsys.readouterr().err


def test_compare_finds_records_below_a_folder_and_says_of_a_model_file_what_to_give(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert run(["record", str(digits_run), "--results", str(results)]) == 0
    (results / "other.json").write_text("{}")  # tables and the like lie there too
    (results / "digits-resnet20" / "4.json").write_text('{"format_')
    capsys.readouterr()
    assert run(["compare", str(results), "--json"]) == 0
    printed = capsys.readouterr()
    assert [row["path"] for row in json.loads(printed.out)] == [str(results / "digits-resnet20" / "3.json")]
    assert "4.json: not a JSON file" in " ".join(printed.err.split())
    for path, words in (
        (digits_run / "model.safetensors", f"has no curves; give its run folder: reslab compare {digits_run}"),
        (results / "digits-resnet20" / "3.safetensors", "give the run folder that it is from, or: reslab evaluate"),
        (digits_run / "metrics.jsonl", "is neither a run folder nor a record"),
        (digits_run / "checkpoints", "holds no runs and no records"),
        (tmp_path / "nowhere", "does not exist"),
    ):
        assert run(["compare", str(path)]) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert words in said
        assert "reslab train" not in said


def test_without_the_extra_report_everything_trains_and_what_is_missing_is_said(
    without_report_extra: dict[str, str], tmp_path: Path
) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reslab", *arguments]
        return subprocess.run(command, env=without_report_extra, capture_output=True, text=True)

    flags = ["--train.iterations", "2", "--train.log_every", "1", "--run-dir", str(tmp_path / "run")]
    trained = call("train", "digits-resnet20", *flags)
    assert trained.returncode == 0, trained.stderr
    assert "no report: matplotlib is missing; install it with: pip install 'reslab[report]'" in trained.stderr
    assert "model file: " in trained.stdout
    report = call("report", str(tmp_path / "run"))
    assert report.returncode == 1
    assert "pip install 'reslab[report]'" in report.stderr
    assert "Traceback" not in report.stderr


def _seconds(code: str) -> float:
    """Of CPU time: what else the machine does has no say."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


@pytest.fixture(scope="module")
def seconds_of_torch() -> float:
    return _seconds("import torch")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_imports_no_torch_and_takes_less_than_a_third_of_its_time(
    arguments: list[str], seconds_of_torch: float
) -> None:
    code = f"import sys; from reslab.cli.main import run; run({arguments}); "
    code += "sys.exit(bool({'torch', 'matplotlib'} & sys.modules.keys()))"
    assert _seconds(code) < seconds_of_torch / 3


def test_sigterm_ends_any_verb_with_130_and_no_traceback() -> None:
    verb = "print('begun', flush=True) or time.sleep(3600)"
    program = f"import time, reslab.cli.main as m\nm.app = lambda *_, **__: {verb}\nm.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=HANG_SECONDS)[1] == "reslab: interrupted\n"
    assert process.returncode == 130


def test_an_image_too_small_for_vgg_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("16", "64"):
        assert run(["describe", "vgg16", "--image-size", size]) == 2
        assert "VGG takes images of 224x224 pixels" in capsys.readouterr().err


def test_a_run_that_waits_for_its_data_is_measured_by_its_own_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_time(1.0, 0.5, tmp_path / "my runs" / "config.json")
    command = capsys.readouterr().out.split("To see where: ")[1].strip()
    assert shlex.split(command) == ["reslab", "bench", "input", str(tmp_path / "my runs" / "config.json")]
