"""Signals during training: the step is finished and saved before the process ends."""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

# From kill, Ctrl-C, a terminal that closes, and SLURM before its time limit.
_NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
ENDING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class TerminationSignals:
    """While entered, notes SIGTERM, SIGINT, SIGHUP and SIGUSR1; they take effect on exit.

    A signal that the process ignores, as under `nohup`, stays ignored. A second SIGINT (Ctrl-C
    twice) interrupts at once. Outside the main thread, where Python allows no handlers, this does
    nothing.

    Attributes:
      received: The number of the received signal, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "TerminationSignals":
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                held = signal.getsignal(number)
                # None: the handler is not from Python but from JAX's runtime, or from faulthandler,
                # whose signals are not meant to end the process.
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
                # Python would end them at its exit, but a signal ends it at once.
                for child in multiprocessing.active_children():
                    if child.daemon:
                        child.terminate()
            # Everything is saved; now the signal takes effect.
            signal.raise_signal(self.received)
