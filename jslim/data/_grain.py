"""The one file that talks to Grain: loads elements ahead in threads or processes, in order."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Generic, TypeVar

from jslim.host.packages import needed

T = TypeVar("T")


class _Elements(Generic[T]):
    """A Grain source of `load(first)` to `load(stop - 1)` that notes the threads it runs in."""

    def __init__(self, load: Callable[[int], T], numbers: range, num_threads: int = 0):
        self._load = load
        self._numbers = numbers
        self.threads: set[threading.Thread] = set()
        # Grain's pool starts a new thread while no thread is idle. Each waits here for all others,
        # so all of them start.
        count = min(num_threads, max(1, len(numbers)))
        self.all_started = threading.Barrier(count) if count else None

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> T:
        thread = threading.current_thread()
        if self.all_started is not None and thread not in self.threads:
            self.threads.add(thread)
            self.all_started.wait()
        return self._load(self._numbers[index])


class ReadAhead(Iterator[T]):
    """Iterates over `load(first)`, `load(first + 1)`, ..., loading ahead.

    The order is that of the numbers for any number of threads and processes. An element is a whole
    batch: passing single records between threads costs more than decoding a small image. `next`
    raises an exception of `load` with its own traceback.

    Args:
      load: Makes one element; called in several threads at once, or pickled for the processes.
      first: The first number.
      stop: The number after the last one; None for no end.
      num_threads: The number of threads that load, if there are no processes; one element more is
        loaded ahead.
      num_workers: The number of processes that load, each in one thread and one element ahead; 0
        for threads.

    Raises:
      ImportError: Grain is not installed.
      RuntimeError: From `next`: a process was killed.
    """

    def __init__(
        self,
        load: Callable[[int], T],
        first: int,
        stop: int | None,
        *,
        num_threads: int,
        num_workers: int = 0,
    ):
        instead = ", or pass num_threads=0 and num_workers=0"
        with needed("Grain", "reading ahead in threads or processes", instead=instead):
            import grain
        numbers = range(first, sys.maxsize if stop is None else stop)
        self._num_workers = num_workers
        self._elements = _Elements(load, numbers, 0 if num_workers else num_threads)
        threads, ahead = (1, 1) if num_workers else (num_threads, num_threads + 1)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        dataset = grain.MapDataset.source(self._elements).to_iter_dataset(options)
        if num_workers:
            _mark_flags_as_parsed()
            dataset = dataset.mp_prefetch(
                grain.MultiprocessingOptions(num_workers=num_workers),
                worker_init_fn=_end_with_parent,
            )
        self._has_started = not num_workers
        self._iterator = iter(dataset)

    def __next__(self) -> T:
        try:
            if self._has_started:
                return next(self._iterator)
            with _signals_left_to_this_process():
                first = next(self._iterator)
            self._has_started = True
            return first
        except RuntimeError as error:
            if self._num_workers and "exit code" in str(error):
                raise RuntimeError(
                    f"a process that reads data has died ({error}); a kill by the system is a sign "
                    "of too little memory: start again, with fewer num_workers"
                ) from error
            raise

    def close(self) -> None:
        """Ends threads and processes; waits for elements that are being loaded and drops them."""
        self._iterator.close()
        if self._elements.all_started is not None:
            # Grain tells its threads to end but does not wait for them.
            self._elements.all_started.abort()
            for thread in self._elements.threads:
                thread.join()


def _end_with_parent(index: int, count: int) -> None:
    """Ends this worker when its parent process ends, in any way."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _signals_left_to_this_process() -> Iterator[None]:
    """Processes started in the body ignore all signals but SIGTERM.

    A terminal sends the other signals to all of its processes.
    """
    resource_tracker.ensure_running()  # starting it would reset the mask
    # Processes that this thread starts inherit its mask.
    numbers = {signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _mark_flags_as_parsed() -> None:
    # Grain asks absl for flags of its own, which only programs run by absl have parsed.
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
