"""Checkpoints: whole or not there, checked when read, and no more of them than promised."""

from pathlib import Path

import pytest
import torch

from reslab.artifacts.checkpoint import Checkpoint, CheckpointFolder, CheckpointState, TrainState
from reslab.errors import RunError
from reslab.optim.schedules import LearningRateState, PlateauState


def _checkpoint(step: int, best: int | None = None) -> Checkpoint:
    sums = (step / 3, 0.0, 8.0)
    state = CheckpointState(
        train=TrainState(step=step, best_step=best),
        learning_rate=LearningRateState(schedule=PlateauState(best_error=None, num_bad=1, num_drops=0)),
        log_meter=sums,
        warmup_meter=sums,
    )
    return Checkpoint(model=b"model of step %d" % step, training={"x": torch.full((3,), float(step))}, state=state)


def _filled(path: Path, *steps: int, best: int | None = None) -> CheckpointFolder:
    folder = CheckpointFolder(path)
    for step in steps:
        folder.save(_checkpoint(step, best))
    return folder


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    loaded = _filled(tmp_path, 7).load(7)
    assert (loaded.step, loaded.model, loaded.state) == (7, b"model of step 7", _checkpoint(7).state)
    assert torch.equal(loaded.training["x"], torch.full((3,), 7.0))
    assert (tmp_path / "latest").read_text() == "step-00000007\n"


def test_the_last_the_one_before_and_the_best_are_kept(tmp_path: Path) -> None:
    assert _filled(tmp_path, 1, 2, 3, 4, 5, best=2).steps() == [2, 4, 5]


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_named_and_the_checkpoint_before_is_used(tmp_path: Path, name: str, damage: str) -> None:
    folder = _filled(tmp_path, 1, 2)
    path = tmp_path / "step-00000002" / name
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-5] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
    newest, problems = folder.load_newest()
    assert newest is not None
    assert newest.step == 1
    assert len(problems) == 1
    assert "step-00000002" in problems[0]


def test_nothing_whole_means_nothing(tmp_path: Path) -> None:
    folder = _filled(tmp_path, 1)
    (tmp_path / "step-00000001" / "state.json").unlink()
    newest, problems = folder.load_newest()
    assert newest is None
    assert len(problems) == 1


def test_leftovers_of_a_killed_process_are_swept_and_never_read(tmp_path: Path) -> None:
    folder = _filled(tmp_path, 1)
    for name in (".tmp-step-00000002", ".trash-step-00000000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    assert folder.steps() == [1]
    folder.save(_checkpoint(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-00000001", "step-00000002"]


def test_checkpoints_from_a_future_that_was_taken_back_are_removed(tmp_path: Path) -> None:
    folder = _filled(tmp_path, 10, 20)
    (tmp_path / "step-00000020" / "state.json").unlink()  # so the run went on from step 10
    folder.save(_checkpoint(15))
    assert folder.steps() == [10, 15]


def test_a_write_that_fails_leaves_the_old_checkpoint_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _filled(tmp_path, 1)

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(RunError, match="No space left on device"):
        folder.save(_checkpoint(2))
    assert folder.steps() == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-00000001"]
    newest, problems = folder.load_newest()
    assert newest is not None
    assert problems == []


def test_the_best_of_the_one_before_is_kept_too_in_case_the_newest_is_damaged(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step, best in ((1, 1), (2, 1), (3, 3)):
        folder.save(_checkpoint(step, best))
    assert folder.steps() == [1, 2, 3]
    folder.save(_checkpoint(4, 3))
    assert folder.steps() == [3, 4]


def test_somebodys_copy_among_the_checkpoints_is_left_alone(tmp_path: Path) -> None:
    folder = _filled(tmp_path, 1)
    (tmp_path / "step-00000001-copy").mkdir()
    folder.save(_checkpoint(2))
    folder.save(_checkpoint(3))
    assert folder.steps() == [2, 3]
    assert (tmp_path / "step-00000001-copy").is_dir()
