"""An experiment's records are written as runs end, never replaced by another training's, and its seeds never fewer."""

import json
import logging
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from reslab.config import override
from reslab.errors import Failure, UsageError
from reslab.experiments.arms import Arm, arm
from reslab.experiments.conduct import Setup, conduct, default_jobs
from reslab.experiments.evidence import load_evidence, path_of, records_folder
from reslab.experiments.experiment import Bench, Experiment, Table, Verdict
from reslab.experiments.runner import Runner
from reslab.runfolder import RunFolder

SHORT = {"iterations": 2, "log_every": 1, "evaluate_every": 2, "checkpoint_every": 2, "batch_size": 16}


def _tiny(suffix: str = "", **changes: Any) -> Arm:
    one = arm("digits", "resnet", 20, {"train": SHORT, "warmup": {"kind": "none"}, **changes}, suffix=suffix)
    return replace(one, config=override(one.config, {"model": {"num_blocks": [1, 1, 1]}}))


def _experiment(*arms: Arm, seeds: int = 1, measures: bool = False) -> Experiment:
    return Experiment(
        name="tiny", title="", claim="", source="", paper=(), rule="", caption="", seeds=seeds,
        judge=lambda evidence: Verdict("inconclusive", ""), table=lambda evidence: Table((), ()),
        draw=lambda evidence: Figure(), arms=lambda size: arms,
        measure=_count_runs if measures else None,
    )  # fmt: skip


def _count_runs(bench: Bench) -> dict[str, Any]:
    return {"nets": {name: len(runs) for name, runs in bench.folders.items()}}


def _setup(path: Path, *, runs: str = "runs", seeds: int | None = None) -> Setup:
    return Setup(path / runs, path / "results", None, seeds, 1, lambda *facts: nullcontext(_Silent()))  # type: ignore[arg-type]


class _Silent:
    def on_step(self, step: int, loss: Any) -> None: ...
    def on_row(self, row: dict[str, Any]) -> None: ...


def _record(path: Path, one: Arm, seed: int = 0) -> Path:
    return records_folder(path / "results") / one.name / f"{seed}.json"


def test_a_finished_runs_record_is_there_although_a_later_run_fails(tmp_path: Path) -> None:
    good, bad = _tiny(), _tiny("-diverging", optim={"lr": 1e30})
    with pytest.raises(Failure, match="not finite"):
        conduct(_experiment(good, bad), "digits", _setup(tmp_path))
    assert _record(tmp_path, good).exists()
    assert not _record(tmp_path, bad).exists()
    assert not path_of(tmp_path / "results", "tiny", "digits").exists()


def test_fewer_seeds_do_not_make_evidence_weaker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment = _experiment(_tiny(), measures=True)
    assert conduct(experiment, "digits", _setup(tmp_path, seeds=2)).measured == {"nets": {"digits-resnet20": 2}}
    with caplog.at_level(logging.INFO, "reslab"):
        again = conduct(experiment, "digits", _setup(tmp_path, seeds=1))
    assert again.num_seeds == 2
    assert again.measured == {"nets": {"digits-resnet20": 2}}
    assert "holds 2 seeds, and their runs are there" in caplog.text
    before = path_of(tmp_path / "results", "tiny", "digits").read_bytes()
    with pytest.raises(UsageError, match=r"holds 2 seeds; give --seeds 2 or another --results"):
        conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=1))
    assert path_of(tmp_path / "results", "tiny", "digits").read_bytes() == before


def test_what_has_a_record_from_elsewhere_is_not_trained_again(tmp_path: Path) -> None:
    conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    before = _record(tmp_path, _tiny()).read_bytes()
    for changed, runs in ((_tiny(), "elsewhere"), (_tiny(optim={"lr": 0.01}), "runs")):
        with pytest.raises(UsageError, match=r"is the record of a run that is not below .* or another --results"):
            conduct(_experiment(changed), "digits", _setup(tmp_path, runs=runs))
    assert not (tmp_path / "elsewhere").exists()
    assert _record(tmp_path, _tiny()).read_bytes() == before


def test_a_finished_run_does_not_replace_the_record_of_another(tmp_path: Path) -> None:
    conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    path = _record(tmp_path, _tiny())
    path.write_text(path.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(UsageError, match="holds the result of another training"):
        conduct(_experiment(_tiny()), "digits", _setup(tmp_path))


def test_evidence_measured_on_other_networks_than_the_records_is_refused(tmp_path: Path) -> None:
    evidence = conduct(_experiment(_tiny(), measures=True), "digits", _setup(tmp_path))
    path = path_of(tmp_path / "results", "tiny", "digits")
    document = json.loads(path.read_text())
    assert document["models"] == {"digits-resnet20": [evidence.records["digits-resnet20"][0].values["model_sha256"]]}
    record = _record(tmp_path, _tiny())
    record.write_text(record.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(Failure, match=r"other networks than the records of digits-resnet20 .*reslab experiment tiny"):
        load_evidence(path)
    del document["models"]
    path.write_text(json.dumps(document))
    assert load_evidence(path).num_seeds == 1  # older evidence, which does not say


def test_runs_in_another_precision_are_warned_of_as_they_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup = _setup(tmp_path, seeds=2)
    evidence = conduct(_experiment(_tiny()), "digits", setup)
    assert "unlike runs" not in caplog.text
    folder = RunFolder.open(Runner(setup.runs, 1, setup.observe).folder(_tiny(), 1))
    environment = folder.environment()
    environment["sessions"][0]["precision"] = "fp16"
    folder.write("environment.json", environment)
    conduct(_experiment(_tiny()), "digits", setup)
    theirs = evidence.records["digits-resnet20"][0].environment()["sessions"][0]["precision"]
    assert re.search(rf"was computed in fp16.*, the run before it in {theirs}.*unlike runs are compared", caplog.text)


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (64, 8)])
def test_the_digits_networks_are_trained_one_on_each_core(
    threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert default_jobs("digits") == expected
    assert default_jobs("small") == default_jobs("paper") == 1
