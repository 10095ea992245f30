"""Keep freed memory for the next training step, and name an error of memory as one."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reslab.errors import RunError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let malloc hold on to what is freed; return whether this system's malloc (glibc) was told so.

    Every training step frees its activations at the end, and the kernel then zeroes the same pages again in the next:
    thousands of page faults. Peak memory does not change; memory that other libraries free is kept as well.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    # a request above the mmap threshold (32 MiB at most) would go back to the system each time
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def is_want_of_memory(message: str) -> bool:
    """Return whether an error's message says that there was not enough memory, as torch and Python word it."""
    words = ("out of memory", "memoryerror", "can't allocate memory", "cannot allocate memory")
    return any(word in message.lower() for word in words)


@contextmanager
def failing_for_memory(what: str, remedy: str) -> Iterator[None]:
    """Turn an out-of-memory error inside the block into a RunError: what needed memory, and what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch has no type of its own for the CPU's
        if isinstance(error, RunError) or not is_want_of_memory(f"{type(error).__name__}: {error}"):
            raise
        reason = (str(error).splitlines() or ["MemoryError"])[0]
        raise RunError(f"{what} does not fit into memory: {reason.rstrip('.')}. {remedy}") from None
