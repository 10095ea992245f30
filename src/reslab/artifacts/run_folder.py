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
report.html         figures and tables of the run
judgement.json      what `reslab report` measured on the model file
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
        """Check that a new run may be made at `path`.

        Raises:
            UsageError: Something is there already. Files of a run that was killed while its folder was made do not
                count.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file, but a run needs a folder.")
        if path.exists() and any(path.iterdir()) and not _is_unfinished_creation(path):
            raise UsageError(f"{path} already exists and is not empty.")

    @classmethod
    def create(
        cls,
        path: Path,
        config: dict[str, JsonValue],
        environment: Environment,
        files: Mapping[str, bytes] | None = None,
    ) -> "RunFolder":
        """Make a new run folder; after a failure, remove it again.

        Args:
            path: The folder.
            config: The content of config.json: what `reslab.config.to_dict` returns.
            environment: The content of environment.json.
            files: The content of further files by name.

        Returns:
            The folder.

        Raises:
            UsageError: Something is there already.
            RunError: The folder cannot be written.
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
        """Open a run folder.

        Raises:
            RunError: It is not a run folder, or is of an unknown format version.
        """
        if not (path / "config.json").is_file():
            what = "is not a run folder (it has no config.json)" if path.exists() else "does not exist"
            raise RunError(f"{path} {what}.")
        folder = cls(path)
        folder.config()
        return folder

    @staticmethod
    def is_run(path: Path) -> bool:
        """Return whether `path` is a run; a folder with a config.json alone is a plan for runs below it."""
        return (path / "environment.json").is_file()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Lock the run for this process inside the block.

        Raises:
            RunError: Another process trains the run.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.path} is being trained by another process (perhaps left over from a killed command). Stop that "
                "process, or wait for it."
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
        """Write config.json from what `reslab.config.to_dict` returns."""
        write_document(self.path / _LAST, config)

    def environment(self) -> Environment:
        """Return which data the run saw, and where each of its starts ran."""
        return read_document(self.path / _FIRST, "environment", Environment)

    def write_environment(self, environment: Environment) -> None:
        """Write environment.json."""
        write_document(self.path / _FIRST, environment)

    def result(self) -> RunResult | None:
        """Return the run's result; None while it is not finished."""
        path = self.path / "result.json"
        return read_document(path, "result", RunResult) if path.exists() else None

    def write_result(self, result: RunResult) -> None:
        """Write result.json, which marks the run as finished."""
        write_document(self.path / "result.json", result)

    def test_uses(self) -> tuple[TestUse, ...]:
        """Return every use of the test set since the training, oldest first; see `add_test_use`."""
        path = self.path / "test_uses.json"
        return read_document(path, "test_uses", TestUses).uses if path.exists() else ()

    def add_test_use(self, use: TestUse) -> int:
        """Record a use of the test set.

        Returns:
            How many uses there are, including that of the training if it evaluated on the test set.
        """
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
        """The log of training windows and evaluations."""
        return metrics_log(self.path / "metrics.jsonl")

    @property
    def timing(self) -> RowLog[TimingRow]:
        """The log of seconds by step."""
        return timing_log(self.path / "timing.jsonl")

    @property
    def checkpoints(self) -> CheckpointFolder:
        """The checkpoints."""
        return CheckpointFolder(self.path / "checkpoints")

    @property
    def model_path(self) -> Path:
        """The path of the model file, which a finished run has."""
        return self.path / "model.safetensors"

    def finished_model(self) -> Path:
        """Return the path of the model file of a finished run.

        Raises:
            RunError: There is none; the message says what to do.
        """
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
        """The path of the list of image files by split."""
        return self.path / "split.csv"

    @property
    def skipped_path(self) -> Path:
        """The path of the list of image files that were left out."""
        return self.path / "skipped.csv"

    @property
    def report_path(self) -> Path:
        """The path of the report page."""
        return self.path / "report.html"


def _is_unfinished_creation(path: Path) -> bool:
    """Return whether a folder holds only what a kill during `create` leaves: no config.json, no other files."""
    names = [file.name for file in path.iterdir()]
    whole = {name for name in names if not name.startswith(tuple(f".{one}-" for one in (_FIRST, *_BETWEEN, _LAST)))}
    return not whole or (_FIRST in whole and whole <= {_FIRST, *_BETWEEN} and _is_ours(path / _FIRST))


def _is_ours(path: Path) -> bool:
    try:
        values = read_json(path)
    except RunError:
        return False
    return isinstance(values, dict) and "format_version" in values and "sessions" in values
