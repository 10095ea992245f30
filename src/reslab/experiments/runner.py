"""Train the runs of an experiment: nothing twice, resumable, some side by side."""

import gc
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from reslab.artifacts.model_file import load_model, save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_splits
from reslab.config import RunConfig, to_dict
from reslab.data.views import batches
from reslab.errors import Interrupted, RunError, UsageError
from reslab.models import deepen
from reslab.runs.parallel import STOPPED, run_side_by_side
from reslab.runs.session import read_config
from reslab.runs.train import train_run
from reslab.system.files import sha256_of
from reslab.train import Observer

from .arms import ArmRun

ObserverMaker = Callable[[str, int, int], AbstractContextManager[Observer]]
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True, slots=True)
class Runner:
    """Train runs of arms below a folder; a run that is there already is used again.

    Attributes:
        path: Runs go to `path`/ARM/SEED.
        jobs: How many runs to train side by side.
        observe: Makes the progress display of a run from its title, iterations and batch size.
    """

    path: Path
    jobs: int
    observe: ObserverMaker

    def train(
        self, runs: Sequence[ArmRun], on_finished: Callable[[ArmRun, RunFolder], None] = lambda run, folder: None
    ) -> list[RunFolder]:
        """Train the runs that are not finished.

        Runs that were interrupted are resumed. If a run starts from another run's weights, that run is trained first,
        even if it is not among `runs`.

        Args:
            runs: What to train.
            on_finished: Called once for each of these runs as soon as it is finished.

        Returns:
            The folders of all runs, in their order.

        Raises:
            Interrupted: After Ctrl-C or SIGTERM, with the state of every run saved.
            RunError: Training failed, or a finished run in the folder is not the one asked for.
        """
        unreported = dict.fromkeys(runs)

        def report_finished() -> None:  # another command may finish runs at any time
            for run in [run for run in unreported if self.is_finished(run)]:
                del unreported[run]
                on_finished(run, self.finished(run))

        for wave in self._waves(runs):
            report_finished()
            todo = [run for run in wave if not self.is_finished(run)]
            if self.jobs > 1:
                self._train_side_by_side(todo, report_finished)
            else:
                for run in todo:
                    self._train_here(run)
                    report_finished()
        report_finished()
        return [self.finished(run) for run in runs]

    def is_finished(self, run: ArmRun) -> bool:
        """Return whether nothing is left to train of a run."""
        return (self.folder(run) / "result.json").exists()

    def finished(self, run: ArmRun) -> RunFolder:
        """Open a finished run.

        Raises:
            RunError: It was trained with other settings, or started from another network than its source is now.
        """
        folder = RunFolder.open(self.folder(run))
        try:
            changes = run.arm.changes(read_config(folder))
        except UsageError as error:
            raise RunError(
                f"{folder.path}: its settings are not those of this reslab ({str(error).rstrip('.')}). Use the version "
                "that trained it, or another run folder."
            ) from None
        if changes:
            raise RunError(
                f"{folder.path} was trained with other settings ({changes}). Remove it to train it again, or choose "
                "another run folder."
            )
        self._check_source(run, folder)
        return folder

    def sources(self, runs: Sequence[ArmRun]) -> list[ArmRun]:
        """Return what has to be finished before the unfinished ones of these runs can start."""
        return list(dict.fromkeys(run.source for run in runs if run.source and not self.is_finished(run)))

    def folder(self, run: ArmRun) -> Path:
        """Return where a run is, or will be."""
        path = self.path / run.arm.name / str(run.seed)
        if not path.exists():  # reslab of November 2026 put a hash of the settings into the name
            for config in self.path.glob(f"{run.arm.name}-{'[0-9a-f]' * 10}/{run.seed}/config.json"):
                with suppress(UsageError):
                    if not run.arm.changes(read_config(RunFolder(config.parent))):
                        return config.parent
        return path

    def _waves(self, runs: Sequence[ArmRun]) -> list[list[ArmRun]]:
        """First what starts from nothing (also what others start from), then what starts from those."""
        first = [run for run in runs if run.source is None]
        return [list(dict.fromkeys([*first, *self.sources(runs)])), [run for run in runs if run.source is not None]]

    def _is_started(self, run: ArmRun) -> bool:
        return (self.folder(run) / "config.json").exists()

    def _train_here(self, run: ArmRun) -> None:
        config, folder, is_started = self._config(run), self.folder(run), self._is_started(run)
        title = f"{run.arm.name} seed {run.seed}"
        try:
            with self.observe(title, config.train.iterations, config.train.batch_size) as observer:
                train_run(config, folder, resume=is_started, observers=[observer])
        except UsageError:
            if is_started or not self._is_started(run):
                raise
            raise RunError(
                f"{folder} was started by another command at the same moment. Wait for that command or stop it; then "
                "the same command resumes."
            ) from None
        if torch.cuda.is_initialized():  # what is measured later, in other processes too, may need all of the card
            gc.collect()
            torch.cuda.empty_cache()

    def _train_side_by_side(self, todo: Sequence[ArmRun], report_finished: Callable[[], None]) -> None:
        todo = sorted(todo, key=_longest_first)
        commands = [self._command(run) for run in todo]
        codes: dict[int, int] = {}
        code = run_side_by_side(commands, self.jobs, lambda number: report_finished(), codes.__setitem__)
        if code == STOPPED:  # also when all of these are finished: nothing else may be started
            raise Interrupted("stopped; the same command resumes what is not finished.")
        failed = {number: code for number, code in codes.items() if not self.is_finished(todo[number])}
        if failed:
            reasons = (
                f"{self.folder(todo[number])} was not finished ({_why(code)})" for number, code in failed.items()
            )
            raise RunError(f"{'; '.join(reasons)}.")

    def _command(self, run: ArmRun) -> list[str]:
        config, folder = self._config(run), self.folder(run)
        folder.parent.mkdir(parents=True, exist_ok=True)
        RunFolder(folder.parent).write_config(to_dict(replace(config, weights=None)))
        flags = ["--seed", str(run.seed), "--run-dir", str(folder)]
        flags += ["--weights", config.weights] if config.weights else []
        flags += ["--resume"] if self._is_started(run) else []
        return ["train", str(folder.parent / "config.json"), *flags]

    def _config(self, run: ArmRun) -> RunConfig:
        config = replace(run.arm.config, seed=run.seed)
        if run.source is None:
            return config
        if self._is_started(run):  # the file that it started from, which has another name since
            folder = RunFolder.open(self.folder(run))
            self._check_source(run, folder)
            return replace(config, weights=read_config(folder).weights)
        return replace(config, weights=str(self._start_file(run).resolve()))

    def _start_file(self, run: ArmRun) -> Path:
        """The model file that a run starts from: its source's, grown where the arm says so."""
        source, start = run.source, run.arm.start
        assert source is not None
        assert start is not None
        trained = self.finished(source)
        if not start.blocks:
            return trained.model_path
        path = self._grown_file(run)
        if not path.exists():
            file = load_model(trained.model_path)
            data = build_splits(run.arm.config.data).train
            views = batches(data, file.card.preprocess, batch_size=_CALIBRATION_IMAGES, device=torch.device("cpu"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(run.seed)  # inner weights are drawn: a file that was lost must come out the same
                grown = deepen(file.model, blocks=start.blocks, calibrate=next(iter(views)).images)
            save_model(path, grown, file.card)
        return path

    def _grown_file(self, run: ArmRun) -> Path:
        """Where the grown network lies; the name says by its source's hash what it was grown from."""
        assert run.source is not None
        return self.folder(run).with_name(f"{run.seed}-start-{self._model_hash(run.source)[:10]}.safetensors")

    def _model_hash(self, run: ArmRun) -> str:
        """The hash of a finished run's model file as training left it: a temperature may be fitted later."""
        folder = RunFolder.open(self.folder(run))
        result = folder.result()
        assert result is not None
        return result.model_sha256

    def _check_source(self, run: ArmRun, folder: RunFolder) -> None:
        """Check that a run started from the network that its source's folder holds."""
        source, start = run.source, run.arm.start
        if source is None or start is None or not self.is_finished(source):
            return
        weights = folder.environment().weights
        assert weights is not None
        if start.blocks:  # reslab of November 2026 named no network in the file's name
            is_its = weights.file in (self._grown_file(run).name, f"{run.seed}-start.safetensors")
        else:
            path = RunFolder(self.folder(source)).model_path  # a temperature fitted later changes the file
            is_its = weights.sha256 in (self._model_hash(source), sha256_of(path))
        if not is_its:
            raise RunError(
                f"{folder.path} started from another network than {self.folder(source)} holds now, which was trained "
                "again since. Remove it (and its record) to train it again too."
            )


def _longest_first(run: ArmRun) -> tuple[int, int]:
    """A key to sort by. Side by side a long run begun last leaves the other cores idle.

    Within a seed only: seeds stay in turn, so that a stop leaves whole rounds to compare.
    """
    train = run.arm.config.train
    return run.seed, -train.iterations * train.batch_size * run.arm.config.model.depth


def _why(code: int) -> str:
    """What the exit code of a job says: that of a shell, 128 and the signal for one that was killed."""
    if code <= 128:
        return f"exit code {code}; its message is above"
    name = signal.Signals(code - 128).name if code - 128 in [*signal.Signals] else code - 128
    return f"its process was ended by {name}, perhaps because it ran out of memory; then run fewer jobs"
