"""The demo's verdict follows from what was measured, whichever way it falls."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from reslab import RunConfig, override
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.config import from_dict
from reslab.errors import UsageError
from reslab.experiments import arms, demo
from reslab.experiments.claims import degradation
from reslab.experiments.demo import Demo, run_demo
from reslab.recipes.digits import digits
from reslab.system.progress import TrainProgress

from .evidence import made_up


@pytest.mark.parametrize(
    ("plain56", "resnet56", "head"),
    [
        (
            (31.0, 35.0, 39.0),
            (0.0, 0.1, 0.0),
            "Plain nets: reproduced, the deeper one trains worse. Residual nets: reproduced, the deeper one trains as ",
        ),
        (
            (31.0, 35.0, 39.0),
            (20.0, 21.0, 19.0),
            "Plain nets: reproduced, the deeper one trains worse. Residual nets: not reproduced, the deeper one ",
        ),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "Plain nets: not reproduced, the deeper one does not train worse."),
        ((0.0, 1.0, 2.0), (0.0, 0.0, 0.0), "Plain nets: undecided: more than 1,000 more seeds would be needed."),
        ((31.0,), (0.0,), "One seed has no interval and is only an example: more time or more seeds would decide."),
    ],
)
def test_the_verdict_is_that_of_the_experiment(
    plain56: Sequence[float], resnet56: Sequence[float], head: str, tmp_path: Path
) -> None:
    seeds = len(plain56)
    errors = ((0.0,) * seeds, plain56, (0.0,) * seeds, resnet56)
    arms = degradation.judged_arms("digits")
    evidence = made_up("degradation", {a: [(e, e) for e in es] for a, es in zip(arms, errors, strict=True)})
    verdicts = degradation.judge_gaps(evidence)
    done = Demo(tuple(RunFolder(tmp_path) for _ in range(4 * seeds)), verdicts)
    first, numbers, rule = done.sentences
    assert first.startswith(head)
    assert numbers == " ".join(verdict.sentence for verdict in verdicts)
    assert degradation.EXPERIMENT.rule.startswith(rule)


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of networks with a block in each stage."""

    def config(kind: str, depth: int) -> RunConfig:
        train = {"iterations": 2, "log_every": 1, "batch_size": 16}
        changes = {"train": train, "model": {"num_blocks": [1, 1, 1]}, "warmup": {"kind": "none"}}
        return override(digits(kind, depth), changes)

    monkeypatch.setitem(arms._RECIPES, "digits", config)


def test_the_command_trains_and_shows_table_verdict_and_page_and_trains_nothing_twice(
    tiny_networks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--run-dir", str(tmp_path), "--seeds", "1"]
    assert run(command) == 0
    first = capsys.readouterr()
    for text in (
        "digits-plain20",
        "digits-resnet56",
        "training error %",
        "One seed has no interval",
        f"page: {tmp_path}/index.html",
    ):
        assert text in first.out
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    verdict = next(line for line in first.out.splitlines() if "One seed has no interval" in line)
    assert verdict in page
    assert "<svg" in page
    assert len(list(tmp_path.glob("*/*/report.html"))) == 4
    models = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/model.safetensors")}
    assert run(command) == 0
    assert capsys.readouterr().out == first.out
    assert models == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/model.safetensors")}


def test_a_round_that_would_not_fit_into_the_time_is_not_begun(
    tiny_networks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 15))  # each look at it is 15 s later
    monkeypatch.setattr(demo, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    silent = SimpleNamespace(on_step=lambda step, loss: None, on_row=lambda row: None)
    done = run_demo(tmp_path, minutes=1.0, max_seeds=5, observe=lambda *_: nullcontext(silent))  # type: ignore[arg-type]
    seeds = {from_dict(folder.config()).seed for folder in done.folders}
    assert seeds == set(range(len(done.folders) // 4))
    assert 1 <= len(seeds) < 5


def test_no_seeds_and_no_time_are_refused(tmp_path: Path) -> None:
    for minutes, seeds in ((1.0, 0), (0.0, 1)):
        with pytest.raises(UsageError, match="at least 1 seed, more than 0 minutes"):
            run_demo(tmp_path, minutes=minutes, max_seeds=seeds, observe=TrainProgress)


@pytest.mark.slow
def test_deeper_plain_nets_train_worse_and_residual_ones_do_not(tmp_path: Path) -> None:
    done = run_demo(tmp_path, minutes=60, max_seeds=3, observe=TrainProgress)
    assert [verdict.outcome for verdict in done.verdicts] == ["reproduced"] * 2
