"""Arms are trained once, gone on with after a stop, side by side if asked, and grown from one another."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab import load_model
from reslab.artifacts.model_file import save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.config import override
from reslab.errors import Interrupted, RunError
from reslab.experiments.arms import Arm, ArmRun, Start, make_arm
from reslab.experiments.runner import Runner
from reslab.runs.parallel import STOPPED
from reslab.system.files import sha256_of
from reslab.train import Observer
from tests.artifacts.made_up import environment
from tests.waiting import until

SHORT = {"iterations": 12, "log_every": 4, "checkpoint_every": 6}


def _short(kind: str = "resnet", *, suffix: str = "", **changes: Any) -> Arm:
    settings = {"train": {**SHORT, **changes}, "evaluation": {"every": 6}, "compute": {"precision": "fp32"}}
    one = make_arm("digits", kind, 20, settings, suffix=suffix)
    return replace(one, config=override(one.config, {"model": {"num_blocks": [1, 1, 1]}}))


class _Counting:
    """Counts the runs that were trained, and the iterations they took."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.steps = 0

    @contextmanager
    def __call__(self, name: str, iterations: int, batch_size: int) -> Iterator[Observer]:
        self.runs.append(name)
        yield self  # type: ignore[misc]

    def on_step(self, step: int, loss: Any) -> None:
        self.steps += 1

    def on_row(self, row: dict[str, Any]) -> None: ...


def _train(
    runner: Runner, arms: Sequence[Arm], seeds: Sequence[int], on_finished: Callable[[RunFolder], None] = lambda _: None
) -> dict[str, list[RunFolder]]:
    """Each arm's folders in the order of seeds."""
    runs = [ArmRun(arm, seed) for seed in seeds for arm in arms]
    folders: dict[str, list[RunFolder]] = {}
    for run, folder in zip(runs, runner.train(runs, lambda run, folder: on_finished(folder)), strict=True):
        folders.setdefault(run.arm.name, []).append(folder)
    return folders


def test_a_run_from_before_a_setting_came_is_found_and_one_with_another_setting_is_refused(tmp_path: Path) -> None:
    runner = Runner(tmp_path, 1, _Counting())
    arm = _short()
    (folder,) = _train(runner, [arm], [0])[arm.name]
    older: Any = folder.config()
    del older["train"]["class_weights"], older["data"]["sampling"]
    folder.write_config(older)
    assert _train(runner, [arm], [0])[arm.name][0].path == folder.path
    folder.write_config({**older, "train": {**older["train"], "grad_clip_norm": 2.0}})
    with pytest.raises(RunError, match="trained with other settings"):
        _train(runner, [arm], [0])


def test_a_repeated_experiment_trains_nothing_twice(tmp_path: Path) -> None:
    observe = _Counting()
    runner = Runner(tmp_path, 1, observe)
    first = _train(runner, [_short()], range(2))
    assert observe.runs == ["digits-resnet20 seed 0", "digits-resnet20 seed 1"]
    again = _train(runner, [_short()], range(2))
    assert len(observe.runs) == 2
    assert [f.path for f in again["digits-resnet20"]] == [f.path for f in first["digits-resnet20"]]


def test_a_run_in_a_folder_named_by_a_hash_is_found_if_it_is_of_the_arm(tmp_path: Path) -> None:
    observe = _Counting()
    runner = Runner(tmp_path, 1, observe)
    (folder,) = _train(runner, [_short()], [0])["digits-resnet20"]
    other = tmp_path / "digits-resnet20-0000000000" / "0"
    shutil.copytree(folder.path, other)
    config: Any = folder.config()
    RunFolder(other).write_config({**config, "optim": {**config["optim"], "lr": 0.01}})
    hashed = tmp_path / "digits-resnet20-787d0ffcfb" / "0"
    shutil.move(folder.path, hashed)
    assert _train(runner, [_short()], [0])["digits-resnet20"][0].path == hashed
    assert len(observe.runs) == 1


def test_a_stop_costs_at_most_the_steps_since_the_last_checkpoint(tmp_path: Path) -> None:
    observe = _Counting()
    runner = Runner(tmp_path, 1, observe)
    (folder,) = _train(runner, [_short()], [0])["digits-resnet20"]
    weights = folder.model_path.read_bytes()
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000012/state.json"):
        (folder.path / name).unlink()
    observe.steps = 0
    _train(runner, [_short()], [0])
    assert observe.steps == 6
    assert folder.model_path.read_bytes() == weights


