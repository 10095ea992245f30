"""An experiment's records are written as runs end, never replaced by another training's, and its seeds never fewer."""

import datetime
import json
import logging
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
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
from reslab.experiments.arms import FIRST_SEED, Arm, ArmRun, Start, make_arm
from reslab.experiments.claims import normalization
from reslab.experiments.evidence import AnyEvidence
from reslab.experiments.experiment import (
    AnyExperiment,
    Bench,
    Experiment,
    NetworkMeasurement,
    ResultTable,
    SingleMeasurement,
)
from reslab.experiments.record_store import RecordStore, evidence_path
from reslab.experiments.run_experiment import Setup, default_jobs, run_experiment
from reslab.experiments.runner import Runner
from reslab.experiments.verdict import Verdict
from reslab.runs.data import begin_data, data_facts
from reslab.system.files import sha256_of
from tests.artifacts.made_up import environment

SHORT: dict[str, Any] = {
    "train": {"iterations": 2, "log_every": 1, "checkpoint_every": 2, "batch_size": 16},
    "evaluation": {"every": 2},
}


@pytest.fixture(autouse=True)
def from_seed_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIRST_SEED, "digits", 0)


def _tiny(suffix: str = "", **changes: Any) -> Arm:
    one = make_arm("digits", "resnet", 20, {**SHORT, "warmup": {"kind": "none"}, **changes}, suffix=suffix)
    return replace(one, config=override(one.config, {"model": {"num_blocks": [1, 1, 1]}}))


def _experiment(*arms: Arm, seeds: int = 1, measures: bool = False) -> AnyExperiment:
    return Experiment(
        name="tiny", title="", claim="", source="", paper=(), rule="", caption="", seeds=lambda size: seeds,
        judge=lambda evidence: [Verdict(outcome="undecided", sentence="")], table=lambda evidence: ResultTable((), ()),
        draw=lambda evidence: Figure(), arms=lambda size: arms,
        networks=NetworkMeasurement(form=str, measure=_hash, arms=lambda size: arms[:1]) if measures else None,
    )  # fmt: skip


def _measuring(experiment: AnyExperiment, measure: Callable[[RunFolder, Bench], Any], form: Any = str) -> AnyExperiment:
    return replace(experiment, networks=NetworkMeasurement(form=form, measure=measure))


def _hash(folder: RunFolder, bench: Bench) -> str:
    return sha256_of(folder.model_path)


def _setup(path: Path, *, runs: str = "runs", seeds: int | None = None) -> Setup:
    return Setup(path / runs, path / "results", None, seeds, 1, lambda *facts: nullcontext(_Silent()))  # type: ignore[arg-type]


class _Silent:
    def on_step(self, step: int, loss: Any) -> None: ...
    def on_row(self, row: dict[str, Any]) -> None: ...


def _record(path: Path, one: Arm, seed: int = 0) -> Path:
    return path / "results" / "records" / one.name / f"{seed}.json"


def _evidence(path: Path) -> Path:
    return evidence_path(path / "results", "tiny", "digits")


def _load(path: Path, experiment: AnyExperiment) -> AnyEvidence:
    return RecordStore.open(path / "results", experiment, "digits").load()


def test_a_finished_runs_record_is_there_although_a_later_run_fails(tmp_path: Path) -> None:
    good, bad = _tiny(), _tiny("-diverging", optim={"lr": 1e30})
    with pytest.raises(RunError, match="not finite"):
        run_experiment(_experiment(good, bad), "digits", _setup(tmp_path))
    assert _record(tmp_path, good).exists()
    assert not _record(tmp_path, bad).exists()
    assert not _evidence(tmp_path).exists()


def test_seeds_that_the_rules_have_seen_are_neither_trained_nor_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = _experiment(_tiny())
    run_experiment(experiment, "digits", _setup(tmp_path))
    assert _load(tmp_path, experiment).document.first_seed == 0
    monkeypatch.setitem(FIRST_SEED, "digits", 3)
    fresh = run_experiment(experiment, "digits", _setup(tmp_path, seeds=2))
    assert [record.document.seed for record in fresh.records[_tiny().name]] == [3, 4]
    assert _record(tmp_path, _tiny(), 0).exists()  # kept, though no verdict rests on it


