"""Signals during training: finish the step, save, and only then end."""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

# What ends a run: kill, Ctrl-C, a terminal that closes, and SLURM some time before its limit.
_NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
ENDING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class TerminationSignals:
    """While entered, notes SIGTERM, SIGINT, SIGHUP and SIGUSR1 instead of dying of them.

    One that the process ignores, as after `nohup`, stays ignored. A second SIGINT (Ctrl-C twice)
    is not held back. Outside the main thread, where Python allows no handlers, it does nothing.

    Attributes:
      received: The number of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "TerminationSignals":
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                held = signal.getsignal(number)
                # None is one that was not set from Python: by JAX's runtime, or by faulthandler,
                # whose signals are not asked to end anything.
                is_others = held is None and number not in (signal.SIGTERM, signal.SIGINT)
                if held == signal.SIG_IGN or is_others:
                    continue
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
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self.received is not None and error is None:
            if signal.getsignal(self.received) == signal.SIG_DFL:
                # Python ends them before it ends, which a signal does not wait for.
                for child in multiprocessing.active_children():
                    if child.daemon:
                        child.terminate()
            # What the signal would have done at once, now that everything is saved.
            signal.raise_signal(self.received)
