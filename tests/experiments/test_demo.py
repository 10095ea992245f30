"""The demo's verdict follows from what was measured, whichever way it falls."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from reslab import RunConfig, override, recipe
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.errors import UsageError
from reslab.experiments import demo
from reslab.experiments.demo import Verdict, judge, run_demo
from reslab.system.progress import make_progress


def _run(path: Path, recipe: str, seed: int, error: float) -> RunFolder:
    folder = RunFolder.create(path / recipe / str(seed), {"recipe": recipe}, {})
    folder.write("result.json", {"recipe": recipe, "seed": seed, "final": {"train": {"error": error}}})
    return folder


@pytest.mark.parametrize(
    ("plain56", "resnet56", "head"),
    [
        ([31.0, 55.0], [0.0, 0.1], "Reproduced"),
        ([31.0, 55.0], [0.0, 9.0], "Partly reproduced"),
        ([31.0, 55.0], [-3.0, 4.5], "Partly reproduced"),  # below the margin on average
        ([31.0, 0.5], [0.0, 0.0], "Not reproduced"),
        ([0.0, 0.0], [0.0, 0.0], "Not reproduced"),
    ],
)
def test_the_verdict_follows_its_rule(tmp_path: Path, plain56: list[float], resnet56: list[float], head: str) -> None:
    folders = []
    for seed in (0, 1):
        folders += [_run(tmp_path, f"digits-{kind}20", seed, 0.0) for kind in ("plain", "resnet")]
        folders += [
            _run(tmp_path, "digits-plain56", seed, plain56[seed]),
            _run(tmp_path, "digits-resnet56", seed, resnet56[seed]),
        ]
    verdict = judge(folders)
    assert verdict.gaps == {"plain": tuple(plain56), "resnet": tuple(resnet56)}
    assert verdict.sentences[0].startswith(head)


def test_the_numbers_in_the_sentences_are_the_means() -> None:
    verdict = Verdict({"plain": (30.0, 50.0), "resnet": (0.25, -0.05)})
    assert (
        "+40.00 points in plain nets and by +0.10 points in residual nets (mean over 2 seeds)" in verdict.sentences[1]
    )


def test_of_residual_nets_that_degrade_it_is_said_whether_all_do() -> None:
    head = "Partly reproduced: the deeper plain net trains worse, but so does the deeper residual net"
    assert Verdict({"plain": (30.0, 50.0), "resnet": (2.0, 3.0)}).sentences[0] == f"{head}."
    assert Verdict({"plain": (30.0, 50.0), "resnet": (0.0, 3.0)}).sentences[0] == f"{head} with some of the seeds."


def test_one_seed_is_called_an_example() -> None:
    assert (
        Verdict({"plain": (30.0,), "resnet": (0.25,)})
        .sentences[0]
        .endswith("This is one seed: an example, and no proof.")
    )
    assert "example" not in Verdict({"plain": (30.0, 40.0), "resnet": (0.25, 0.5)}).sentences[0]


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of networks with a block in each stage."""

    def config(kind: str, depth: int, seed: int) -> RunConfig:
        train = {"iterations": 2, "log_every": 1, "batch_size": 16}
        changes = {"seed": seed, "train": train, "model": {"num_blocks": [1, 1, 1]}, "warmup": {"kind": "none"}}
        return override(recipe(f"digits-{kind}{depth}"), changes)

    monkeypatch.setattr(demo, "_config", config)


def test_the_command_trains_and_shows_table_verdict_and_page_and_trains_nothing_twice(
    tiny_networks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--run-dir", str(tmp_path), "--seeds", "1"]
    assert run(command) == 0
    first = capsys.readouterr()
    for text in ("digits-plain20", "digits-resnet56", "training error %", "eproduced", f"page: {tmp_path}/index.html"):
        assert text in first.out
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    verdict = next(line for line in first.out.splitlines() if "eproduced" in line)
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
    seeds = {folder.config()["seed"] for folder in done.folders}
    assert seeds == set(range(len(done.folders) // 4))
    assert 1 <= len(seeds) < 5


def test_no_seeds_and_no_time_are_refused(tmp_path: Path) -> None:
    for minutes, seeds in ((1.0, 0), (0.0, 1)):
        with pytest.raises(UsageError, match="at least 1 seed, more than 0 minutes"):
            run_demo(tmp_path, minutes=minutes, max_seeds=seeds, observe=make_progress)


@pytest.mark.slow
def test_deeper_plain_nets_train_worse_and_residual_ones_do_not(tmp_path: Path) -> None:
    done = run_demo(tmp_path, minutes=0.1, max_seeds=1, observe=make_progress)
    assert done.verdict.sentences[0].startswith("Reproduced")
