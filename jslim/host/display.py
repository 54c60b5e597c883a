"""What a person sees of work under way: one row in a terminal or notebook, lines in a pipe.

    with display.task("evaluating", total=30, unit="batches") as task:
        for count, batch in enumerate(batches, 1):
            ...
            task.update(count, [Field("5432 images/s")])

    with display.status("compiling the step", done="compiled the step"):
        ...

    display.message("done: 300 steps")

In a terminal the row of the newest task is drawn anew several times a second, below all that the
program prints and logs meanwhile. Elsewhere a task has a line from time to time, and then one with
the last count. Lines go to the standard error, or are logged at level INFO where the program's
logging shows that level of the logger `jslim`; never both. Nothing is shown by other processes than
the first one, or where that logger's own level is above INFO.
"""

import contextlib
import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax

from jslim.core.text import printable
from jslim.host import _screens
from jslim.host.terminals import wrapped

logger = logging.getLogger("jslim")

_TICK_SECS = 0.2
_SHORT_SECS = 1.0  # what takes less is not worth a line of its own
# When a task that waits has a line in a pipe, in seconds after its start; then every ten minutes.
_LINES_AFTER = (1, 2, 5, 10, 30, 60, 120, 300)
_LAST_INTERVAL = 600


class Field(NamedTuple):
    """A part of a row.

    Attributes:
      text: Such as `loss 0.35`.
      rank: In a narrow terminal the fields of the highest rank are left out first.
    """

    text: str
    rank: int = 1


class Task:
    """Work under way, from `Display.task`."""

    def __init__(
        self,
        name: str,
        total: int | None,
        unit: str,
        done: int,
        is_log: bool,
        clock: Callable[[], float],
    ):
        self.total, self.done, self.is_log = total, done, is_log
        self._done_before = done
        self._lock = threading.Lock()
        self._name, self._unit, self._clock = name, unit, clock
        self.is_updated = False
        self.count_of_line: int | None = None  # in its last line in a pipe, if it had any
        self._fields: Sequence[Field] = ()
        self._seconds_left: float | None = None
        self._started = self._updated = clock()
        self._line_times = itertools.chain(
            _LINES_AFTER, itertools.count(_LAST_INTERVAL, _LAST_INTERVAL)
        )
        self._next_line = next(self._line_times)
        self.on_update: Callable[[], None] | None = None  # of the display that shows it

    def update(
        self, done: int, fields: Sequence[Field] = (), seconds_left: float | None = None
    ) -> None:
        """Tells how far the work is.

        Args:
          done: How much of `total` is done.
          fields: What else there is to tell.
          seconds_left: How long the rest will take; by default as long in proportion as so far.
        """
        self.done, self._fields, self.is_updated = done, fields, True
        self._updated = self._clock()
        if seconds_left is None and self.total and (now_done := done - self._done_before):
            seconds_left = self.seconds() * (self.total - done) / now_done
        self._seconds_left = seconds_left
        if self.on_update is not None:
            self.on_update()

    def advance(self, count: int = 1) -> None:
        """Tells that so much more is done; threads may share a task."""
        with self._lock:
            self.update(self.done + count)

    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._started

    def is_due(self) -> bool:
        """Whether it is time for its next line in a pipe."""
        is_due = not self.is_log and self.seconds() >= self._next_line
        while is_due and self.seconds() >= self._next_line:
            self._next_line = next(self._line_times)
        return is_due

    def fields(self) -> list[Field]:
        """The parts of its row: its name with what is done, the given fields, and the time."""
        of = f"/{self.total}" if self.total else ""
        count = [f"{self.done}{of}"] if of or self._unit else []
        head = Field(" ".join([self._name, *count, *filter(None, [self._unit])]), 0)
        return [head, *self._fields, *self._time()]

    def _time(self) -> Iterator[Field]:
        is_whole = not self.is_log and self.done == self.total
        if self._seconds_left is not None and not is_whole:
            left = max(self._seconds_left - (self._clock() - self._updated), 0)
            yield Field(f"{_clock_of(left)} left", 0)
        elif not self.is_log and (seconds := int(self.seconds())):
            yield Field(f"{seconds} s" if seconds < 100 else _clock_of(seconds), 0)


