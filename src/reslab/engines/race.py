"""The fastest of several ways to compute the same, found by running them in turn."""

import logging
import math
import time
from collections.abc import Callable, Mapping

import torch

from .timing import seconds_of

log = logging.getLogger(__name__)

Call = Callable[[], object]


def race(
    candidates: Mapping[str, Callable[[], Call]],
    device: torch.device,
    *,
    images: int,
    rounds: int,
    far_behind: float = math.inf,
    pause_seconds: float = 0.0,
) -> dict[str, float]:
    """Time each candidate's fastest call; the candidates are called in turn, in this process.

    All calls are made ready first. The first round warms up (and compiles) and does not count. A candidate that fails
    on this machine, whatever it raises, is left out with a warning.

    Args:
        candidates: By name, a function that makes the call to time.
        device: Where the calls compute.
        images: Images that one call computes.
        rounds: Calls of each candidate, with the one that warms up.
        far_behind: A candidate that takes more than this many times the fastest one's seconds is not called again.
        pause_seconds: Rest before each call, for engines whose threads keep spinning and would slow the next one.

    Returns:
        Images per second by the candidate's name, rounded to 0.1.
    """
    log.info("measuring which engine is the fastest on this machine (%s) ...", ", ".join(candidates))
    calls = _made(candidates)
    seconds: dict[str, float] = {}
    for number in range(rounds):
        for name in list(calls):
            time.sleep(pause_seconds)
            try:
                took = seconds_of(calls[name], device)
            except Exception as error:
                _warn(name, error)
                del calls[name]
                seconds.pop(name, None)
                continue
            if number > 0:
                seconds[name] = min(took, seconds.get(name, took))
        limit = far_behind * min(seconds.values(), default=math.inf)
        calls = {name: call for name, call in calls.items() if seconds.get(name, 0.0) <= limit}
    return {name: round(images / took, 1) for name, took in seconds.items()}


def _made(candidates: Mapping[str, Callable[[], Call]]) -> dict[str, Call]:
    calls: dict[str, Call] = {}
    for name, make in candidates.items():
        try:
            calls[name] = make()
        except Exception as error:
            _warn(name, error)
    return calls


def _warn(name: str, error: Exception) -> None:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    log.warning("engine %r fails on this machine and is left out: %s", name, reason)
