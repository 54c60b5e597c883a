"""Background work: threads that fill a queue, with a clean start and a clean end.

    runner = slim.queues.QueueRunner(slim.queues.FIFOQueue(8), make_batch, num_threads=2)
    with slim.queues.QueueRunners([runner]):
        for batch in runner:
            ...

What a thread raises reaches whoever asks for the next item, with the thread's own traceback. When
the `with` statement ends no thread is left.
"""

import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from jslim.core import checks

T = TypeVar("T")


class OutOfRangeError(EOFError):
    """There are no more items: TensorFlow's `tf.errors.OutOfRangeError`."""


class QueueClosedError(RuntimeError):
    """Something was to be put into a queue that takes nothing any more."""


class NestedQueueRunnerError(RuntimeError):
    """A runner was started that is running."""


class FIFOQueue(queue.Queue[T]):
    """A queue between threads, first in first out, that can be closed.

    Python's own can be closed from 3.13 on.

    Args:
      capacity: How many items it holds; `enqueue` waits while it is full.

    Raises:
      ValueError: `capacity` is below 1.
    """

    def __init__(self, capacity: int):
        super().__init__(checks.count("", "the capacity of a queue", capacity))
        self.capacity = self.maxsize
        self._end: BaseException | None = None
        self._least = 0  # items that stay in the queue until it is closed

    def enqueue(self, item: T) -> None:
        """Puts an item in, and waits for room.

        Raises:
          QueueClosedError: The queue is closed, or was closed meanwhile.
        """
        with self.not_full:
            self.not_full.wait_for(lambda: self._end or self._qsize() < self.capacity)
            if self._end is not None:
                raise QueueClosedError("the queue is closed and takes no item.")
            self._put(item)
            self.not_empty.notify()

    def dequeue(self) -> T:
        """Waits for the next item and takes it out.

        Raises:
          OutOfRangeError: The queue is closed and empty.
          BaseException: What the queue was closed with.
        """
        with self.not_empty:
            self.not_empty.wait_for(lambda: self._end or self._qsize() > self._least)
            if self._end is not None and not self._qsize():
                raise self._end
            self.not_full.notify()
            return self._get()

    size = queue.Queue.qsize

    def close(self, error: BaseException | None = None, *, drop: bool = False) -> None:
        """Ends `enqueue`; `dequeue` still gives what is in the queue. A second call changes no end.

        Args:
          error: What `dequeue` raises when no item is left; default an `OutOfRangeError`.
          drop: Whether to throw away what is in it.
        """
        with self.mutex:
            if self._end is None:
                self._end = error or OutOfRangeError("the queue is closed and has no more items.")
            if drop:
                self.queue.clear()
            self.not_empty.notify_all()
            self.not_full.notify_all()


class RandomShuffleQueue(FIFOQueue[T]):
    """A queue whose items come out at random.

    Args:
      capacity: As of `FIFOQueue`.
      min_after_dequeue: How many items stay in it to choose among, until it is closed.
      seed: Of the choice; None draws one. With several threads the order depends on them too.

    Raises:
      ValueError: `min_after_dequeue` is not in `[0, capacity)`.
    """

    def __init__(self, capacity: int, min_after_dequeue: int = 0, seed: int | None = None):
        super().__init__(capacity)
        if not 0 <= min_after_dequeue < capacity:
            raise ValueError(
                f"min_after_dequeue must be in [0, capacity), got {min_after_dequeue} with a "
                f"capacity of {capacity}."
            )
        self._least = min_after_dequeue
        self._random = random.Random(seed)

    def _get(self) -> T:
        place = self._random.randrange(len(self.queue))
        self.queue[place], self.queue[-1] = self.queue[-1], self.queue[place]
        return self.queue.pop()


class QueueRunner(Generic[T]):
    """Threads that put what a function makes into a queue.

    Args:
      queue: Where the items go. It ends with the runner.
      make: Makes one item; with several threads, called in all of them at once. A `StopIteration`
        or an `OutOfRangeError` from it ends its thread, and the queue when all have ended; anything
        else that it raises ends all, and comes out of `dequeue` after the items before it.
      num_threads: How many threads.
      name: What they are called.

    Attributes:
      queue: As given.
      error: What a thread failed with, if one did.

    Raises:
      ValueError: `num_threads` is below 1.
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
        self._lock = threading.Lock()  # of the two that follow, and of `_num_running`
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
                    "a queue runner can be started once; leave its `with` statement to whoever "
                    "opened it, or make a new runner."
                )
            self._has_started = True
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Closes the queue, drops what is in it, and waits for the threads to end."""
        self._has_stopped = True
        self.queue.close(drop=True)
        for thread in self._threads if self._has_started else ():
            thread.join()

    def dequeue(self) -> T:
        """The next item; see `FIFOQueue.dequeue`.

        Raises:
          RuntimeError: The threads do not run: there would never be an item.
        """
        if self._has_stopped or not self._has_started:
            state = "have ended" if self._has_stopped else "have not been started"
            raise RuntimeError(
                f"the threads that fill this queue {state}; ask for items within "
                "`with slim.queues.QueueRunners([...]):`."
            )
        return self.queue.dequeue()

    def take_up_to(self, n: int) -> list[T]:
        """The next `n` items, or all that are left where these are fewer.

        Raises:
          OutOfRangeError: Nothing is left.
        """
        items = [self.dequeue()]
        while len(items) < n:
            try:
                items.append(self.dequeue())
            except OutOfRangeError:
                break
        return items

    def size(self) -> int:
        """How many items are ready."""
        return self.queue.size()

    def __iter__(self) -> Iterator[T]:
        """The items up to the end."""
        while True:
            try:
                item = self.dequeue()
            except OutOfRangeError:
                return
            yield item

    def _run(self) -> None:
        try:
            while not self._has_stopped:
                self.queue.enqueue(self._make())
        except (StopIteration, OutOfRangeError, QueueClosedError):
            pass
        except BaseException as error:  # whoever asks for the next item gets it
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
    """Runs queue runners for the time of a `with` statement.

    Differs from TF-Slim: it takes the runners, where TF-Slim took those of the session's graph.
    When the statement ends without an error and a thread has failed, that error is raised.

    Args:
      runners: `QueueRunner`s, and what `prefetch_queue` and `parallel_read` give.

    Raises:
      NestedQueueRunnerError: On entry, one of them runs already.
    """

    def __init__(self, runners: Iterable[_Runner]):
        self._runners = list(runners)

    def __enter__(self) -> "QueueRunners":
        started: list[_Runner] = []
        try:
            for runner in self._runners:
                runner.start()
                started.append(runner)
        except BaseException:
            for runner in started:
                runner.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for runner in self._runners:
            runner.stop()
        errors = [runner.error for runner in self._runners if runner.error is not None]
        if kind is None and errors:
            raise errors[0]