class Display:
    """Shows tasks; the functions of this module are those of the one that all share.

    Args:
      clock: The time in seconds.
      tick_secs: Seconds from one drawing to the next, in a thread of its own; None draws when
        `tick` is called, and when there is something new.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        tick_secs: float | None = _TICK_SECS,
    ):
        self._clock, self._tick_secs = clock, tick_secs
        self._lock = threading.RLock()
        self._tasks: list[Task] = []
        self._screen: _screens.Screen | None = None  # that of all tasks; None in a pipe
        self._stopped = threading.Event()

    @contextlib.contextmanager
    def task(
        self,
        name: str,
        total: int | None = None,
        unit: str = "",
        *,
        done: int = 0,
        is_log: bool = False,
    ) -> Iterator[Task]:
        """Shows work for the time of the body.

        Args:
          name: What is done, such as `evaluating`.
          total: How much there is to do, if that is known.
          unit: Of what, such as `batches`.
          done: How much of it is done already.
          is_log: Whether each update is a line in a pipe, and the last one stays in a terminal.
            Otherwise lines come 1, 2, 5, 10, 30, 60 seconds and so on after the start.
        """
        task = Task(name, total, unit, done, is_log, self._clock)
        if _is_quiet():
            yield task
            return
        self._begin(task)
        try:
            yield task
        finally:
            self._end(task)

    @contextlib.contextmanager
    def status(self, name: str, done: str | None = None) -> Iterator[None]:
        """Shows for the time of the body what is waited for, and how long already.

        Args:
          name: Such as `compiling the step`.
          done: What to say with the time it took in the end, unless that is less than a second:
            `compiled the step`.
        """
        with self.task(name) as task:
            yield
        if done is not None and task.seconds() >= _SHORT_SECS:
            self.message(f"{done} in {duration(task.seconds())}")

    def message(self, text: str) -> None:
        """Shows a line."""
        if _is_quiet():
            return
        text = printable(text)
        if _is_logged():
            logger.info("%s", text)
            return
        stream = sys.stdout if _screens.is_notebook() else sys.stderr
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it is closed, or None
            stream.write(f"{wrapped(text, stream)}\n")
            stream.flush()

    def tick(self) -> None:
        """Draws the row anew; in a pipe shows a line if that is due."""
        with self._lock:
            if not self._tasks:
                return
            task = self._tasks[-1]
            if self._screen is not None:
                self._draw(task)
                return
            is_due = task.is_due()
        if is_due:
            self._say(task)

    def _begin(self, task: Task) -> None:
        with self._lock:
            self._tasks.append(task)
            if len(self._tasks) > 1:
                return
            self._screen = _screens.find_screen(sys.stderr, self._lock)
            if self._tick_secs is not None:
                self._stopped = threading.Event()
                ticks = threading.Thread(target=self._tick_until, args=[self._stopped], daemon=True)
                ticks.start()
        task.on_update = lambda: self._updated(task)

    def _say(self, task: Task) -> None:
        """Shows the line of a task; not under the lock: handlers of logging have their own."""
        task.count_of_line = task.done
        self.message(_line_of(task))

    def _end(self, task: Task) -> None:
        if self._screen is None and task.count_of_line not in (None, task.done):
            self._say(task)
        with self._lock:
            self._tasks.remove(task)
            task.on_update = None
            is_left = task.is_log and task.is_updated
            if self._screen is not None and (task.is_updated or self._screen.keeps_rows):
                self._draw(task)
            if self._screen is not None and is_left:
                self._screen.leave()
            if self._tasks:
                if self._screen is not None:
                    self._draw(self._tasks[-1])
                return
            self._stopped.set()
            if self._screen is not None:
                self._screen.close()
                self._screen = None

    def _tick_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._tick_secs):
            self.tick()

    def _updated(self, task: Task) -> None:
        if self._screen is None and task.is_log:
            self._say(task)
        elif self._tick_secs is None:
            self.tick()

    def _draw(self, task: Task) -> None:
        assert self._screen is not None
        fields = [(printable(text), rank) for text, rank in task.fields()]
        self._screen.draw(fields, task.done / task.total if task.total else None)


def duration(seconds: float) -> str:
    """A time in words.

    >>> [duration(seconds) for seconds in (1.25, 38, 123, 4000)]
    ['1.2 s', '38 s', '2:03 min', '1:06:40 h']
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{_clock_of(seconds)} {'min' if seconds < 3599.5 else 'h'}"


def _clock_of(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _line_of(task: Task) -> str:
    return "  ".join(field.text for field in task.fields())


def _is_quiet() -> bool:
    is_off = logger.level > logging.INFO or logger.manager.disable >= logging.INFO
    # Asked only then, since it starts JAX's devices.
    return is_off or (jax.distributed.is_initialized() and jax.process_index() != 0)


def _is_logged() -> bool:
    """Whether the program's logging shows lines of level INFO of this library."""
    if not logger.isEnabledFor(logging.INFO):
        return False
    owner: logging.Logger | None = logger
    while owner is not None:
        for handler in owner.handlers:
            if handler.level <= logging.INFO and not isinstance(handler, logging.NullHandler):
                return True
        owner = owner.parent if owner.propagate else None
    return False


_DISPLAY = Display()
task, status, message = _DISPLAY.task, _DISPLAY.status, _DISPLAY.message
