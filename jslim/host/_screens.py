"""Where `display` draws its row: the last row of a terminal, or the output of a notebook's cell."""

import contextlib
import functools
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TextIO

from jslim.host.terminals import is_terminal, width_of

_ERASE = "\r\x1b[2K"
_MARGIN = 2  # columns from one field to the next
_SHORT_SECS = 0.05
_LEAST_BAR, _MOST_BAR = 10, 30  # columns

Lock = contextlib.AbstractContextManager[Any]  # a threading.RLock
Fields = Sequence[tuple[str, int]]  # the texts, and the ranks by which they are left out


class Screen(Protocol):
    """A place with one row that changes.

    Attributes:
      keeps_rows: Whether the last row stays where it is closed.
    """

    keeps_rows: bool

    def draw(self, fields: Fields, share: float | None) -> None:
        """Shows a row, and a bar of the share that is done where there is room for it."""

    def leave(self) -> None:
        """Leaves the row as it is; the next one stands below it."""

    def close(self) -> None:
        """Ends it."""


def find_screen(stream: TextIO | None, lock: Lock) -> Screen | None:
    """The terminal behind the stream, or the notebook; None for pipes, files and dumb terminals."""
    if is_notebook():
        return _Cell()
    if stream is None or not is_terminal(stream) or os.environ.get("TERM") in ("dumb", "unknown"):
        return None
    return _Row(stream, lock)


def is_notebook() -> bool:
    """Whether this is the process of a Jupyter notebook."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter


def fitting(fields: Fields, width: int) -> list[str]:
    """The texts that fit into the width side by side; those of the highest rank go first.

    >>> fitting([("step 5", 0), ("5432 images/s", 2), ("loss 0.3", 1), ("0:12 left", 0)], 30)
    ['step 5', 'loss 0.3', '0:12 left']
    """
    kept = list(fields)
    while len(kept) > 1 and _columns(text for text, _ in kept) > width:
        # Of one rank, the last goes first.
        kept.remove(max(reversed(kept), key=lambda field: field[1]))
    return [text for text, _ in kept]


def _columns(texts: Iterable[str]) -> int:
    """The columns of texts side by side; those of wide letters count twice."""
    from rich.cells import cell_len

    return cell_len((" " * _MARGIN).join(texts))


class _Row:
    """The last row of a terminal, below all that is written to it meanwhile.

    While it is open, `sys.stdout`, `sys.stderr` and handlers of logging write to the terminal
    through it: the row makes place for what they write and is drawn anew below. While a line that
    they began has no end, such as the prompt of a debugger, there is no row.
    """

    keeps_rows = False

    def __init__(self, stream: TextIO, lock: Lock):
        from rich.console import Console

        self._stream, self._lock = stream, lock
        # Knows colours, and NO_COLOR.
        self._console = Console(file=stream, highlight=False, force_jupyter=False)
        self._row = ""  # the newest one
        self._is_drawn, self._drawn_at = False, 0.0
        self._is_held = False
        self._redirected = contextlib.ExitStack()
        for name in ("stdout", "stderr"):
            self._redirected.enter_context(_redirected(name, self))

    def draw(self, fields: Fields, share: float | None) -> None:
        row = self._rendered(fields, share)
        if row != self._row or not self._is_drawn:
            self._row = row
            self._draw()

    def leave(self) -> None:
        if self._is_drawn:
            self._write("\n")
        self._row, self._is_drawn = "", False

    def close(self) -> None:
        self._erase()
        self._redirected.close()

    def _draw(self) -> None:
        if self._row and not self._is_held:
            self._write(self._erasure() + self._row)
            self._is_drawn, self._drawn_at = True, time.monotonic()

    def _erase(self) -> None:
        if self._is_drawn:
            self._write(self._erasure())
            self._is_drawn = False

    def _erasure(self) -> str:
        # The terminal of a `!` command of a notebook, whose page knows no command to erase.
        if "JPY_PARENT_PID" in os.environ:
            return f"\r{' ' * (width_of(self._stream) - 1)}\r"
        return _ERASE

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone
            self._stream.write(text)
            self._stream.flush()

    def write_above(self, stream: TextIO, text: str) -> int:
        """Writes what others write."""
        with self._lock:
            self._erase()
            try:
                count = stream.write(text)
                stream.flush()
            finally:
                if text:
                    self._is_held = not text.endswith("\n")
                # Of many lines in a moment, a few are enough to draw the row below.
                if time.monotonic() - self._drawn_at > _SHORT_SECS:
                    self._draw()
        return count

    def _rendered(self, fields: Fields, share: float | None) -> str:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        width = width_of(self._stream) - 1  # in the last column some terminals begin a new row
        head, *rest = fitting(fields, width)
        room = width - _columns([head, *rest]) - _MARGIN
        bar = None
        if share is not None and room >= _LEAST_BAR:
            bar = ProgressBar(total=1.0, completed=share, width=min(room, _MOST_BAR))
        with self._console.capture() as captured:
            show = functools.partial(self._console.print, end="", no_wrap=True, overflow="crop")
            show(Text(head, "bold"), width=width)
            for part in (bar, *(Text(text) for text in rest)):
                if part is not None:
                    show(" " * _MARGIN)
                    show(part)
        return captured.get()


class _Above:
    """A stream whose text appears above a row."""

    def __init__(self, stream: TextIO, row: _Row):
        self._stream, self._row = stream, row

    def write(self, text: str) -> int:
        return self._row.write_above(self._stream, text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:  # each as soon as it is there
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _redirected(name: str, row: _Row) -> Iterator[None]:
    """Has `sys.stdout` or `sys.stderr`, if a terminal, and its handlers write above the row."""
    stream = getattr(sys, name)
    if not is_terminal(stream):
        yield
        return
    above: Any = _Above(stream, row)
    setattr(sys, name, above)
    _change_handlers(stream, above)
    try:
        yield
    finally:
        if getattr(sys, name) is above:
            setattr(sys, name, stream)
        _change_handlers(above, stream)


def _change_handlers(before: Any, after: Any) -> None:
    """Has the handlers of logging that write to one stream write to another one."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for handler in [handler for owner in loggers for handler in getattr(owner, "handlers", ())]:
        handler = getattr(handler, "python_handler", handler)  # Abseil's has another one inside
        if getattr(handler, "stream", None) is before and hasattr(handler, "setStream"):
            handler.setStream(after)


class _Cell:
    """An output of a notebook's cell, whose text changes."""

    keeps_rows = True
    _unused: tuple[int, Any] = -1, None  # the output whose text may change, and of which cell

    def __init__(self) -> None:
        from IPython import get_ipython

        self._number = get_ipython().execution_count
        number, handle = _Cell._unused
        self._handle = handle if number == self._number else None
        self._drawn = ""

    def draw(self, fields: Fields, share: float | None) -> None:
        from IPython.display import display

        row = (" " * _MARGIN).join(text for text, _ in fields)
        if row == self._drawn:
            return
        self._drawn = row
        bundle = {"text/plain": row}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def leave(self) -> None:
        self._handle, self._drawn = None, ""

    def close(self) -> None:
        _Cell._unused = self._number, self._handle
