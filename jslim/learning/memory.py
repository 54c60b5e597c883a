"""Memory on the CPU: what a step has used is kept for the next one."""

import ctypes
import os
import sys

# Of mallopt: malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Makes the C library keep memory that is freed, for the whole process. New in jslim.

    XLA's CPU backend allocates the memory of a program's intermediate values at each call. Blocks
    above 32 MB go back to the system in between, which has to clear every page of them again: a
    training step of MobileNet V1 takes 2 times as long, one of ResNet-50 1.7 times
    (benchmarks/NOTES.md). The price is that the process holds on to the most that it ever used.
    `train.py` and `eval.py` call this at their start.

    Returns:
      Whether it is so now. It is not where the C library is not GNU's; nor is anything changed
      where the environment has `MALLOC_MMAP_MAX_` or `MALLOC_TRIM_THRESHOLD_`, its own settings
      for this.
    """
    if {"MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"} & os.environ.keys():
        return False
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
