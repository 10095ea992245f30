"""Several runs, each in a process of its own, some of them side by side."""

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
    """Raise UsageError in a process of torchrun: the jobs would be started by each, and take each other for it."""
    if (count := os.environ.get("WORLD_SIZE", "1")) != "1" and "RANK" in os.environ:
        raise UsageError(
            f"{what} trains every network in a process of its own, and torchrun started {count} of this command: leave "
            "torchrun out, or train a single run with it."
        )


def run_side_by_side(
    commands: Sequence[Sequence[str]],
    jobs: int,
    on_success: Callable[[int], None] = lambda number: None,
    on_failure: Callable[[int, int], None] = lambda number, code: None,
) -> int:
    """Run `python -m reslab ...` for each command, at most `jobs` at a time; return the worst exit code.

    on_success: called with a command's place in `commands` as soon as it ended well; on_failure: with that and its
    exit code, a shell's, as soon as it ended otherwise.

    The cores are shared out among the jobs, unless OMP_NUM_THREADS says otherwise. Ctrl-C and SIGTERM reach every job,
    each of which saves its state; jobs that have not begun are not begun then, and the exit code is 130, whatever else
    happened. So they do when this process is killed. Raises Interrupted for a RunError or UsageError of `on_success`
    after a stop was asked for, so that no other work starts.
    """
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}; allowed: 1 or more.")
    threads = str(max(1, _num_cores() // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ} if jobs > 1 else dict(os.environ)
    # -P: what lies in the working folder is not a module
    waiting = list(enumerate([sys.executable, "-P", "-m", "reslab", *command] for command in commands))
    running: dict[int, _Job] = {}
    codes: list[int] = []
    with _lifeline() as lifeline, _passing_signals_on(running) as asked:
        while True:
            while waiting and not asked and len(running) < jobs:
                number, command = waiting.pop(0)
                running[number] = _start(command, environment, lifeline)
                if asked:  # while it was begun, so that it was not passed on to this one
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
    """The cores that this process may use, which are not all of a machine that is shared."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def end_with_parent() -> None:
    """In a job of `run_side_by_side`: end as on SIGTERM, with the state saved, once the process that began it is gone.

    Without this, the jobs of a killed command would train on and hold their run folders' locks.
    """
    end = os.environ.pop(_LIFELINE, None)  # not for the processes that this one begins
    if end is not None:
        threading.Thread(target=_wait_for_the_end, args=(int(end),), daemon=True).start()


def _wait_for_the_end(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when the other end closes, with its process
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(on_success: Callable[[int], None], number: int, asked: list[int]) -> None:
    try:
        on_success(number)
    except (RunError, UsageError) as error:
        if asked:
            raise Interrupted(f"stopped; before that: {error}") from error
        raise


def _start(command: list[str], environment: dict[str, str], lifeline: int) -> _Job:
    if os.name != "posix":  # where no descriptors can be passed on
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
    """Yield the end of a pipe to watch; its other end closes with the block, and with this process however it ends."""
    to_watch, to_hold = os.pipe()
    try:
        yield to_watch
    finally:
        os.close(to_hold)
        os.close(to_watch)


@contextmanager
def _passing_signals_on(running: dict[int, _Job]) -> Iterator[list[int]]:
    """Send Ctrl-C and SIGTERM to every job (they are in sessions of their own, so that none gets it twice).

    Yield the signals that came, a list that grows.
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
        for process in running.values():  # none is left, unless something went wrong here
            process.terminate()
            process.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)
