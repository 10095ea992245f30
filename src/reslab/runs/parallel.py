"""Several runs, each in its own process, some of them at the same time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from reslab.errors import Interrupted, RunError, UsageError

STOPPED = 130  # exit code after Ctrl-C and SIGTERM
_LIFELINE = "RESLAB_LIFELINE"  # the environment variable with the end of a pipe that a job watches
_Job = subprocess.Popen[bytes]


def check_no_torchrun(what: str) -> None:
    """Check that torchrun has not started this process: each of its processes would start all jobs.

    Args:
        what: What starts jobs, for the message; a command's flag, for instance.

    Raises:
        UsageError: torchrun has started this process together with others.
    """
    if (count := os.environ.get("WORLD_SIZE", "1")) != "1" and "RANK" in os.environ:
        raise UsageError(
            f"{what} trains every network in its own process, but torchrun has started this command {count} times. "
            "Leave torchrun out, or use it to train a single run."
        )


def run_side_by_side(
    commands: Sequence[Sequence[str]],
    jobs: int,
    on_success: Callable[[int], None] = lambda number: None,
    on_failure: Callable[[int, int], None] = lambda number, code: None,
) -> int:
    """Run `python -m reslab ...` for each command, several at a time.

    Unless OMP_NUM_THREADS is set, the jobs share the cores equally. Ctrl-C and SIGTERM are passed on to every job, and
    each saves its state; no further job starts. The jobs stop in the same way when this process is killed.

    Args:
        commands: The words after `python -m reslab`, for each command.
        jobs: How many commands may run at the same time.
        on_success: Called with a command's index in `commands` as soon as it has succeeded.
        on_failure: Called with the index and the exit code, as a shell has it, as soon as a command has failed.

    Returns:
        The highest exit code; 130 after Ctrl-C or SIGTERM.

    Raises:
        UsageError: `jobs` is below 1.
        Interrupted: `on_success` raised a RunError or UsageError after Ctrl-C or SIGTERM.
    """
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}; allowed: 1 or more.")
    threads = str(max(1, _num_cores() // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ} if jobs > 1 else dict(os.environ)
    # -P: files in the working folder must not be imported as modules
    waiting = list(enumerate([sys.executable, "-P", "-m", "reslab", *command] for command in commands))
    running: dict[int, _Job] = {}
    codes: list[int] = []
    with _lifeline() as lifeline, _passing_signals_on(running) as asked:
        while True:
            while waiting and not asked and len(running) < jobs:
                number, command = waiting.pop(0)
                running[number] = _start(command, environment, lifeline)
                if asked:  # the signal came while this job started, so it did not reach the job
                    with suppress(ValueError):
                        running[number].send_signal(asked[-1])
            if not running:
                break
            number = _wait_for_any(running)
            code = running.pop(number).returncode
            codes.append(code if code >= 0 else 128 - code)
            if codes[-1] == 0:
                _tell(on_success, number, asked)
            else:
                on_failure(number, codes[-1])
    return STOPPED if asked else max(codes, default=0)


def _num_cores() -> int:
    """Return how many cores this process may use: on a shared machine, not all."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def end_with_parent() -> None:
    """Make this process stop as on SIGTERM, with its state saved, once the process that started it has ended.

    Call it in a job of `run_side_by_side`; elsewhere it does nothing. Without it, the jobs of a killed command would
    train on and keep their run folders locked.
    """
    end = os.environ.pop(_LIFELINE, None)  # not for processes that this one starts
    if end is not None:
        threading.Thread(target=_wait_for_the_end, args=(int(end),), daemon=True).start()


def _wait_for_the_end(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: this returns when the other end closes together with its process
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(on_success: Callable[[int], None], number: int, asked: list[int]) -> None:
    try:
        on_success(number)
    except (RunError, UsageError) as error:
        if asked:
            raise Interrupted(f"stopped, after this error: {error}") from error
        raise


def _start(command: list[str], environment: dict[str, str], lifeline: int) -> _Job:
    if os.name != "posix":  # elsewhere, descriptors cannot be passed on
        return subprocess.Popen(command, env=environment)
    environment = {**environment, _LIFELINE: str(lifeline)}
    return subprocess.Popen(command, env=environment, start_new_session=True, pass_fds=(lifeline,))


def _wait_for_any(running: dict[int, _Job]) -> int:
    while True:
        for number, process in running.items():
            try:
                process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            return number


@contextmanager
def _lifeline() -> Iterator[int]:
    """Yield the read end of a pipe; its write end closes with the block, or with this process however it ends."""
    to_watch, to_hold = os.pipe()
    try:
        yield to_watch
    finally:
        os.close(to_hold)
        os.close(to_watch)


@contextmanager
def _passing_signals_on(running: dict[int, _Job]) -> Iterator[list[int]]:
    """Pass Ctrl-C and SIGTERM on to every job; yield the list of the signals that came, which grows.

    The jobs are in sessions of their own, so that none gets a signal twice.
    """
    asked: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        asked.append(number)
        for process in list(running.values()):
            with suppress(ValueError):  # on Windows, where Ctrl-C reaches the jobs by itself and cannot be sent
                process.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for process in running.values():  # empty, unless this process failed
            process.terminate()
            process.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)
