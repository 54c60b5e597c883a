"""The progress of a training run: a line rewritten in place on a terminal, else log lines."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple, TextIO

logger = logging.getLogger("jslim")


class Report(NamedTuple):
    """The content of a progress line.

    Attributes:
      step: The step.
      loss: Its loss.
      examples_per_sec: Examples per second since the last report.
      steps_per_sec: Steps per second since the last report.
      data_wait: The share of that time spent waiting for data, 0 to 1.
      seconds_left: Seconds until the last step, or None.
    """

    step: int
    loss: float
    examples_per_sec: float
    steps_per_sec: float
    data_wait: float
    seconds_left: float | None


class Lap(NamedTuple):
    """Counts from one log line to the next."""

    steps: int = 0
    examples: int = 0
    seconds_waited: float = 0.0


class Meter:
    """Counts steps, examples and the time spent waiting for data between two log lines.

    The counts of a line end when its last step is given to the devices (`lap`), its time ends when
    they have computed it (`report`).

    Args:
      last_step: The step at which training ends, or None.
    """

    def __init__(self, last_step: int | None):
        self._last_step = last_step
        self.restart()
        self._total_steps, self._total_seconds = 0, 0.0

    def restart(self) -> None:
        """Discards the counts since the last report."""
        self._since = time.perf_counter()
        self._lap = Lap()

    def leave_out(self, seconds: float) -> None:
        """Leaves out time that has passed, which is not time of training."""
        self._since += seconds

    def count(self, examples: int, seconds_waited: float) -> None:
        steps, more, waited = self._lap
        self._lap = Lap(steps + 1, more + examples, waited + seconds_waited)

    def lap(self) -> Lap:
        """The counts, which start again from 0."""
        lap, self._lap = self._lap, Lap()
        return lap

    def report(self, step: int, loss: float, lap: Lap) -> Report:
        """The report of a lap that has just ended, with the time since the last report."""
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        self._since = now
        self._total_steps += lap.steps
        self._total_seconds += seconds
        seconds_left = None
        if self._last_step is not None and self._total_steps:
            per_step = self._total_seconds / self._total_steps
            seconds_left = max(self._last_step - step, 0) * per_step
        return Report(
            step,
            loss,
            lap.examples / seconds,
            lap.steps / seconds,
            min(lap.seconds_waited / seconds, 1.0),
            seconds_left,
        )


class ProgressLine:
    """Shows reports on `stream`, in place on a terminal, else line by line.

    Not on a terminal, they are logged at level INFO instead if logging is set up.

    Args:
      last_step: The step at which training ends, or None.
      stream: Default `sys.stderr`.
    """

    def __init__(self, last_step: int | None, stream: TextIO | None = None):
        self._last_step = last_step
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = bool(getattr(self._stream, "isatty", lambda: False)())
        self._is_open = False

    def show(self, report: Report, norms: Mapping[str, float] | None = None) -> None:
        line = format_report(report, self._last_step, norms)
        if not self._is_terminal:
            # Without logging set up, as in a notebook, Python does not show INFO lines.
            if logger.hasHandlers():
                logger.info(line)
            else:
                print(line, file=self._stream, flush=True)
            return
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()
        self._is_open = True

    def close(self) -> None:
        """Ends the line, so that the next output starts on a new one."""
        if self._is_open:
            self._stream.write("\n")
            self._stream.flush()
            self._is_open = False


def format_report(
    report: Report, last_step: int | None, norms: Mapping[str, float] | None = None
) -> str:
    """A report in one line; norms come after the loss, such as `gradient norm 1.23`.

    >>> format_report(Report(120, 0.3456, 5432.1, 42.4, 0.03, 12.0), 600)
    'step 120/600  loss 0.3456  5432 images/s  waiting for data 3%  0:12 left'
    """
    of = f"/{last_step}" if last_step is not None else ""
    parts = [
        f"step {report.step}{of}",
        f"loss {report.loss:.4f}",
        *(f"{name.replace('_', ' ')} {norm:.4g}" for name, norm in (norms or {}).items()),
        f"{report.examples_per_sec:.0f} images/s",
        f"waiting for data {report.data_wait:.0%}",
    ]
    if report.seconds_left is not None:
        minutes, seconds = divmod(round(report.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        parts.append(f"{clock} left")
    return "  ".join(parts)
