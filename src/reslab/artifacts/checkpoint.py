"""Checkpoints: one folder for each saved step. A folder is either complete or absent, and is checked when read.

checkpoints/
  step-00001000/  model.safetensors  training.safetensors  state.json  SHA256SUMS
  latest          the name of the newest folder
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from reslab.artifacts.reader import document_bytes, read_document
from reslab.errors import RunError
from reslab.optim.schedules import LearningRateState
from reslab.system.files import sha256_of, write_atomically

MODEL_NAME = "model.safetensors"  # a complete model file
_TRAINING_NAME = "training.safetensors"
_STATE_NAME = "state.json"
_SUMS_NAME = "SHA256SUMS"
_LATEST_NAME = "latest"
_STEP_NAME = re.compile(r"step-(\d{8,})")


@dataclass(kw_only=True, slots=True)
class TrainState:
    """How far the training has come: its steps, its time and its best evaluation.

    Attributes:
        step: Optimizer steps made.
        seconds: Time spent in training.
        waited_seconds: The part of it that was spent waiting for batches.
        best_error: The lowest error of the monitored split, in %; None before its first evaluation, and for a test set.
        best_step: The step of that evaluation.
        evaluations_since_best: How many evaluations came after it.
    """

    step: int = 0
    seconds: float = 0.0
    waited_seconds: float = 0.0
    best_error: float | None = None
    best_step: int | None = None
    evaluations_since_best: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointState:
    """`state.json`: all that a resume needs besides the tensors.

    Attributes:
        train: The state of the training loop.
        learning_rate: The state of schedule and warm-up.
        log_meter: Sums of loss, errors and images since the last log row.
        warmup_meter: The same sums, since the warm-up last read them.
    """

    train: TrainState
    learning_rate: LearningRateState
    log_meter: tuple[float, float, float]
    warmup_meter: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        model: The bytes of a model file.
        training: The tensors of the optimizer and of the moving average of the weights.
        state: Everything else.
    """

    model: bytes
    training: dict[str, Tensor]
    state: CheckpointState

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self.state.train.step


class CheckpointFolder:
    """The checkpoints of a run, written atomically. It keeps the newest two and, for each, the best up to its step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, point `latest` at it, then remove the checkpoints that are no longer needed.

        Raises:
            RunError: A file cannot be written; the message names it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._sweep()
        contents = {
            MODEL_NAME: checkpoint.model,
            _TRAINING_NAME: safetensors.torch.save(checkpoint.training),
            _STATE_NAME: document_bytes(checkpoint.state),
        }
        sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
        folder = self._folder(checkpoint.step)
        temporary = self.path / f".tmp-{folder.name}"
        try:
            temporary.mkdir()
            for name, content in {**contents, _SUMS_NAME: sums.encode()}.items():
                write_atomically(temporary / name, content)
            if folder.exists():  # damaged, or written before the run went back to an earlier step
                shutil.rmtree(folder)
            temporary.rename(folder)
            _sync_folder(self.path)
        except OSError as error:
            raise RunError(f"{folder}: cannot be written: {error.strerror or error}.") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        write_atomically(self.path / _LATEST_NAME, folder.name + "\n")
        self._prune(checkpoint.step)

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending."""
        names = (_STEP_NAME.fullmatch(folder.name) for folder in self.path.glob("step-*") if folder.is_dir())
        return sorted(int(name[1]) for name in names if name)  # other names may be a user's own copies

    def load_newest(self) -> tuple[Checkpoint | None, list[str]]:
        """Read the newest checkpoint that is not damaged.

        Returns:
            The checkpoint, or None if there is none; and what is wrong with each newer checkpoint.
        """
        problems: list[str] = []
        for step in reversed(self.steps()):
            try:
                return self.load(step), problems
            except RunError as error:
                problems.append(str(error))
        return None, problems

    def load(self, step: int) -> Checkpoint:
        """Read the checkpoint of a step.

        Raises:
            RunError: A file is missing or damaged; the message names it.
        """
        folder = self._folder(step)
        self._check_sums(folder)
        try:
            training = safetensors.torch.load((folder / _TRAINING_NAME).read_bytes())
        except safetensors.SafetensorError as error:
            raise RunError(f"{folder / _TRAINING_NAME}: damaged: {error}.") from None
        state = read_document(folder / _STATE_NAME, "checkpoint", CheckpointState)
        return Checkpoint(model=(folder / MODEL_NAME).read_bytes(), training=training, state=state)

    def model_path(self, step: int) -> Path:
        """Return the path of a checkpoint's model file."""
        return self._folder(step) / MODEL_NAME

    def _check_sums(self, folder: Path) -> None:
        try:
            lines = (folder / _SUMS_NAME).read_text().splitlines()
            expected = {name: digest for digest, name in (line.split("  ") for line in lines)}
        except (OSError, ValueError):
            raise RunError(f"{folder / _SUMS_NAME}: missing or damaged.") from None
        for name in (MODEL_NAME, _TRAINING_NAME, _STATE_NAME):
            path = folder / name
            if not path.is_file() or sha256_of(path) != expected.get(name):
                raise RunError(f"{path}: {'damaged (its checksum is wrong)' if path.is_file() else 'missing'}.")

    def _folder(self, step: int) -> Path:
        return self.path / f"step-{step:08d}"

    def _prune(self, newest: int) -> None:
        steps = self.steps()
        for step in steps:
            if step > newest:  # written before the run went back to an earlier step
                self._remove(step)
        last = [step for step in steps if step <= newest][-2:]
        # the best of both: if the newest is damaged, the run resumes from the older one, whose best may be another
        kept = {*last, *map(self._best_of, last)}
        for step in steps:
            if step not in kept:
                self._remove(step)

    def _best_of(self, step: int) -> int | None:
        try:
            return read_document(self._folder(step) / _STATE_NAME, "checkpoint", CheckpointState).train.best_step
        except RunError:
            return None

    def _remove(self, step: int) -> None:
        folder = self._folder(step)
        if folder.exists():
            trash = folder.rename(self.path / f".trash-{folder.name}")  # never a half-removed step-* folder
            shutil.rmtree(trash, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed process left half-written or half-removed."""
        for pattern in (".tmp-*", ".trash-*"):
            for folder in self.path.glob(pattern):
                shutil.rmtree(folder, ignore_errors=True)
        for file in self.path.glob(f".{_LATEST_NAME}-*"):
            file.unlink(missing_ok=True)


def is_of_checkpoint(file: Path) -> bool:
    """Whether a file belongs to a checkpoint, whose checksums would no longer match if the file changed."""
    return (file.resolve().parent / _SUMS_NAME).exists()


def _sync_folder(path: Path) -> None:
    # a rename has reached the disk only once its folder is synced
    if os.name != "posix":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
