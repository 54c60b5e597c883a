"""Memory on the CPU: kept from one step to the next."""

import ctypes
import os
import sys

# Of mallopt: malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Makes the C library keep freed memory, for the whole process. New in jslim.

    XLA's CPU backend allocates the memory of a program's intermediate values at each call. Without
    this, blocks above 32 MB go back to the system after each call, which must clear their pages
    again: a training step of MobileNet V1 takes 2 times as long, one of ResNet-50 1.7 times
    (benchmarks/NOTES.md). With it, the process never gives memory back. `train.py` and `eval.py`
    call this at their start.

    Returns:
      Whether memory is kept. False if the C library is not GNU's, or if the environment has its own
      settings, `MALLOC_MMAP_MAX_` or `MALLOC_TRIM_THRESHOLD_`, which stay in force.
    """
    if {"MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"} & os.environ.keys():
        return False
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
