"""The one file that talks to Grain: loads elements ahead in threads, in order."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Elements(Generic[T]):
    """A Grain source of `load(first)`, ... `load(stop - 1)` that knows the threads it runs in."""

    def __init__(self, load: Callable[[int], T], numbers: range, num_threads: int):
        self._load = load
        self._numbers = numbers
        self.threads: set[threading.Thread] = set()
        # Grain's pool starts a thread only while none is idle, so all of them come here.
        self.all_started = threading.Barrier(min(num_threads, max(1, len(numbers))))

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> T:
        thread = threading.current_thread()
        if thread not in self.threads:
            self.threads.add(thread)
            self.all_started.wait()
        return self._load(self._numbers[index])


class ReadAhead(Iterator[T]):
    """Iterates over `load(first)`, `load(first + 1)`, ..., loading ahead in threads.

    The order is that of the numbers, whatever the threads do. An element is a whole batch, because
    handing single records between threads costs more than decoding a small image. An exception in
    `load` is raised by `next` with its own traceback.

    Args:
      load: Makes one element; called in several threads at once.
      first: The first number.
      stop: The number after the last one; None means that there is no end.
      num_threads: How many threads load; one element more than that is loaded ahead.

    Raises:
      ImportError: Grain is not installed.
    """

    def __init__(self, load: Callable[[int], T], first: int, stop: int | None, *, num_threads: int):
        try:
            import grain
        except ImportError as error:
            raise ImportError(
                "reading ahead in threads needs Grain, which is not installed; run: "
                "pip install 'jslim[cli]', or pass num_threads=0"
            ) from error
        numbers = range(first, sys.maxsize if stop is None else stop)
        self._elements = _Elements(load, numbers, num_threads)
        options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=num_threads + 1)
        self._iterator = iter(grain.MapDataset.source(self._elements).to_iter_dataset(options))

    def __next__(self) -> T:
        return next(self._iterator)

    def close(self) -> None:
        """Ends the threads. Elements that are being loaded are waited for, and dropped."""
        self._iterator.close()
        # Grain tells its threads to end but does not wait for them.
        self._elements.all_started.abort()
        for thread in self._elements.threads:
            thread.join()