def test_fewer_seeds_do_not_make_evidence_weaker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment = _experiment(_tiny(), measures=True)
    first = run_experiment(experiment, "digits", _setup(tmp_path, seeds=2))
    assert len(set(first.on_networks("digits-resnet20"))) == 2
    with caplog.at_level(logging.INFO, "reslab"):
        again = run_experiment(experiment, "digits", _setup(tmp_path, seeds=1))
    assert again.num_seeds == 2
    assert again.on_networks("digits-resnet20") == first.on_networks("digits-resnet20")
    assert "holds 2 seeds, and they all count, not only 1" in caplog.text


def test_a_record_is_used_instead_of_a_run_that_is_not_on_this_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path))
    before = _record(tmp_path, _tiny()).read_bytes()
    with caplog.at_level(logging.INFO, "reslab"):
        again = run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path, runs="elsewhere"))
    assert again.records == first.records
    assert "tiny (digits): uses the records of 1 of 1 runs." in caplog.text
    assert not (tmp_path / "elsewhere").exists()
    assert _record(tmp_path, _tiny()).read_bytes() == before


def test_what_was_trained_with_other_settings_is_neither_used_nor_replaced(tmp_path: Path) -> None:
    run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path))
    before = _record(tmp_path, _tiny()).read_bytes()
    other = _experiment(_tiny(optim={"lr": 0.01}), _tiny("-new"))
    why = r"other settings \(optim.lr: 0.05 recorded, 0.01 now\)"
    with pytest.raises(RunError, match=rf"runs/digits-resnet20/0 was trained with {why}\. Remove it"):
        run_experiment(other, "digits", _setup(tmp_path))
    with pytest.raises(
        UsageError, match=rf"records/digits-resnet20/0\.json cannot be used .*: it was trained with {why}"
    ):
        run_experiment(other, "digits", _setup(tmp_path, runs="elsewhere"))
    assert _record(tmp_path, _tiny()).read_bytes() == before
    assert len(list(tmp_path.rglob("result.json"))) == 1  # nothing was trained


