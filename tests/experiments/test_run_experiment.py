"""An experiment's records are written as runs end, never replaced by another training's, and its seeds never fewer."""

import json
import logging
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from reslab.artifacts.run_folder import RunFolder
from reslab.config import override, to_dict
from reslab.distributed import World
from reslab.errors import RunError, UsageError
from reslab.experiments.arms import Arm, Start, arm
from reslab.experiments.claims import normalization
from reslab.experiments.evidence import load_evidence, path_of, records_folder
from reslab.experiments.experiment import Bench, Experiment, Table, Verdict
from reslab.experiments.run_experiment import Setup, conduct, default_jobs
from reslab.experiments.runner import Runner
from reslab.runs.data import begin_data, data_facts
from reslab.system.files import sha256_of

SHORT: dict[str, Any] = {
    "train": {"iterations": 2, "log_every": 1, "checkpoint_every": 2, "batch_size": 16},
    "evaluation": {"every": 2},
}


def _tiny(suffix: str = "", **changes: Any) -> Arm:
    one = arm("digits", "resnet", 20, {**SHORT, "warmup": {"kind": "none"}, **changes}, suffix=suffix)
    return replace(one, config=override(one.config, {"model": {"num_blocks": [1, 1, 1]}}))


def _experiment(*arms: Arm, seeds: int = 1, measures: bool = False) -> Experiment:
    return Experiment(
        name="tiny", title="", claim="", source="", paper=(), rule="", caption="", seeds=seeds,
        judge=lambda evidence: Verdict("inconclusive", ""), table=lambda evidence: Table((), ()),
        draw=lambda evidence: Figure(), arms=lambda size: arms,
        measure_run=_hash if measures else None, measured=lambda size: arms[:1],
    )  # fmt: skip


def _hash(folder: RunFolder, bench: Bench) -> str:
    return sha256_of(folder.model_path)


def _setup(path: Path, *, runs: str = "runs", seeds: int | None = None) -> Setup:
    return Setup(path / runs, path / "results", None, seeds, 1, lambda *facts: nullcontext(_Silent()))  # type: ignore[arg-type]


class _Silent:
    def on_step(self, step: int, loss: Any) -> None: ...
    def on_row(self, row: dict[str, Any]) -> None: ...


def _record(path: Path, one: Arm, seed: int = 0) -> Path:
    return records_folder(path / "results") / one.name / f"{seed}.json"


def test_a_finished_runs_record_is_there_although_a_later_run_fails(tmp_path: Path) -> None:
    good, bad = _tiny(), _tiny("-diverging", optim={"lr": 1e30})
    with pytest.raises(RunError, match="not finite"):
        conduct(_experiment(good, bad), "digits", _setup(tmp_path))
    assert _record(tmp_path, good).exists()
    assert not _record(tmp_path, bad).exists()
    assert not path_of(tmp_path / "results", "tiny", "digits").exists()


def test_fewer_seeds_do_not_make_evidence_weaker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment = _experiment(_tiny(), measures=True)
    first = conduct(experiment, "digits", _setup(tmp_path, seeds=2))
    assert len(set(first.found("digits-resnet20"))) == 2
    with caplog.at_level(logging.INFO, "reslab"):
        again = conduct(experiment, "digits", _setup(tmp_path, seeds=1))
    assert again.num_seeds == 2
    assert again.found("digits-resnet20") == first.found("digits-resnet20")
    assert "holds 2 seeds, and all of them are there" in caplog.text
    _record(tmp_path, _tiny(), 1).unlink()
    before = path_of(tmp_path / "results", "tiny", "digits").read_bytes()
    with pytest.raises(UsageError, match=r"holds 2 seeds, not all of which are there; give --seeds 2 or another"):
        conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=1))
    assert path_of(tmp_path / "results", "tiny", "digits").read_bytes() == before


def test_a_record_stands_for_its_run_where_that_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    before = _record(tmp_path, _tiny()).read_bytes()
    with caplog.at_level(logging.INFO, "reslab"):
        again = conduct(_experiment(_tiny()), "digits", _setup(tmp_path, runs="elsewhere"))
    assert again.records == first.records
    assert "tiny (digits): 1 of 1 runs are there as records." in caplog.text
    assert not (tmp_path / "elsewhere").exists()
    assert _record(tmp_path, _tiny()).read_bytes() == before


