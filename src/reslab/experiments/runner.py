"""Training the arms of an experiment: nothing twice, resumable, some side by side."""

import gc
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from reslab.artifacts.model_file import load_model, save_model
from reslab.artifacts.run_folder import RunFolder
from reslab.builders import build_splits
from reslab.config import RunConfig, differences, from_dict, to_dict
from reslab.data.views import batches
from reslab.errors import Interrupted, RunError, UsageError
from reslab.models import Network, deepen
from reslab.runs.parallel import STOPPED, run_side_by_side
from reslab.runs.train import train_run
from reslab.system.files import sha256_of
from reslab.train import Observer

from .arms import Arm

ObserverMaker = Callable[[str, int, int], AbstractContextManager[Observer]]
Run = tuple[Arm, int]  # with its seed
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True, slots=True)
class Runner:
    """Trains below `path`, `jobs` runs at a time; a run's folder is named by arm, config's hash and seed."""

    path: Path
    jobs: int
    observe: ObserverMaker

    def train(
        self, runs: Sequence[Run], on_finished: Callable[[RunFolder], None] = lambda folder: None
    ) -> list[RunFolder]:
        """Train what is not trained yet, and return the folders of the finished runs, in their order.

        on_finished: called once for each of these runs, as soon as it is there, before the next one is waited for.

        Interrupted runs are gone on with. What a run starts from is trained before it, asked for or not.
        """
        unreported = {(arm.key, seed) for arm, seed in runs}

        def report(arm: Arm, seed: int) -> None:
            if (arm.key, seed) in unreported:  # others are only what a run starts from
                unreported.remove((arm.key, seed))
                on_finished(self._finished(arm, seed))

        def report_finished() -> None:  # another command may finish runs at any time
            for run in runs:
                if self.is_finished(*run):
                    report(*run)

        for wave in self._waves(runs):
            report_finished()
            todo = [run for run in wave if not self.is_finished(*run)]
            if self.jobs > 1:
                self._train_side_by_side(todo, report)
            else:
                for run in todo:
                    self._train_here(*run)
                    report(*run)
        report_finished()
        return [self._finished(*run) for run in runs]

    def sources(self, runs: Sequence[Run]) -> list[Run]:
        """Return what has to be there before the unfinished ones of these runs can start, itself finished or not."""
        found = [(arm.start.arm, seed) for arm, seed in runs if arm.start and not self.is_finished(arm, seed)]
        return list({(arm.key, seed): (arm, seed) for arm, seed in found}.values())

    def folder(self, arm: Arm, seed: int) -> Path:
        """Return where a run of an arm lives."""
        return self.path / f"{arm.name}-{arm.key}" / str(seed)

    def _finished(self, arm: Arm, seed: int) -> RunFolder:
        """Open a finished run; RunError for one whose settings were others, because a default has changed since.

        And for one that went on from another network than is there now: its pages would compare it with that one.
        """
        folder = RunFolder.open(self.folder(arm, seed))
        try:
            changed = changes(folder.config(), arm)
        except UsageError as error:
            raise RunError(
                f"{folder.path}: its settings are not those of this reslab ({str(error).rstrip('.')}); use the version "
                "that trained it, or another --run-dir."
            ) from None
        if changed:
            raise RunError(f"{folder.path} was trained with other settings ({changed}); remove it to train it anew.")
        if arm.start is not None and self.is_finished(arm.start.arm, seed) and not self._went_on_from(arm, seed):
            raise RunError(
                f"{folder.path} went on from another network than {self.folder(arm.start.arm, seed)} holds now, which "
                "was trained anew since; remove it (and its record), and it is trained anew too."
            )
        return folder

    def _went_on_from(self, arm: Arm, seed: int) -> bool:
        """Whether a finished run began with what its source holds now; older runs do not say what they began with."""
        assert arm.start is not None
        source = RunFolder.open(self.folder(arm.start.arm, seed))
        weights = RunFolder.open(self.folder(arm, seed)).environment().get("weights")
        if weights is None or not source.model_path.exists():
            return True
        if not arm.start.blocks:
            result = source.result()
            assert result is not None
            # the file's own hash is another one once a temperature is fitted
            return weights["sha256"] in (result.get("model_sha256"), sha256_of(source.model_path))
        start = self._grown_file(arm, seed)
        if not start.exists():
            return True
        is_its = weights["sha256"] == sha256_of(start)
        return is_its and _holds(load_model(start).model, load_model(source.model_path).model)

    def is_finished(self, arm: Arm, seed: int) -> bool:
        """Whether nothing is left to train of a run."""
        return (self.folder(arm, seed) / "result.json").exists()

    def _waves(self, runs: Sequence[Run]) -> list[list[Run]]:
        """First what starts from nothing (also what others start from), then what starts from those."""
        first = [run for run in runs if run[0].start is None]
        known = {(arm.key, seed) for arm, seed in first}
        first += [run for run in self.sources(runs) if (run[0].key, run[1]) not in known]
        return [first, [run for run in runs if run[0].start is not None]]

    def _is_started(self, arm: Arm, seed: int) -> bool:
        return (self.folder(arm, seed) / "config.json").exists()

    def _train_here(self, arm: Arm, seed: int) -> None:
        config = self._config(arm, seed)
        title = f"{arm.name} seed {seed}"
        is_started = self._is_started(arm, seed)
        try:
            with self.observe(title, config.train.iterations, config.train.batch_size) as observer:
                train_run(config, self.folder(arm, seed), resume=is_started, observers=[observer])
        except UsageError:
            if is_started or not self._is_started(arm, seed):
                raise
            raise RunError(
                f"{self.folder(arm, seed)} was begun by another command in this moment; wait for that one, or stop it. "
                "Then the same command goes on."
            ) from None
        if torch.cuda.is_initialized():  # what is measured later, in other processes too, may need all of the card
            gc.collect()
            torch.cuda.empty_cache()

    def _train_side_by_side(self, todo: Sequence[tuple[Arm, int]], report: Callable[[Arm, int], None]) -> None:
        todo = sorted(todo, key=_longest_first)
        commands = [self._command(arm, seed) for arm, seed in todo]
        codes: dict[int, int] = {}
        code = run_side_by_side(commands, self.jobs, lambda number: report(*todo[number]), codes.__setitem__)
        if code == STOPPED:  # also when all of these are finished: nothing else may be started
            raise Interrupted("stopped; the same command goes on with what is not finished.")
        failed = {number: why for number, why in codes.items() if not self.is_finished(*todo[number])}
        if failed:
            told = (f"{self.folder(*todo[number])} was not finished ({_why(code)})" for number, code in failed.items())
            raise RunError(f"{'; '.join(told)}.")

    def _command(self, arm: Arm, seed: int) -> list[str]:
        config = self._config(arm, seed)
        folder = self.folder(arm, seed)
        folder.parent.mkdir(parents=True, exist_ok=True)
        RunFolder(folder.parent).write("config.json", to_dict(replace(config, weights=None)))
        flags = ["--seed", str(seed), "--run-dir", str(folder)]
        flags += ["--weights", config.weights] if config.weights else []
        flags += ["--resume"] if self._is_started(arm, seed) else []
        return ["train", str(folder.parent / "config.json"), *flags]

    def _config(self, arm: Arm, seed: int) -> RunConfig:
        weights = None if arm.start is None else str(self._start_file(arm, seed).resolve())
        return replace(arm.config, seed=seed, weights=weights)

    def _start_file(self, arm: Arm, seed: int) -> Path:
        """Grow the other arm's result into a model file that this arm starts from."""
        assert arm.start is not None
        trained = RunFolder.open(self.folder(arm.start.arm, seed))
        if not arm.start.blocks:
            return trained.model_path
        path = self._grown_file(arm, seed)
        file = load_model(trained.model_path)
        if not (path.exists() and _holds(load_model(path).model, file.model)):  # the other arm may be trained anew
            data = build_splits(arm.config.data).train
            views = batches(data, file.card.preprocess, batch_size=_CALIBRATION_IMAGES, device=torch.device("cpu"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)  # inner weights are drawn: a file that was lost must come out the same
                grown = deepen(file.model, blocks=arm.start.blocks, calibrate=next(iter(views)).images)
            save_model(path, grown, file.card)
        return path

    def _grown_file(self, arm: Arm, seed: int) -> Path:
        return self.folder(arm, seed).with_name(f"{seed}-start.safetensors")


def _longest_first(run: Run) -> tuple[int, int]:
    """A key to sort by. Side by side a long run begun last leaves the other cores idle.

    Within a seed only: seeds stay in turn, so that a stop leaves whole rounds to compare.
    """
    arm, seed = run
    train = arm.config.train
    return seed, -train.iterations * train.batch_size * arm.config.model.depth


def _why(code: int) -> str:
    """What the exit code of a job says: that of a shell, 128 and the signal for one that was killed."""
    if code <= 128:
        return f"exit code {code}; its message is above"
    name = signal.Signals(code - 128).name if code - 128 in [*signal.Signals] else code - 128
    return f"its process was ended by {name}: for want of memory, perhaps; then give fewer --jobs"


def _holds(grown: Network, source: Network) -> bool:
    """Whether a grown network was made of `source`: all of its tensors are in it as they are."""
    tensors = grown.state_dict()
    return all(name in tensors and torch.equal(tensors[name], ours) for name, ours in source.state_dict().items())


def changes(config: dict[str, Any], arm: Arm) -> dict[str, tuple[Any, Any]]:
    """Return in what a run's config (JSON values) differs from an arm's: {"optim.lr": (0.1, 0.05)}.

    A run's seed, where its data lay, and the path of the weights it began with tell no arm from another.
    """
    found = differences(to_dict(from_dict(config)), to_dict(arm.config))
    return {key: pair for key, pair in found.items() if key not in ("seed", "data.path", "weights")}