def test_seeds_are_added_where_the_first_ones_are_only_records(tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), _tiny("-other"), measures=True)
    first = run_experiment(experiment, "digits", _setup(tmp_path))
    more = run_experiment(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
    assert [path.parent.name for path in (tmp_path / "elsewhere").glob("*/*/result.json")] == ["1", "1"]
    (known,), (taken, new) = first.on_networks(name := _tiny().name), more.on_networks(name)
    assert taken == known
    assert new == more.records[name][1].document.model_sha256 != known


def _write(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_network_is_measured_once_and_the_value_keeps_its_day(tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    run_experiment(experiment, "digits", _setup(tmp_path))
    path = _evidence(tmp_path)
    path.write_text(path.read_text().replace(datetime.date.today().isoformat(), "2015-12-10"))
    before = json.loads(path.read_text())
    for runs in ("runs", "elsewhere"):
        run_experiment(experiment, "digits", _setup(tmp_path, runs=runs))
        assert json.loads(path.read_text()) == before
    for _ in range(2):
        more = run_experiment(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
        dates = [measured.made.date for measured in more.document.networks.values()]
        assert dates == ["2015-12-10", datetime.date.today().isoformat()]


def test_what_is_measured_next_to_the_runs_is_measured_each_time(tmp_path: Path) -> None:
    times = iter(range(9))
    once = SingleMeasurement(int, lambda bench: next(times))
    experiment = replace(_experiment(_tiny(), measures=True), once=once)
    first = run_experiment(experiment, "digits", _setup(tmp_path))
    again = run_experiment(experiment, "digits", _setup(tmp_path, runs="elsewhere"))
    assert (first.next_to_runs, again.next_to_runs) == (0, 1)
    assert again.on_networks("digits-resnet20") == first.on_networks("digits-resnet20")


def test_what_was_measured_with_other_constants_is_not_used(tmp_path: Path) -> None:
    def with_images(images: int) -> AnyExperiment:
        measurement = NetworkMeasurement(form=str, measure=_hash, constants=lambda size: {"images": images})
        return replace(_experiment(_tiny()), networks=measurement)

    run_experiment(with_images(10), "digits", _setup(tmp_path))
    with pytest.raises(
        UsageError, match=r"its network is to be measured with images 20, and a record holds no weights"
    ):
        run_experiment(with_images(20), "digits", _setup(tmp_path, runs="elsewhere"))
    run_experiment(with_images(20), "digits", _setup(tmp_path))  # the run is on this machine
    run_experiment(with_images(20), "digits", _setup(tmp_path, runs="elsewhere"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 1}, "it is of seed 1"),
        ({"config": {**to_dict(_tiny().config), "newer": 1}}, "its settings are not those of this reslab: .*newer"),
        ({"model_sha256": "other"}, "its network is to be measured"),
    ],
)
def test_a_record_of_something_else_is_not_used(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    run_experiment(experiment, "digits", _setup(tmp_path))
    _write(_record(tmp_path, _tiny()), changes)
    with pytest.raises(UsageError, match=rf"cannot be used instead of its run, .*: {reason}"):
        run_experiment(experiment, "digits", _setup(tmp_path, runs="elsewhere"))


def test_running_out_of_memory_while_measuring_keeps_what_was_trained(tmp_path: Path) -> None:
    def greedy(folder: RunFolder, bench: Bench) -> Any:
        return bytearray(2**60)

    experiment = _experiment(_tiny(), measures=True)
    with pytest.raises(RunError, match=r"^tiny: what is measured.*MemoryError"):
        run_experiment(_measuring(experiment, greedy), "digits", _setup(tmp_path))
    (result,) = (tmp_path / "runs").rglob("result.json")
    before = result.stat().st_mtime_ns
    assert run_experiment(experiment, "digits", _setup(tmp_path)).document.networks
    assert result.stat().st_mtime_ns == before


def test_runs_and_records_of_unlike_data_are_not_compared(tmp_path: Path) -> None:
    experiment = _experiment(_tiny())
    run_experiment(experiment, "digits", _setup(tmp_path, seeds=2))
    path = _record(tmp_path, _tiny(), 1)
    _write(path, {"dataset": {**json.loads(path.read_text())["dataset"], "fingerprint": "other"}})
    with pytest.raises(UsageError, match=r"1\.json was trained on different data .*other, .*0\.json has"):
        run_experiment(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
    _record(tmp_path, _tiny()).unlink()
    with pytest.raises(UsageError, match=r"1\.json was trained on different data .*the data at hand has"):
        run_experiment(experiment, "digits", _setup(tmp_path, runs="elsewhere", seeds=2))
    assert not (tmp_path / "elsewhere").exists()  # said before anything was trained


def _of_other_data(folder: RunFolder) -> None:
    known = folder.environment()
    folder.write_environment(replace(known, data=replace(known.data, fingerprint="other")))


def test_a_run_of_unlike_data_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    experiment = _experiment(_tiny())
    run_experiment(experiment, "digits", _setup(tmp_path))
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").rglob("result.json")]
    _of_other_data(folder)
    with pytest.raises(UsageError, match=r"/0 was trained on different data .*original data, or choose"):
        run_experiment(experiment, "digits", _setup(tmp_path, seeds=2))
    assert len(list((tmp_path / "runs").rglob("config.json"))) == 1


def test_what_is_measured_next_to_finished_runs_is_measured_on_their_data(tmp_path: Path) -> None:
    run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path))
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").rglob("result.json")]
    _of_other_data(folder)
    measuring = replace(_experiment(_tiny()), once=SingleMeasurement(int, lambda bench: 1))
    shutil.rmtree(tmp_path / "results")
    with pytest.raises(UsageError, match=r"/0 was trained on different data .*the data at hand has"):
        run_experiment(measuring, "digits", _setup(tmp_path))


def test_signals_of_a_trained_net_are_measured_on_its_data_and_no_other(tmp_path: Path) -> None:
    run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path))
    (folder,) = [RunFolder(path.parent) for path in (tmp_path / "runs").rglob("result.json")]
    bench = Bench("digits", None, torch.device("cpu"))
    assert len(normalization._measure(folder, bench).gradient) == 7
    _of_other_data(folder)
    with pytest.raises(RunError, match="was trained on different data"):
        normalization._measure(folder, bench)