def test_a_folder_from_a_kill_at_its_making_is_made_again(tmp_path: Path) -> None:
    runner = Runner(tmp_path, 1, _Counting())
    folder = runner.folder(ArmRun(_short(), 0))
    folder.mkdir(parents=True)
    RunFolder(folder).write_environment(environment())
    (folder / ".config.json-x1").touch()
    assert _train(runner, [_short()], [0])["digits-resnet20"][0].result() is not None


def test_runs_side_by_side_give_what_runs_alone_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = _train(Runner(tmp_path / "alone", 1, _Counting()), [_short()], range(2))
    beside = _train(Runner(tmp_path / "beside", 2, _Counting()), [_short()], range(2))
    for one, other in zip(alone["digits-resnet20"], beside["digits-resnet20"], strict=True):
        losses = [[row.loss for row in folder.rows("train")] for folder in (one, other)]
        assert len(losses[0]) == 3
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)  # the number of threads moves the last digits
    seeds = [folder.train_rows()[0].loss for folder in beside["digits-resnet20"]]
    assert seeds[0] != seeds[1]


def test_side_by_side_the_longest_run_of_each_seed_begins_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def note(commands: Sequence[Sequence[str]], *_: Any) -> int:
        begun.extend(command[command.index("--run-dir") + 1] for command in commands)
        return STOPPED

    monkeypatch.setattr("reslab.experiments.runner.run_side_by_side", note)
    deep = make_arm("digits", "plain", 56, {"train": SHORT})
    arms = [_short(), deep, _short(iterations=120, suffix="-10x")]
    runner = Runner(tmp_path, 2, _Counting())
    with pytest.raises(Interrupted):
        _train(runner, arms, [0, 1])
    wanted = [ArmRun(arm, seed) for seed in (0, 1) for arm in (arms[2], deep, arms[0])]
    assert begun == [str(runner.folder(run)) for run in wanted]


