"""Waiting for what other processes do, however busy the machine is."""

import time
from collections.abc import Callable

# nothing is expected to take so long: it ends a test that would hang
HANG_SECONDS = 900


def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; fail where it never does."""
    end = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < end, "what was waited for never came"
        time.sleep(0.02)