def test_data_that_was_moved_is_looked_for_where_it_is_usual(data_root: Path, tmp_path: Path) -> None:
    config = override(_tiny().config, {"data": {"kind": "cifar10", "path": str(tmp_path / "gone")}})
    there = override(config, {"data": {"path": None}}).data
    facts = environment(data=data_facts(begin_data(there, World())))
    folder = RunFolder.create(tmp_path / "run", to_dict(config), facts)
    assert len(Bench("small", None, torch.device("cpu")).data_of(folder).train) == 50_000


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"models": {"digits-resnet20": "x"}}, "models.digits-resnet20: Input should be a valid "),
        ({"constants": []}, "constants: Input should be "),
        ({"networks": {"x": {"value": "y"}}}, "networks.x.made: "),
        ({"newer": 1}, "newer: "),
        ({"format_version": 1}, "format version is 1; this reslab reads versions 2 and 3"),
        ({"format_version": 2}, "damaged: not a whole document of format version 2"),
        ({"models": {}}, "it is not of the same networks"),
        ({"networks": {}}, r"the network of .*digits-resnet20/0\.json was not measured"),
    ],
)
def test_what_is_wrong_with_an_evidence_file_is_named(values: dict[str, Any], reason: str, tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    run_experiment(experiment, "digits", _setup(tmp_path))
    _write(_evidence(tmp_path), values)
    with pytest.raises(RunError, match=rf"tiny-digits\.json.*: {reason}|tiny-digits\.json.*{reason}"):
        _load(tmp_path, experiment)


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    experiment = _experiment(_tiny())
    run_experiment(experiment, "digits", _setup(tmp_path))
    path = _evidence(tmp_path)
    path.write_text(path.read_text()[:99])
    with pytest.raises(RunError, match=r"tiny-digits\.json: not a JSON file"):
        run_experiment(experiment, "digits", _setup(tmp_path))


def test_a_network_that_is_to_be_measured_needs_its_run(tmp_path: Path) -> None:
    run_experiment(_experiment(_tiny(), _tiny("-other")), "digits", _setup(tmp_path))
    elsewhere = _setup(tmp_path, runs="elsewhere")
    with pytest.raises(UsageError, match=r"resnet20/0\.json cannot be used .*: its network is to be measured"):
        run_experiment(_experiment(_tiny(), _tiny("-other"), measures=True), "digits", elsewhere)
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_cannot_start_from_a_record(tmp_path: Path) -> None:
    source, like = _tiny(), _tiny("-further")
    further = replace(like, start=Start(source, 0))
    run_experiment(_experiment(source), "digits", _setup(tmp_path))
    with pytest.raises(UsageError, match=r"resnet20/0\.json cannot be used .*: another run starts from its weights"):
        run_experiment(_experiment(source, further), "digits", _setup(tmp_path, runs="elsewhere"))
    assert not (tmp_path / "elsewhere").exists()
    first = run_experiment(_experiment(source, further), "digits", _setup(tmp_path))
    again = run_experiment(_experiment(source, further), "digits", _setup(tmp_path, runs="elsewhere"))
    assert again.records == first.records  # it has been trained: nothing starts any more
    _record(tmp_path, source).unlink()
    with pytest.raises(UsageError, match=r"further/0\.json cannot be used .*: it does not say from which network"):
        run_experiment(_experiment(source, further), "digits", _setup(tmp_path, runs="elsewhere"))


def test_a_finished_run_does_not_replace_the_record_of_another(tmp_path: Path) -> None:
    run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path))
    path = _record(tmp_path, _tiny())
    path.write_text(path.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(UsageError, match="holds the result of a training other than"):
        run_experiment(_experiment(_tiny()), "digits", _setup(tmp_path))


def test_evidence_of_other_networks_than_the_records_is_refused(tmp_path: Path) -> None:
    experiment = _experiment(_tiny(), measures=True)
    evidence = run_experiment(experiment, "digits", _setup(tmp_path))
    model = evidence.records["digits-resnet20"][0].document.model_sha256
    assert json.loads(_evidence(tmp_path).read_text())["models"] == {"digits-resnet20": [model]}
    record = _record(tmp_path, _tiny())
    record.write_text(record.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(RunError, match=r"resnet20/0\.json is of another network\. .*reslab reproduce tiny .*--seeds 1"):
        _load(tmp_path, experiment)


def test_evidence_of_november_2026_is_read_with_all_its_values(tmp_path: Path) -> None:
    experiment = replace(_experiment(_tiny(), measures=True), once=SingleMeasurement(int, lambda bench: 7))
    evidence = run_experiment(experiment, "digits", _setup(tmp_path, seeds=2))
    today = evidence.document
    first, second = today.networks.values()
    made = {"date": "2026-11-21", "environment": {"device": first.made.device, **asdict(first.made.machine)}}
    later = {**made, "date": "2026-11-23"}
    old = {
        "format_version": 2, "experiment": "tiny", "size": "digits", "made": made, "arms": {"digits-resnet20": [0, 1]},
        "models": today.models, "measured": 7, "how": {},
        "of_runs": {"digits-resnet20": [{"value": first.value}, {"value": second.value, "made": later}]},
    }  # fmt: skip
    _evidence(tmp_path).write_text(json.dumps(old))
    read = _load(tmp_path, experiment)
    assert read.records == evidence.records
    assert read.next_to_runs == 7
    assert read.on_networks("digits-resnet20") == evidence.on_networks("digits-resnet20")
    assert [measured.made.date for measured in read.document.networks.values()] == ["2026-11-21", "2026-11-23"]


def test_runs_in_another_precision_are_warned_of_as_they_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup = _setup(tmp_path, seeds=2)
    evidence = run_experiment(_experiment(_tiny()), "digits", setup)
    assert "computed alike" not in caplog.text
    folder = RunFolder.open(Runner(setup.runs, 1, setup.observe).folder(ArmRun(_tiny(), 1)))
    known = folder.environment()
    folder.write_environment(replace(known, sessions=(replace(known.sessions[0], precision="fp16"),)))
    run_experiment(_experiment(_tiny()), "digits", setup)
    theirs = evidence.records["digits-resnet20"][0].environment().sessions[0].precision
    warning = rf"was computed in fp16.*, but .*0.json in {theirs}.*not all runs were computed alike"
    assert re.search(warning, caplog.text)
    caplog.clear()
    (folder.path.with_name("0") / "result.json").unlink()
    run_experiment(_experiment(_tiny()), "digits", setup)  # now the first is only a record
    assert re.search(warning, caplog.text)


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (64, 8)])
def test_the_digits_networks_are_trained_one_on_each_core(
    threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert default_jobs("digits") == expected
    assert default_jobs("small") == default_jobs("paper") == 1


def test_a_measurement_that_is_not_finite_names_its_run(tmp_path: Path) -> None:
    overflowing = _measuring(_experiment(_tiny()), lambda folder, bench: (1.0, float("inf")), tuple[float, ...])
    with pytest.raises(RunError, match=r"digits-resnet20/0: what was measured on its network is not finite"):
        run_experiment(overflowing, "digits", _setup(tmp_path))
    assert _record(tmp_path, _tiny()).exists()
    assert not _evidence(tmp_path).exists()


def test_running_out_of_memory_has_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*facts: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    one = _measuring(_experiment(_tiny()), exhaust)
    with pytest.raises(RunError, match=r"tiny: what is measured.*CUDA out of memory.*GiB"):
        run_experiment(one, "digits", _setup(tmp_path))
    monkeypatch.setattr("reslab.train.Trainer.fit", exhaust)
    with pytest.raises(RunError, match=r"the training of .*CUDA out of memory.*checkpoint_activations"):
        run_experiment(_experiment(_tiny("-other")), "digits", _setup(tmp_path))


def test_a_record_that_is_not_whole_is_named(tmp_path: Path) -> None:
    experiment = _experiment(_tiny())
    run_experiment(experiment, "digits", _setup(tmp_path))
    path = _record(tmp_path, _tiny())
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["seed"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(RunError, match=r"0\.json: .*seed"):
        _load(tmp_path, experiment)


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
    folder = RunFolder.create(tmp_path / "run", to_dict(config), environment(data=facts))
    shutil.move(tmp_path / "old", tmp_path / "new")
    cpu = torch.device("cpu")
    found = Bench("small", str(tmp_path / "new"), cpu).data_of(folder)
    assert found.train.fingerprint() == facts.fingerprint
    with pytest.raises(RunError, match="old does not exist"):
        Bench("small", None, cpu).data_of(folder)
    with pytest.raises(RunError, match=r"run was trained on different data .*other has"):
        Bench("small", str(tmp_path / "other"), cpu).data_of(folder)
