"""Queues that threads fill in the background, with a clean start and end.

    runner = slim.queues.QueueRunner(slim.queues.FIFOQueue(8), make_batch, num_threads=2)
    with slim.queues.QueueRunners([runner]):
        for batch in runner:
            ...

An error in a thread is raised by the next `dequeue`, with the thread's own traceback. When the
`with` statement ends, all threads have ended.
"""

import contextlib
import itertools
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names

T = TypeVar("T")


class OutOfRangeError(EOFError):
    """There are no more items: TensorFlow's `tf.errors.OutOfRangeError`."""


class QueueClosedError(RuntimeError):
    """An item was put into a closed queue."""


class NestedQueueRunnerError(RuntimeError):
    """A queue runner was started a second time."""


class FIFOQueue(queue.Queue[T]):
    """A queue between threads, first in first out, that can be closed.

    Python's own can be closed from 3.13 on.

    Args:
      capacity: The number of items that it holds; `enqueue` waits while it is full.

    Raises:
      ValueError: `capacity` is below 1.

    >>> queue = FIFOQueue(2)
    >>> queue.enqueue("a")
    >>> queue.enqueue("b")
    >>> queue.dequeue(), queue.size()
    ('a', 1)
    """

    def __init__(self, capacity: int):
        super().__init__(checks.count("", "the capacity of a queue", capacity))
        self.capacity = self.maxsize
        self._end: BaseException | None = None
        self._least = 0  # items that stay in the queue until it is closed

    def enqueue(self, item: T) -> None:
        """Puts an item in; waits while the queue is full.

        Raises:
          QueueClosedError: The queue is closed, or was closed while this waited.
        """
        with self.not_full:
            self.not_full.wait_for(lambda: self._end or self._qsize() < self.capacity)
            if self._end is not None:
                raise QueueClosedError("the queue is closed and takes no item")
            self._put(item)
            self.not_empty.notify()

    def dequeue(self) -> T:
        """Takes out the next item; waits for one.

        Raises:
          OutOfRangeError: The queue is closed and empty.
          BaseException: The queue is empty, and was closed with this error.
        """
        with self.not_empty:
            self.not_empty.wait_for(lambda: self._end or self._qsize() > self._least)
            if self._end is not None and not self._qsize():
                raise self._end
            self.not_full.notify()
            return self._get()

    size = queue.Queue.qsize

    def close(self, error: BaseException | None = None, *, drop: bool = False) -> None:
        """Ends `enqueue`; `dequeue` still gives the items that are in the queue.

        Args:
          error: Raised by `dequeue` when no item is left; default an `OutOfRangeError`. The error
            of the first call counts.
          drop: Whether to throw away the items in the queue.
        """
        with self.mutex:
            if self._end is None:
                self._end = error or OutOfRangeError("the queue is closed and has no more items")
            if drop:
                self.queue.clear()
            self.not_empty.notify_all()
            self.not_full.notify_all()


class RandomShuffleQueue(FIFOQueue[T]):
    """A queue whose items come out at random.

    Args:
      capacity: As of `FIFOQueue`.
      min_after_dequeue: The number of items that stay in it to choose from, until it is closed.
      seed: The seed of the choice; None draws one. With several threads the order also depends on
        their timing.

    Raises:
      ValueError: `min_after_dequeue` is not in `[0, capacity)`.

    >>> queue = RandomShuffleQueue(4, seed=0)
    >>> for item in "abcd":
    ...     queue.enqueue(item)
    >>> [queue.dequeue() for _ in range(4)]
    ['d', 'b', 'a', 'c']
    """

    def __init__(self, capacity: int, min_after_dequeue: int = 0, seed: int | None = None):
        super().__init__(capacity)
        checks.number("", "min_after_dequeue", min_after_dequeue, at_least=0, below=capacity)
        self._least = min_after_dequeue
        self._random = random.Random(seed)

    def _get(self) -> T:
        place = self._random.randrange(len(self.queue))
        self.queue[place], self.queue[-1] = self.queue[-1], self.queue[place]
        return self.queue.pop()


