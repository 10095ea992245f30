"""The two sides: a tree with its own folder, the commands that run there, and what one hands over to the other."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import safetensors.torch
import torch
from tests.reference.renamed import Renames
from tests.reference.scenario import KILLED, UNTOUCHED, USED, Step
from tests.reference.translate import to_toml, translate_settings, translate_words

_TIMEOUT_SECONDS = 600
_END = ("result.json", "model.safetensors", "judgement.json", "test_uses.json", "report.html")


class NotRun(Exception):  # noqa: N818
    """A command ended otherwise than it should have."""


@contextmanager
def worktree(repository: Path, commit: str, folder: Path) -> Iterator[Path]:
    """Check a commit out into a folder of its own, and remove that in the end."""
    git = ["git", "-C", str(repository), "worktree"]
    subprocess.run([*git, "remove", "--force", str(folder)], check=False, capture_output=True)  # of one that was killed
    subprocess.run([*git, "add", "--detach", "--force", str(folder), commit], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=False, capture_output=True)


@dataclass(frozen=True)
class Side:
    """A tree at work.

    Attributes:
        folder: Where its commands run and what they write.
        source: The folder that holds the package.
        renames: What its words are called otherwise than at ebf7f61.
        stop: Set from outside, it ends the command that runs, and no other begins.
    """

    folder: Path
    source: Path
    renames: Renames
    stop: threading.Event = field(default_factory=threading.Event)

    def do_once(self, name: str, work: Callable[[], None]) -> None:
        """Do some work unless it is done: a comparison that was stopped continues where it was."""
        mark = self.folder / "done" / name
        if not mark.exists():
            work()
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def run(self, step: Step) -> None:
        """Run one command and keep what it prints; NotRun for another exit code than it should have."""
        for name in ("said", "errors", "settings"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        out = self.folder / "said" / f"{step.name}.{step.prints}"
        errors = self.folder / "errors" / f"{step.name}.txt"
        command = [sys.executable, "-P", "-m", "reslab", *self._words(step)]
        with out.open("wb") as printed, errors.open("wb") as said:
            process = subprocess.Popen(command, cwd=self.folder, env=self._environment(), stdout=printed, stderr=said)
            try:
                if step.interrupt is not None:
                    _interrupt(process, self.folder / step.interrupt)
                code = self._wait(process)
            finally:
                process.kill()
        expected = 130 if step.interrupt else step.code
        if code != expected:
            said_last = errors.read_text(errors="replace")[-1500:]
            raise NotRun(f"{step.name}: exit code {code}, not {expected}: {' '.join(command[3:])}\n{said_last}")

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        """Return the exit code; NotRun after a time that no command needs, or when this side is stopped."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while (code := process.poll()) is None:
            if self.stop.is_set() or time.monotonic() > deadline:
                raise NotRun(f"stopped: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]
            time.sleep(0.02)
        return code

    def _words(self, step: Step) -> tuple[str, ...]:
        words = translate_words(step.words(str(self.folder.parent)), self.renames)
        if step.settings is None:
            return words
        path = self.folder / "settings" / f"{step.name}.toml"
        path.write_text(to_toml(translate_settings(step.settings, self.renames)))
        return (*words, "--config", str(path.relative_to(self.folder)))

    def _environment(self) -> dict[str, str]:
        """One thread, no GPU, a cache of its own: the two sides choose by the same rules on the same ground."""
        kept = {name: value for name, value in os.environ.items() if name != "RESLAB_DATA"}
        return {
            **kept,
            "PYTHONPATH": str(self.source),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "GOMP_SPINCOUNT": "0",
            "CUDA_VISIBLE_DEVICES": "",
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }


def _interrupt(process: "subprocess.Popen[bytes]", run: Path) -> None:
    """Send SIGINT when the run has its first checkpoint."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not any((run / "checkpoints").glob("step-*")):
        if process.poll() is not None or time.monotonic() > deadline:
            return  # the exit code says what happened
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)


def run_all(side: Side, steps: Sequence[Step]) -> list[str]:
    """Run steps one after the other; return what went wrong, in words, and go on with the next."""
    problems = []
    for step in steps:
        if side.stop.is_set():
            break
        start = time.monotonic()
        try:
            side.do_once(step.name, partial(side.run, step))
        except NotRun as error:
            problems.append(f"{side.folder.name}: {error}")
        print(f"{side.folder.name:10} {time.monotonic() - start:6.1f} s  {step.name}", flush=True)
    return problems


# --- what the reference hands over ------------------------------------------------------------------------------------


def keep_untouched(side: Side, handed: Path) -> None:
    """Copy what is handed over before anything is done with it."""
    shutil.rmtree(handed, ignore_errors=True)
    for name, path in UNTOUCHED.items():
        shutil.copytree(side.folder / path, handed / name)
    for name, path in KILLED.items():
        shutil.copytree(side.folder / path, handed / name)
        _kill(handed / name)
    shutil.copytree(side.folder / "runs" / "seeds", handed / "seeds")
    _kill(handed / "seeds" / "0")
    shutil.rmtree(handed / "seeds" / "1")
    shutil.copyfile(side.folder / "runs" / "plain20" / "model.safetensors", handed / "model.safetensors")
    for name in ("plain20", "photos"):
        tensors = safetensors.torch.load_file(side.folder / "runs" / name / "model.safetensors")
        torch.save(tensors, handed / f"{name}.pt")


def keep_used(side: Side, handed: Path) -> None:
    """Copy what is handed over with all that was done with it."""
    for name in USED:
        shutil.rmtree(handed / name, ignore_errors=True)
    for name, path in USED.items():
        shutil.copytree(side.folder / path, handed / name)


def take_over(side: Side, handed: Path) -> None:
    """Give a side its own copy of what the reference handed over."""
    shutil.rmtree(side.folder / "crossed", ignore_errors=True)
    shutil.copytree(handed, side.folder / "crossed")


def _kill(run: Path) -> None:
    """Take from a finished run what a kill before its last checkpoint would not have left."""
    for name in _END:
        (run / name).unlink(missing_ok=True)
    checkpoints = sorted((run / "checkpoints").glob("step-*"))
    shutil.rmtree(checkpoints[-1])
    (run / "checkpoints" / "latest").write_text(f"{checkpoints[-2].name}\n")
