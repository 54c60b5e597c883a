"""SIGTERM and SIGINT during training: finish the step, save, and only then end."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TerminationSignals:
    """While entered, notes SIGTERM and SIGINT instead of dying of them.

    A second SIGINT (Ctrl-C twice) is not held back. Outside the main thread, where Python allows
    no handlers, it does nothing.

    Attributes:
      received: The number of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "TerminationSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None is one that was not set from Python, as JAX's runtime does.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self.received is not None and error is None:
            # What the signal would have done at once, now that everything is saved.
            signal.raise_signal(self.received)