def test_an_arm_that_grows_from_another_starts_with_its_answers(tmp_path: Path) -> None:
    shallow = _short("plain")
    like = _short("plain", suffix="-grown", iterations=1, log_every=1)
    deep = replace(like.config, model=replace(like.config.model, num_blocks=(2, 2, 2)))
    grown = Arm(override(deep, {"optim": {"lr": 1e-30, "weight_decay": 0.0}}), Start(shallow, 1))
    runner = Runner(tmp_path, 1, _Counting())
    (folder,) = _train(runner, [grown], [0])[grown.name]
    run = ArmRun(grown, 0)
    (path,) = runner.folder(run).parent.glob("0-start-*.safetensors")
    start = load_model(path).model
    origin = folder.environment().weights
    assert origin is not None
    assert origin.file == path.name
    ends = load_model(folder.model_path).model.state_dict()
    # Weights that begin at exactly zero (the identity's) move by the step itself, about 1e-33.
    assert all(torch.allclose(ends[name], tensor, rtol=0, atol=1e-20) for name, tensor in start.named_parameters())
    images = torch.randn(16, 1, 8, 8)
    with torch.no_grad():
        expected = load_model(runner.folder(ArmRun(shallow, 0)) / "model.safetensors").model(images)
        assert (start(images) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert start.spec.num_blocks == (2, 2, 2)


def test_what_a_finished_run_started_from_is_not_trained_again(tmp_path: Path) -> None:
    source = _short(iterations=4)
    further = replace(_short(suffix="-further", iterations=4), start=Start(source, 0))
    observe = _Counting()
    runner = Runner(tmp_path, 1, observe)
    assert runner.sources([ArmRun(further, 0), ArmRun(source, 1)]) == [ArmRun(source, 0)]
    _train(runner, [further], [0])
    assert observe.runs == ["digits-resnet20 seed 0", "digits-resnet20-further seed 0"]
    shutil.rmtree(runner.folder(ArmRun(source, 0)))
    _train(runner, [further], [0])
    assert len(observe.runs) == 2
    assert runner.sources([ArmRun(further, 0)]) == []


def test_a_lost_start_file_comes_out_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    shallow, like = _short(), _short(suffix="-grown", iterations=1, log_every=1)
    grown = replace(like, config=override(like.config, {"model": {"num_blocks": [2, 2, 2]}}), start=Start(shallow, 1))
    runner = Runner(tmp_path, 1, _Counting())
    contents = []
    for draws in (1, 2):
        _train(runner, [shallow], [0])
        torch.manual_seed(draws)
        before = torch.get_rng_state()
        path = runner._start_file(ArmRun(grown, 0))
        assert torch.equal(torch.get_rng_state(), before)
        contents.append(path.read_bytes())
        path.unlink()
    assert contents[0] == contents[1]


def _as_if_trained_again(folder: RunFolder) -> None:
    """Change a finished run's weights, as if its training had come out otherwise."""
    file = load_model(folder.model_path)
    with torch.no_grad():
        file.model.get_parameter("fc.bias").add_(1)
    save_model(folder.model_path, file.model, file.card)
    result = folder.result()
    assert result is not None
    folder.write_result(replace(result, model_sha256=sha256_of(folder.model_path)))


def test_a_start_file_of_an_arm_that_was_trained_again_is_written_again(tmp_path: Path) -> None:
    shallow, like = _short(iterations=2), _short(suffix="-grown", iterations=1, log_every=1)
    grown = replace(like, config=override(like.config, {"model": {"num_blocks": [2, 2, 2]}}), start=Start(shallow, 1))
    runner, run = Runner(tmp_path, 1, _Counting()), ArmRun(grown, 0)
    (source,) = _train(runner, [shallow], [0])[shallow.name]
    path = runner._start_file(run)
    written = path.stat().st_mtime_ns
    assert runner._start_file(run).stat().st_mtime_ns == written
    _as_if_trained_again(source)
    again = runner._start_file(run)
    assert again.read_bytes() != path.read_bytes()
    images = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        answers = [load_model(file).model(images) for file in (again, source.model_path)]
    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_run_whose_source_was_trained_again_is_refused(blocks: int, tmp_path: Path) -> None:
    source, like = _short(iterations=2), _short(suffix="-on", iterations=1, log_every=1)
    deep = override(like.config, {"model": {"num_blocks": [1 + blocks] * 3}})
    arm = replace(like, config=deep, start=Start(source, blocks))
    runner = Runner(tmp_path, 1, _Counting())
    _train(runner, [source, arm], [0])
    folder = RunFolder(runner.folder(ArmRun(source, 0)))
    file = load_model(folder.model_path)
    save_model(folder.model_path, file.model, replace(file.card, temperature=2.0))  # as `reslab calibrate` does
    _train(runner, [source, arm], [0])
    _as_if_trained_again(folder)
    refusal = r"-on/0 started from another network than .* holds now.*Remove it"
    with pytest.raises(RunError, match=refusal):
        _train(runner, [source, arm], [0])
    (runner.folder(ArmRun(arm, 0)) / "result.json").unlink()
    with pytest.raises(RunError, match=refusal):  # also before it is resumed
        _train(runner, [source, arm], [0])


def test_a_run_may_start_from_a_calibrated_source(tmp_path: Path) -> None:
    source, like = _short(iterations=2), _short(suffix="-on", iterations=1, log_every=1)
    arm = replace(like, start=Start(source, 0))
    runner = Runner(tmp_path, 1, _Counting())
    (folder,) = _train(runner, [source], [0])[source.name]
    file = load_model(folder.model_path)
    save_model(folder.model_path, file.model, replace(file.card, temperature=2.0))
    for _ in range(2):
        _train(runner, [arm], [0])


def test_a_run_of_a_version_with_other_settings_is_named(tmp_path: Path) -> None:
    runner = Runner(tmp_path, 1, _Counting())
    (folder,) = _train(runner, [_short()], [0])["digits-resnet20"]
    newer: Any = folder.config()
    newer["train"]["newer_setting"] = 1
    folder.write_config(newer)
    with pytest.raises(
        RunError, match=r"/0: its settings are not those of this reslab .*newer_setting.*another run folder"
    ):
        _train(runner, [_short()], [0])


def test_what_another_command_finishes_between_two_waves_is_told_too(tmp_path: Path) -> None:
    source = _short(iterations=4)
    further = replace(_short(suffix="-further", iterations=4), start=Start(source, 0))
    told: list[str] = []

    def note(folder: RunFolder) -> None:
        if not told:
            _train(Runner(tmp_path, 1, _Counting()), [further], [0])  # the other command
        told.append(str(folder.config()["recipe"]))

    _train(Runner(tmp_path, 1, _Counting()), [source, further], [0], note)
    assert told == [source.name, further.name]


def test_a_run_that_another_command_begins_in_the_same_moment_is_left_to_it(tmp_path: Path) -> None:
    runner = Runner(tmp_path, 1, lambda *_: nullcontext(_Counting()))  # type: ignore[arg-type,return-value]
    folder = runner.folder(ArmRun(_short(), 0))

    @contextmanager
    def begin(name: str, iterations: int, batch_size: int) -> Iterator[Observer]:
        RunFolder.create(folder, {}, environment())
        yield _Counting()  # type: ignore[misc]

    with pytest.raises(RunError, match=r"/0 was started by another command at the same moment\. Wait for that command"):
        _train(replace(runner, observe=begin), [_short()], [0])


def test_a_job_that_was_killed_may_have_run_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(
        commands: Sequence[Sequence[str]], jobs: int, on_success: Any, on_failure: Callable[[int, int], None]
    ) -> int:
        on_failure(1, 128 + signal.SIGKILL)
        on_failure(0, 1)
        return 128 + signal.SIGKILL

    monkeypatch.setattr("reslab.experiments.runner.run_side_by_side", fail)
    killed = r"plain20\S* was not finished \(its process was ended by SIGKILL, .* fewer jobs\)"
    with pytest.raises(
        RunError, match=rf"{killed}; .*resnet20\S* was not finished \(exit code 1; its message is above\)"
    ):
        _train(Runner(tmp_path, 2, _Counting()), [_short(), _short("plain")], [0])


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_finished_run_is_told_once_and_at_once(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runner = Runner(tmp_path, jobs, _Counting())
    there, new = _short(iterations=4), _short("plain", iterations=4)
    diverging = replace(there, config=override(_short(suffix="-bad").config, {"optim": {"lr": 1e30}}))
    _train(Runner(tmp_path, 1, _Counting()), [there], [0])
    told: list[str] = []

    def note(folder: RunFolder) -> None:
        assert folder.result() is not None
        told.append(folder.path.parent.name)

    with pytest.raises(RunError, match="not finite" if jobs == 1 else "was not finished"):
        _train(runner, [new, diverging, there], [0], note)
    assert told == [arm.name for arm in (there, new)]


def test_a_run_that_another_command_finished_meanwhile_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    (folder,) = _train(Runner(kept, 1, _Counting()), [_short(iterations=4)], [0])["digits-resnet20"]

    def lose(
        commands: Sequence[Sequence[str]], jobs: int, on_success: Any, on_failure: Callable[[int, int], None]
    ) -> int:
        shutil.copytree(kept, tmp_path / "runs", dirs_exist_ok=True)
        for number in range(len(commands)):
            on_failure(number, 1)  # as of a job that found the run locked
        return len(commands)

    monkeypatch.setattr("reslab.experiments.runner.run_side_by_side", lose)
    told: list[RunFolder] = []
    _train(Runner(tmp_path / "runs", 2, _Counting()), [_short(iterations=4)], [0], told.append)
    assert [one.result() for one in told] == [folder.result()]


@pytest.fixture
def finishing_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `reslab` that puts a run's result in its place, where one was kept, and ends; else it stays."""
    package = tmp_path / "fake" / "reslab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import sys, time\nfrom pathlib import Path\nfolder = Path(sys.argv[sys.argv.index('--run-dir') + 1])\n"
        "if folder.exists():\n    (folder / 'kept.json').rename(folder / 'result.json')\n"
        "else:\n    folder.mkdir()\n    time.sleep(3600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package


def test_a_stop_when_the_last_run_of_a_round_has_ended_starts_no_other_round(
    tmp_path: Path, finishing_command: Path
) -> None:
    one = _short(iterations=4)
    (folder,) = _train(Runner(tmp_path, 1, _Counting()), [one], [0])[one.name]
    (folder.path / "result.json").rename(folder.path / "kept.json")
    with pytest.raises(Interrupted, match="the same command resumes"):
        _train(Runner(tmp_path, 2, _Counting()), [one], [0], lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert folder.result() is not None


def test_a_stop_of_jobs_that_do_not_listen_yet_is_no_failure(tmp_path: Path, finishing_command: Path) -> None:
    there, new = _short(iterations=4), _short("plain", iterations=4)
    (folder,) = _train(Runner(tmp_path, 1, _Counting()), [there], [0])[there.name]
    (folder.path / "result.json").rename(folder.path / "kept.json")
    runner = Runner(tmp_path, 2, _Counting())

    def stop(_: RunFolder) -> None:
        until(runner.folder(ArmRun(new, 0)).exists)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="the same command resumes"):
        _train(runner, [there, new], [0], stop)
