"""A run on disk: what is in its folder, and how it is opened, created and completed.

config.json         the whole configuration: repeats the run
environment.json    where it ran (one entry per start), and which data it saw
metrics.jsonl       training and monitored errors by step; equal bytes for equal runs
timing.jsonl        seconds by step
checkpoints/        the last, the one before it, the best
split.csv           which image files were in which split (data that is files)
skipped.csv         which were left out, and why
result.json         the final counts, each with split and protocol   } at the end
model.safetensors   the model file                                   }
report.html         everything to look at
judgement.json      what `reslab report` found out about the model file
test_uses.json      every use of the test set since the training
.lock               held by the process that trains the run
"""

import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout
from pydantic import JsonValue

from reslab.artifacts.checkpoint import CheckpointFolder
from reslab.artifacts.documents import Environment, RunResult, TestUse, TestUses
from reslab.artifacts.metrics_log import MetricsRow, RowLog, TimingRow, TrainRow, metrics_log, timing_log
from reslab.artifacts.reader import read_document, write_document
from reslab.artifacts.upgrade import FORMAT_VERSION
from reslab.errors import RunError, UsageError
from reslab.system.files import read_json, sweep_temporaries, write_atomically

_FIRST, _BETWEEN, _LAST = "environment.json", ("split.csv", "skipped.csv"), "config.json"  # in which a run is made


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @staticmethod
    def check_is_free(path: Path) -> None:
        """Raise UsageError when something is at `path` already; what a kill at its making left of a run is nothing."""
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file, but a run needs a folder.")
        if path.exists() and any(path.iterdir()) and not _is_of_making(path):
            raise UsageError(f"{path} already exists and is not empty.")

    @classmethod
    def create(
        cls,
        path: Path,
        config: dict[str, JsonValue],
        environment: Environment,
        files: Mapping[str, bytes] | None = None,
    ) -> "RunFolder":
        """Make a new run folder; UsageError when something is there already. Nothing is left behind on failure.

        files: others to put into it, by name.
        """
        cls.check_is_free(path)
        was_there = path.exists()
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder.write_environment(environment)
            for name, content in (files or {}).items():
                write_atomically(path / name, content)
            folder.write_config(config)
        except (OSError, RunError) as error:
            if not was_there:
                shutil.rmtree(path, ignore_errors=True)
            raise RunError(f"{path}: cannot make a run folder: {getattr(error, 'strerror', None) or error}") from None
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open a run folder; RunError when it is none, or of another format version."""
        if not (path / "config.json").is_file():
            what = "is not a run folder (it has no config.json)" if path.exists() else "does not exist"
            raise RunError(f"{path} {what}.")
        folder = cls(path)
        folder.config()
        return folder

    @staticmethod
    def is_run(path: Path) -> bool:
        """Return whether a run is at `path`; a config alone is a plan, by which the runs below it are made."""
        return (path / "environment.json").is_file()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep the run to this process inside the block; RunError while another one has it."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.path} is being trained by another process (left over from a command that was killed, perhaps); "
                "stop that one or wait for it."
            ) from None
        try:
            sweep_temporaries(self.path)
            yield
        finally:
            lock.release()

    def config(self) -> dict[str, JsonValue]:
        """Return the configuration as a JSON document, which `reslab.config.from_dict` reads.

        Raises:
            RunError: config.json is missing, damaged, or of a format version that this reslab does not read.
        """
        path = self.path / _LAST
        values = read_json(path)
        document = cast("dict[str, JsonValue]", values) if isinstance(values, dict) else {}
        version = document.get("format_version")
        if version not in range(1, FORMAT_VERSION + 1):
            raise RunError(f"{path}: format version is {version}; this reslab reads versions 1 to {FORMAT_VERSION}.")
        return document

    def write_config(self, config: dict[str, JsonValue]) -> None:
        """Write config.json; config: of `reslab.config.to_dict`."""
        write_document(self.path / _LAST, config)

    def environment(self) -> Environment:
        """Return which data the run saw, and where each of its starts ran."""
        return read_document(self.path / _FIRST, "environment", Environment)

    def write_environment(self, environment: Environment) -> None:
        """Write environment.json."""
        write_document(self.path / _FIRST, environment)

    def result(self) -> RunResult | None:
        """Return what the run came to; None while it is not finished."""
        path = self.path / "result.json"
        return read_document(path, "result", RunResult) if path.exists() else None

    def write_result(self, result: RunResult) -> None:
        """Write result.json, which makes the run a finished one."""
        write_document(self.path / "result.json", result)

    def test_uses(self) -> tuple[TestUse, ...]:
        """Return every use of the test set since the training, oldest first; see `add_test_use`."""
        path = self.path / "test_uses.json"
        return read_document(path, "test_uses", TestUses).uses if path.exists() else ()

    def add_test_use(self, use: TestUse) -> int:
        """Record a use of the test set; return how many there are, with that of the training, if it had one."""
        with FileLock(self.path / ".test_uses.lock"):
            uses = (*self.test_uses(), use)
            write_document(self.path / "test_uses.json", TestUses(uses=uses))
        result = self.result()
        return len(uses) + int(result is not None and "test" in result.final)

    def rows(self, split: str | None = None) -> list[MetricsRow]:
        """Return the metrics written so far, of one split or of all."""
        return [row for row in self.metrics.read() if split in (None, row.split)]

    def train_rows(self) -> list[TrainRow]:
        """Return the windows of training written so far."""
        return [row for row in self.metrics.read() if isinstance(row, TrainRow)]

    @property
    def metrics(self) -> RowLog[MetricsRow]:
        return metrics_log(self.path / "metrics.jsonl")

    @property
    def timing(self) -> RowLog[TimingRow]:
        return timing_log(self.path / "timing.jsonl")

    @property
    def checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.path / "checkpoints")

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    def finished_model(self) -> Path:
        """Return the path of the model file; RunError, with what to do about it, where there is none."""
        if self.model_path.exists():
            return self.model_path
        result = self.result()
        if result is None:
            raise RunError(f"{self.path} is not finished and has no model file yet.")
        weights = self.checkpoints.model_path(result.selected_step)
        is_there = result.is_checkpoint and weights.exists()
        still = f" Its weights are still in {weights}, a model file too." if is_there else ""
        raise RunError(f"{self.path} is finished, but its {self.model_path.name} is missing; put it back.{still}")

    @property
    def split_path(self) -> Path:
        return self.path / "split.csv"

    @property
    def skipped_path(self) -> Path:
        return self.path / "skipped.csv"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"


def _is_of_making(path: Path) -> bool:
    """Whether a folder holds no more than a kill at the making of a run leaves: no config.json, no other's files."""
    names = [file.name for file in path.iterdir()]
    whole = {name for name in names if not name.startswith(tuple(f".{one}-" for one in (_FIRST, *_BETWEEN, _LAST)))}
    return not whole or (_FIRST in whole and whole <= {_FIRST, *_BETWEEN} and _is_ours(path / _FIRST))


def _is_ours(path: Path) -> bool:
    try:
        values = read_json(path)
    except RunError:
        return False
    return isinstance(values, dict) and "format_version" in values and "sessions" in values
