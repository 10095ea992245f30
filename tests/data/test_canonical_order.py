"""Copies of one data set in different orders: the same images, batches, parts and trained bits."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tests.data.test_cifar import SMALL, write

from reslab import override, recipe, train_run
from reslab.builders import build_splits
from reslab.config import from_dict, to_dict
from reslab.data import ArrayDataset, Splits
from reslab.data.sources import open_splits
from reslab.data.sources.canonical import in_canonical_order
from reslab.experiments.arms import make_arm
from reslab.experiments.experiment import AnyExperiment, Experiment, ResultTable
from reslab.experiments.run_experiment import Setup, run_experiment
from reslab.experiments.verdict import Verdict

_RECORD = 1 + 3072
TINY = {
    "train": {"iterations": 3, "log_every": 1},
    "evaluation": {"monitor": "none", "final_training_error": False},
    "compute": {"precision": "fp32", "fused_norm": "off"},
    "model": {"num_blocks": [1, 1, 1], "widths": [4, 4, 8]},
}


def _arrays(part: object) -> ArrayDataset:
    assert isinstance(part, ArrayDataset)
    return part


def _shuffled_copy(source: Path, target: Path, seed: int) -> Path:
    """Write CIFAR-10 with its training images mixed over all five files, and its test images mixed."""
    target.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    records = np.concatenate([np.fromfile(source / name, np.uint8).reshape(-1, _RECORD) for name in names])
    for name, part in zip(names, np.split(generator.permutation(records), 5), strict=True):
        part.tofile(target / name)
    test = np.fromfile(source / "test_batch.bin", np.uint8).reshape(-1, _RECORD)
    generator.permutation(test).tofile(target / "test_batch.bin")
    (target / "batches.meta.txt").write_bytes((source / "batches.meta.txt").read_bytes())
    return target


class _Silent:
    def on_step(self, step: int, loss: Any) -> None: ...
    def on_row(self, row: Any) -> None: ...


@pytest.fixture(scope="module")
def copies(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two copies of the real CIFAR-10 whose images have different orders."""
    source = data_root / "cifar-10-batches-bin"
    if not source.is_dir():
        pytest.skip("needs CIFAR-10 below RESLAB_DATA")
    folder = tmp_path_factory.mktemp("copies") / "cifar-10-batches-bin"
    return str(source), str(_shuffled_copy(source, folder, seed=0))


def test_two_copies_of_cifar_give_the_same_images_parts_and_fingerprint(copies: tuple[str, str]) -> None:
    data = recipe("cifar-resnet20").data
    config = replace(data, validation_size=5_000)
    ours, theirs = (build_splits(replace(config, path=path)) for path in copies)
    for split in ("train", "validation", "test"):
        one, other = _arrays(ours.part(split)), _arrays(theirs.part(split))
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.fingerprint() == other.fingerprint()


def test_the_order_of_the_archive_stays_to_be_had_and_differs_between_copies(copies: tuple[str, str]) -> None:
    ours, theirs = (open_splits("cifar10", path, order="archive").train for path in copies)
    assert ours.fingerprint() != theirs.fingerprint()
    first = np.fromfile(Path(copies[0]) / "data_batch_1.bin", np.uint8)[1:_RECORD]
    assert torch.equal(_arrays(ours).images[0].flatten(), torch.from_numpy(first))


def test_a_training_on_either_copy_ends_with_the_same_bits(copies: tuple[str, str], tmp_path: Path) -> None:
    config = override(recipe("cifar-resnet20"), TINY)
    runs = [
        train_run(override(config, {"data": {"path": path}}), tmp_path / str(number))
        for number, path in enumerate(copies)
    ]
    logs, models = ([(run.path / name).read_bytes() for run in runs] for name in ("metrics.jsonl", "model.safetensors"))
    assert logs[0] == logs[1]
    assert models[0] == models[1]


def test_the_binary_and_the_python_archive_give_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, binary = SMALL[:2]
    binary = replace(binary, records=(12, 7))
    monkeypatch.setattr("reslab.data.sources.locate.LAYOUTS", (python, binary))
    monkeypatch.setattr("tests.data.test_cifar._arrays", _named_arrays)
    ours, theirs = (open_splits("cifar10", str(write(tmp_path, layout))) for layout in (python, binary))
    assert ours.train.fingerprint() == theirs.train.fingerprint()
    assert ours.part("test").fingerprint() == theirs.part("test").fingerprint()


def _named_arrays(layout: object, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Records that depend on the file's name without its suffix, as the two official archives hold the same."""
    stem = name.removesuffix(".bin")
    generator = np.random.default_rng(sum(stem.encode()))
    count = 7 if stem.startswith("test") else 12
    return generator.integers(0, 256, (count, 3072), dtype=np.uint8), generator.integers(0, 10, count)


def test_the_canonical_order_spreads_classes_evenly_whatever_the_order_was() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1_000, 1, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.arange(10).repeat_interleave(100)  # sorted by class
    data = ArrayDataset("made up", images, labels, tuple("abcdefghij"))
    train = in_canonical_order(Splits(data, None, None)).train
    # 100 of 1,000 without replacement: 10 of each class with a standard deviation of 2.8
    assert max(abs(count - 10) for count in train.labels[:100].bincount(minlength=10).tolist()) < 5 * 2.8
    mixed = data.subset(torch.randperm(1_000, generator=generator))
    assert in_canonical_order(Splits(mixed, None, None)).train.fingerprint() == train.fingerprint()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "idx", "digits"])
def test_a_written_config_without_an_order_keeps_that_of_its_archive(kind: str, version: int) -> None:
    values: Any = {"format_version": version, **to_dict(override(recipe("cifar-resnet20"), {"data": {"kind": kind}}))}
    del values["data"]["order"]
    assert from_dict(values).data.order == ("canonical" if kind == "digits" else "archive")


def test_a_record_of_one_order_is_not_one_of_the_other() -> None:
    arm = make_arm("paper", "resnet", 20)
    assert "data.order" in arm.changes(override(arm.config, {"data": {"order": "archive"}}))


def test_a_record_made_from_one_copy_is_extended_from_the_other(copies: tuple[str, str], tmp_path: Path) -> None:
    arm = make_arm("paper", "resnet", 20, TINY)
    experiment: AnyExperiment = Experiment(
        name="tiny", title="", claim="", source="", paper=(), rule="", caption="",
        judge=lambda evidence: [Verdict(outcome="reproduced", sentence="")], table=lambda evidence: ResultTable((), ()),
        draw=lambda evidence: Figure(), arms=lambda size: (arm,),
    )  # fmt: skip
    for seeds, copy in enumerate(copies, start=1):
        setup = Setup(
            tmp_path / f"runs-{seeds}", tmp_path / "results", copy, seeds, 1, lambda *facts: nullcontext(_Silent())
        )  # type: ignore[arg-type]
        evidence = run_experiment(experiment, "paper", setup)
    records = evidence.records[arm.name]
    assert [record.document.seed for record in records] == [1, 2]
    assert len({record.document.dataset.fingerprint for record in records}) == 1
    assert not (tmp_path / "runs-2" / arm.name / "1").exists()  # its record was enough