def test_a_record_of_other_settings_stands_for_nothing_and_is_not_replaced(tmp_path: Path) -> None:
    conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    before = _record(tmp_path, _tiny()).read_bytes()
    with pytest.raises(UsageError, match=r"other settings \(optim.lr: 0.05 there, 0.01 now\). Give another"):
        conduct(_experiment(_tiny(optim={"lr": 0.01})), "digits", _setup(tmp_path))
    assert _record(tmp_path, _tiny()).read_bytes() == before


def test_seeds_are_added_where_the_first_ones_are_only_records(tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), _tiny("-other"), measures=True)
    first = conduct(experiment, "digits", _setup(tmp_path))
    more = conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
    assert [path.parent.name for path in (tmp_path / "elsewhere").glob("*/*/result.json")] == ["1", "1"]
    (name,) = more.of_runs
    (known,), (taken, new) = first.found(name), more.found(name)
    assert taken == known
    assert new == more.records[name][1].values["model_sha256"] != known


def _write(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_value_keeps_the_day_on_which_it_was_measured(tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    today = conduct(experiment, "digits", _setup(tmp_path)).made
    path = path_of(tmp_path / "results", "tiny", "digits")
    _write(path, {"made": {**today, "date": "2015-12-10"}})
    before = json.loads(path.read_text())
    conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere"))
    assert json.loads(path.read_text()) == before  # nothing was measured
    for _ in range(2):
        more = conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
        assert [one.made["date"] for one in more.of_runs["digits-resnet20"]] == ["2015-12-10", today["date"]]
    anew = conduct(experiment, "digits", _setup(tmp_path, seeds=2))  # the first seed's network is here
    assert [one.made["date"] for one in anew.of_runs["digits-resnet20"]] == [today["date"]] * 2


def test_what_is_measured_beside_the_runs_is_measured_each_time(tmp_path: Path) -> None:
    times = iter(range(9))
    experiment = replace(_experiment(_tiny(), measures=True), measure=lambda bench: {"time": next(times)})
    first = conduct(experiment, "digits", _setup(tmp_path))
    again = conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere"))
    assert (first.measured, again.measured) == ({"time": 0}, {"time": 1})
    assert again.found("digits-resnet20") == first.found("digits-resnet20")


def test_what_was_measured_with_other_constants_is_not_taken(tmp_path: Path) -> None:
    experiment = replace(_experiment(_tiny(), measures=True), how=lambda size: {"images": 10})
    conduct(experiment, "digits", _setup(tmp_path))
    other = replace(experiment, how=lambda size: {"images": 20})
    with pytest.raises(UsageError, match=r"in another way \(\{'images': 10\} there, \{'images': 20\} now\)"):
        conduct(other, "digits", _setup(tmp_path, runs="elsewhere"))
    conduct(other, "digits", _setup(tmp_path))  # the run is here
    conduct(other, "digits", _setup(tmp_path, runs="elsewhere"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 1}, "it is of seed 1"),
        ({"config": {**to_dict(_tiny().config), "newer": 1}}, "its settings are not those of this reslab: .*newer"),
        ({"model_sha256": None}, "its network is to be measured"),
        ({"model_sha256": "other"}, "its network is to be measured"),
    ],
)
def test_a_record_of_something_else_stands_for_nothing(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    conduct(experiment, "digits", _setup(tmp_path))
    _write(_record(tmp_path, _tiny()), changes)
    with pytest.raises(UsageError, match=rf"cannot stand for it: {reason}"):
        conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere"))


def test_a_want_of_memory_while_measuring_is_a_failure_and_what_was_trained_is_kept(tmp_path: Path) -> None:
    def greedy(folder: RunFolder, bench: Bench) -> Any:
        return bytearray(2**60)

    experiment = _experiment(_tiny(), measures=True)
    with pytest.raises(
        RunError, match=r"^tiny: what is measured does not fit into memory: MemoryError\. The runs are "
    ):
        conduct(replace(experiment, measure_run=greedy), "digits", _setup(tmp_path))
    (result,) = (tmp_path / "runs").rglob("result.json")
    before = result.stat().st_mtime_ns
    assert conduct(experiment, "digits", _setup(tmp_path)).of_runs
    assert result.stat().st_mtime_ns == before


def test_runs_and_records_of_unlike_data_are_not_compared(tmp_path: Path) -> None:
    experiment = _experiment(_tiny())
    conduct(experiment, "digits", _setup(tmp_path, seeds=2))
    path = _record(tmp_path, _tiny(), 1)
    _write(path, {"dataset": {**json.loads(path.read_text())["dataset"], "fingerprint": "other"}})
    with pytest.raises(UsageError, match=r"1\.json was trained on other data than .*0\.json"):
        conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
    _record(tmp_path, _tiny()).unlink()
    with pytest.raises(UsageError, match=r"1\.json was trained on other data than what is to be trained or measured"):
        conduct(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
    assert not (tmp_path / "elsewhere").exists()  # said before anything was trained


def test_a_run_of_unlike_data_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    experiment = _experiment(_tiny())
    conduct(experiment, "digits", _setup(tmp_path))
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").rglob("result.json")]
    environment = folder.environment()
    folder.write("environment.json", {**environment, "data": {**environment["data"], "fingerprint": "other"}})
    with pytest.raises(UsageError, match=r"/0 was trained on other data .*give the same --data, or another --run-dir"):
        conduct(experiment, "digits", _setup(tmp_path, seeds=2))
    assert len(list((tmp_path / "runs").rglob("config.json"))) == 1


def test_what_is_measured_beside_finished_runs_is_measured_on_their_data(tmp_path: Path) -> None:
    conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").rglob("result.json")]
    environment = folder.environment()
    folder.write("environment.json", {**environment, "data": {**environment["data"], "fingerprint": "other"}})
    measuring = replace(_experiment(_tiny()), measure=lambda bench: {"x": 1})
    shutil.rmtree(tmp_path / "results")
    with pytest.raises(UsageError, match=r"/0 was trained on other data than what is to be trained or measured"):
        conduct(measuring, "digits", _setup(tmp_path))


def test_signals_of_a_trained_net_are_measured_on_its_data_and_no_other(tmp_path: Path) -> None:
    conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").rglob("result.json")]
    bench = Bench("digits", None, torch.device("cpu"))
    assert len(normalization._measure_run(folder, bench)["gradient"]) == 7
    environment = folder.environment()
    folder.write("environment.json", {**environment, "data": {**environment["data"], "fingerprint": "other"}})
    with pytest.raises(RunError, match="is other data than"):
        normalization._measure_run(folder, bench)


def test_data_that_was_moved_is_looked_for_where_it_is_usual(data_root: Path, tmp_path: Path) -> None:
    config = override(_tiny().config, {"data": {"kind": "cifar10", "path": str(tmp_path / "gone")}})
    folder = RunFolder.create(tmp_path / "run", to_dict(config), {"data": {"fingerprint": None}, "sessions": []})
    assert len(Bench("small", None, torch.device("cpu")).data_of(folder).train) == 50_000


def test_evidence_whose_lists_do_not_fit_together_is_said_not_to_be_whole(tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    conduct(experiment, "digits", _setup(tmp_path, seeds=2))
    path = path_of(tmp_path / "results", "tiny", "digits")
    values = json.loads(path.read_text())
    for key in ("models", "of_runs"):
        _write(path, {**values, key: {arm: found[:1] for arm, found in values[key].items()}})
        with pytest.raises(RunError, match=f"not whole: '{key}' has other seeds .*reslab experiment tiny .*--seeds 2"):
            conduct(experiment, "digits", _setup(tmp_path, seeds=2))
    for key in ("arms", "models", "of_runs", "how"):
        _write(path, {**values, key: []})
        with pytest.raises(RunError, match=f"damaged: '{key}' is no object; remove it"):
            conduct(experiment, "digits", _setup(tmp_path, seeds=2))
    path.write_text(path.read_text()[:99])
    with pytest.raises(
        RunError, match=r"tiny-digits\.json: not a JSON file: .*remove it: 'reslab experiment' makes it"
    ):
        conduct(experiment, "digits", _setup(tmp_path, seeds=2))


def test_a_network_that_is_to_be_measured_cannot_be_stood_for_by_its_record(tmp_path: Path) -> None:
    conduct(_experiment(_tiny(), _tiny("-other")), "digits", _setup(tmp_path))
    elsewhere = _setup(tmp_path, runs="elsewhere")
    with pytest.raises(UsageError, match=r"resnet20/0\.json is .* its network is to be measured"):
        conduct(_experiment(_tiny(), _tiny("-other"), measures=True), "digits", elsewhere)
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_cannot_start_from_a_record(tmp_path: Path) -> None:
    source, like = _tiny(), _tiny("-further")
    further = replace(like, start=Start(source, 0))
    conduct(_experiment(source), "digits", _setup(tmp_path))
    with pytest.raises(UsageError, match=r"resnet20/0\.json is .* another run goes on from its weights"):
        conduct(_experiment(source, further), "digits", _setup(tmp_path, runs="elsewhere"))
    assert not (tmp_path / "elsewhere").exists()
    first = conduct(_experiment(source, further), "digits", _setup(tmp_path))
    again = conduct(_experiment(source, further), "digits", _setup(tmp_path, runs="elsewhere"))
    assert again.records == first.records  # it has been trained: nothing is to go on any more
    _record(tmp_path, source).unlink()
    with pytest.raises(UsageError, match=r"further/0\.json is .* does not say of which network it goes on"):
        conduct(_experiment(source, further), "digits", _setup(tmp_path, runs="elsewhere"))


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
    with pytest.raises(RunError, match=r"other networks than the records of digits-resnet20 .*reslab experiment tiny"):
        load_evidence(path)
    for version in (1, 3):
        path.write_text(json.dumps({**document, "format_version": version}))
        with pytest.raises(RunError, match=rf"version {version}, this reslab reads 2; .* tiny --size digits --seeds 1"):
            load_evidence(path)


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
    warning = rf"was computed in fp16.*, .*0.json in {theirs}.*unlike runs are compared"
    assert re.search(warning, caplog.text)
    caplog.clear()
    (folder.path.with_name("0") / "result.json").unlink()
    conduct(_experiment(_tiny()), "digits", setup)  # now the first is only a record
    assert re.search(warning, caplog.text)


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (64, 8)])
def test_the_digits_networks_are_trained_one_on_each_core(
    threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert default_jobs("digits") == expected
    assert default_jobs("small") == default_jobs("paper") == 1


def test_a_measurement_that_is_not_finite_names_its_run(tmp_path: Path) -> None:
    overflowing = replace(_experiment(_tiny()), measure_run=lambda folder, bench: {"std": [1.0, float("inf")]})
    with pytest.raises(RunError, match=r"digits-resnet20-\w+/0: what was measured on its network is not finite"):
        conduct(overflowing, "digits", _setup(tmp_path))
    assert _record(tmp_path, _tiny()).exists()
    assert not path_of(tmp_path / "results", "tiny", "digits").exists()


def test_a_want_of_memory_is_told_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*facts: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    one = replace(_experiment(_tiny()), measure_run=exhaust)
    with pytest.raises(
        RunError, match=r"tiny: what is measured does not fit into memory: CUDA out of memory.*GiB\. The"
    ):
        conduct(one, "digits", _setup(tmp_path))
    monkeypatch.setattr("reslab.train.Trainer.fit", exhaust)
    with pytest.raises(
        RunError, match=r"the training of .* does not fit into memory: .*--compute.checkpoint_activations"
    ):
        conduct(_experiment(_tiny("-other")), "digits", _setup(tmp_path))


@pytest.mark.parametrize("is_record", [True, False])
def test_a_record_and_an_evidence_that_are_not_whole_are_named(tmp_path: Path, is_record: bool) -> None:
    path = path_of(tmp_path / "results", "tiny", "digits")
    conduct(_experiment(_tiny()), "digits", _setup(tmp_path))
    damaged = _record(tmp_path, _tiny()) if is_record else path
    values = json.loads(damaged.read_text(encoding="utf-8"))
    del values["seed" if is_record else "models"]
    damaged.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(RunError, match=rf"{damaged.name}: not .*whole.*, without {'seed' if is_record else 'models'}"):
        load_evidence(path)


def test_a_run_is_measured_on_its_data_where_that_is_now(tmp_path: Path) -> None:
    for place, side in (("old", 8), ("other", 40)):
        for name in ("cat", "dog"):
            (tmp_path / place / "train" / name).mkdir(parents=True)
            for number in range(4):
                picture = np.full((side, side, 3), number, np.uint8)
                Image.fromarray(picture).save(tmp_path / place / "train" / name / f"{number}.png")
    config = override(
        _tiny().config, {"data": {"kind": "folder", "path": str(tmp_path / "old"), "photos": {"size": 8}}}
    )
    facts = data_facts(begin_data(config.data, World()))
    folder = RunFolder.create(tmp_path / "run", to_dict(config), {"data": facts, "sessions": []})
    shutil.move(tmp_path / "old", tmp_path / "new")
    cpu = torch.device("cpu")
    found = Bench("small", str(tmp_path / "new"), cpu).data_of(folder)
    assert found.train.fingerprint() == facts["fingerprint"]
    with pytest.raises(RunError, match="old does not exist"):
        Bench("small", None, cpu).data_of(folder)
    with pytest.raises(RunError, match=r"other is other data than .*run was trained on"):
        Bench("small", str(tmp_path / "other"), cpu).data_of(folder)