class QueueRunner(Generic[T]):
    """Threads that call a function and put the items it returns into a queue.

    Args:
      queue: The queue, which is closed when the runner ends.
      make: Returns one item; with several threads, called in all of them at once. A `StopIteration`
        or an `OutOfRangeError` from it ends its thread, and closes the queue when all threads have
        ended. Every other error ends all threads; `dequeue` raises it after the items before it.
      num_threads: The number of threads.
      name: The name of the threads.

    Attributes:
      queue: As given.
      error: The first error of a thread, or None.

    Raises:
      ValueError: `num_threads` is below 1.

    >>> items = iter("abc")
    >>> runner = QueueRunner(FIFOQueue(8), lambda: next(items))
    >>> with QueueRunners([runner]):
    ...     print(list(runner))
    ['a', 'b', 'c']
    """

    def __init__(
        self,
        queue: FIFOQueue[T],
        make: Callable[[], T],
        num_threads: int = 1,
        name: str = "jslim-queue-runner",
    ):
        self._num_running = checks.count("", "num_threads", num_threads)
        self.queue = queue
        self.error: BaseException | None = None
        self._make = make
        self._threads = [
            threading.Thread(target=self._run, name=name, daemon=True)
            for _ in range(self._num_running)
        ]
        self._lock = threading.Lock()  # for the two below and `_num_running`
        self._has_started = False
        self._has_stopped = False

    def start(self) -> None:
        """Starts the threads.

        Raises:
          NestedQueueRunnerError: They were started before.
        """
        with self._lock:
            if self._has_started:
                raise NestedQueueRunnerError(
                    "a queue runner can be started once; use it in one `with` statement only, or "
                    "make a new runner"
                )
            self._has_started = True
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Closes the queue, drops its items, and waits for the threads to end."""
        self._has_stopped = True
        self.queue.close(drop=True)
        for thread in self._threads if self._has_started else ():
            thread.join()

    def dequeue(self) -> T:
        """The next item; see `FIFOQueue.dequeue`.

        Raises:
          RuntimeError: The threads do not run, so there would never be an item.
        """
        if self._has_stopped or not self._has_started:
            state = "have ended" if self._has_stopped else "have not been started"
            raise RuntimeError(
                f"the threads that fill this queue {state}; ask for items within "
                "`with slim.queues.QueueRunners([...]):`"
            )
        return self.queue.dequeue()

    def take_up_to(self, n: int) -> list[T]:
        """The next `n` items, or fewer at the end.

        Raises:
          OutOfRangeError: No item is left.
        """
        return [self.dequeue(), *itertools.islice(self, max(n - 1, 0))]

    def size(self) -> int:
        """The number of items that are ready."""
        return self.queue.size()

    def __iter__(self) -> Iterator[T]:
        """The items up to the end."""
        with contextlib.suppress(OutOfRangeError):
            while True:
                yield self.dequeue()

    def _run(self) -> None:
        try:
            while not self._has_stopped:
                self.queue.enqueue(self._make())
        except (StopIteration, OutOfRangeError, QueueClosedError):
            pass
        except BaseException as error:  # `dequeue` raises it
            self.error = self.error or error
            self.queue.close(error)
        with self._lock:
            self._num_running -= 1
            is_last = not self._num_running
        if is_last:
            self.queue.close()


class _Runner(Protocol):
    error: BaseException | None

    def start(self) -> None: ...

    def stop(self) -> None: ...


class QueueRunners:
    """Runs queue runners for the duration of a `with` statement.

    Differs from TF-Slim: it takes the runners, not those of a session's graph. At the end of a
    statement without an error, it raises the error of a thread that has failed.

    Args:
      runners: `QueueRunner`s, and the results of `prefetch_queue` and `parallel_read`.

    Raises:
      NestedQueueRunnerError: On entry, one of them was started before.
    """

    def __init__(self, runners: Iterable[_Runner]):
        self._runners = list(runners)

    def __enter__(self) -> "QueueRunners":
        with contextlib.ExitStack() as stack:  # an error stops the runners that were started
            for runner in self._runners:
                runner.start()
                stack.callback(runner.stop)
            stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for runner in self._runners:
            runner.stop()
        errors = [runner.error for runner in self._runners if runner.error is not None]
        if kind is None and errors:
            raise errors[0]


_tf_slim_names.answer_in(__name__)
