"""Several runs, each in a process of its own, some of them side by side."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from reslab.errors import UsageError


def run_side_by_side(commands: Sequence[Sequence[str]], jobs: int) -> int:
    """Run `python -m reslab ...` for each command, at most `jobs` at a time; return the worst exit code.

    The cores are shared out among the jobs, unless OMP_NUM_THREADS says otherwise. Ctrl-C and SIGTERM reach every job,
    each of which saves its state; jobs that have not begun are not begun then.
    """
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}; allowed: 1 or more.")
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ} if jobs > 1 else dict(os.environ)
    waiting = [[sys.executable, "-m", "reslab", *command] for command in commands]
    running: list[subprocess.Popen[bytes]] = []
    codes: list[int] = []
    with _passing_signals_on(running, waiting):
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(subprocess.Popen(waiting.pop(0), env=environment, start_new_session=True))
            codes.append(_wait_for_any(running))
            running[:] = [process for process in running if process.returncode is None]
    return max((code if code >= 0 else 128 - code for code in codes), default=130)


def _wait_for_any(running: list[subprocess.Popen[bytes]]) -> int:
    while True:
        for process in running:
            try:
                return process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def _passing_signals_on(running: list[subprocess.Popen[bytes]], waiting: list[list[str]]) -> Iterator[None]:
    """Send Ctrl-C and SIGTERM to every job (they are in sessions of their own, so that none gets it twice)."""

    def pass_on(number: int, frame: Any) -> None:
        waiting.clear()
        for process in running:
            process.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
