"""Output whose reader has gone, as in `jslim models | head`: the program ends without a word."""

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TextIO

# What a shell says of a program that the signal has ended, as it does others.
EXIT_CODE = 128 + getattr(signal, "SIGPIPE", 13)


def is_cut() -> bool:
    """Whether a reader of the output has gone; what is left for it is dropped then."""
    cut = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
    for stream in cut:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(cut)


def _has_no_reader(stream: TextIO) -> bool:
    try:
        stream.flush()
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except BrokenPipeError:
        return True
    except (AttributeError, OSError, ValueError):  # no file, as in tests
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def until_cut(program: Callable[[], int]) -> int:
    """The exit code of the program, or `EXIT_CODE` if the reader of its output has gone."""
    try:
        code = program()
        sys.stdout.flush()
    except BrokenPipeError:
        if not is_cut():  # it was another pipe
            raise
        return EXIT_CODE
    return code
