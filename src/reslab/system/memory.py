"""Keep freed memory for the next training step, and explain out-of-memory errors."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reslab.errors import RunError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let malloc keep freed memory instead of returning it to the system.

    Every training step frees its activations at its end. Returned to the system, the same pages would be zeroed again
    in the next step: thousands of page faults. Peak memory does not change; memory that other libraries free is kept
    as well.

    Returns:
        Whether this system's malloc can do so (glibc's can).
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    # a request above the mmap threshold (32 MiB at most) would go back to the system each time
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def is_out_of_memory(message: str) -> bool:
    """Return whether an error's message says that memory ran out, as torch and Python word it."""
    words = ("out of memory", "memoryerror", "can't allocate memory", "cannot allocate memory")
    return any(word in message.lower() for word in words)


@contextmanager
def explain_out_of_memory(what: str, remedy: str) -> Iterator[None]:
    """Make a `RunError` of an out-of-memory error inside the block.

    Args:
        what: What needed the memory; the message begins with it.
        remedy: What to do, as sentences for the end of the message.

    Raises:
        RunError: Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # on a CPU torch raises a plain RuntimeError
        if isinstance(error, RunError) or not is_out_of_memory(f"{type(error).__name__}: {error}"):
            raise
        reason = (str(error).splitlines() or ["MemoryError"])[0]
        raise RunError(f"{what} does not fit into memory: {reason.rstrip('.')}. {remedy}") from None
