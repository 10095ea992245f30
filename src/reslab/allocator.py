"""Keeping memory that a training step gave back, for the next one to take."""

import ctypes
import sys

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
