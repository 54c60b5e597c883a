"""Batches copied to the devices ahead of the step that uses them."""

import queue
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import jax

from jslim.data.batching import BatchIterator

DeviceBatch = dict[str, jax.Array]

# How often a thread that waits for room in its queue looks whether it is to end.
_SECONDS_BETWEEN_LOOKS = 0.05


class _End:
    """The last thing in the queue: why there is no further batch."""

    def __init__(self, error: BaseException):
        self.error = error


class DeviceBatchIterator(Iterator[DeviceBatch]):
    """What `prefetch_to_device` gives: batches on the devices, with the position of those given.

    Attributes:
      batches: The iterator over host batches.
      batch_size: The rows of every batch, over all devices.
      seconds_waited: How long `next` has made its caller wait for data so far, all calls together.
    """

    def __init__(self, batches: BatchIterator, sharding: jax.sharding.Sharding, depth: int):
        self.batches = batches
        self.batch_size = batches.batch_size
        self.seconds_waited = 0.0
        self._sharding = sharding
        self._depth = depth
        self._state = batches.get_state()
        self._end: _End | None = None
        self._is_closed = False
        self._start()

    def _start(self) -> None:
        self._queue: queue.Queue[tuple[DeviceBatch, dict[str, Any]] | _End] = queue.Queue(
            self._depth
        )
        stop = threading.Event()
        thread = threading.Thread(
            target=_fill,
            args=(self.batches, self._sharding, self._queue, stop),
            name="jslim-prefetch-to-device",
            daemon=True,
        )
        thread.start()
        # Also run when the iterator is forgotten, and before the interpreter ends.
        self._end_thread = weakref.finalize(self, _end_thread, thread, stop)

    def __next__(self) -> DeviceBatch:
        if self._is_closed:
            raise ValueError("the prefetched batches are closed; make new ones.")
        if self._end is None:
            started = time.perf_counter()
            item = self._queue.get()
            self.seconds_waited += time.perf_counter() - started
            if not isinstance(item, _End):
                batch, self._state = item
                return batch
            self._end = item
        raise self._end.error

    @property
    def element_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape, dtype and sharding of every array of a batch."""
        return {
            name: jax.ShapeDtypeStruct(spec.shape, spec.dtype, sharding=self._sharding)
            for name, spec in self.batches.element_spec.items()
        }

    def get_state(self) -> dict[str, Any]:
        """The position after the batches handed out; those that wait in the queue do not count."""
        return self._state

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved position; see `BatchIterator.set_state`."""
        self._end_thread()
        self.batches.set_state(state)
        self._state = self.batches.get_state()
        self._end = None
        self._start()

    def rewind(self) -> None:
        """Goes back to the first record; see `BatchIterator.rewind`."""
        self.set_state({**self.get_state(), "position": 0})

    def close(self) -> None:
        """Ends the thread and closes the host batches; no batch can be asked for afterwards."""
        self._is_closed = True
        self._end_thread()
        self.batches.close()

    def __enter__(self) -> "DeviceBatchIterator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fill(
    batches: BatchIterator,
    sharding: jax.sharding.Sharding,
    filled: queue.Queue[tuple[DeviceBatch, dict[str, Any]] | _End],
    stop: threading.Event,
) -> None:
    """The thread: puts batches into the queue until the data ends, fails, or `stop` is set."""
    item: tuple[DeviceBatch, dict[str, Any]] | _End | None = None
    while not stop.is_set() and not isinstance(item, _End):
        try:
            item = (jax.device_put(next(batches), sharding), batches.get_state())
        except BaseException as error:  # It is the caller's of `next`, whatever it is.
            item = _End(error)
        while not stop.is_set():
            try:
                filled.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
                break
            except queue.Full:
                continue


def _end_thread(thread: threading.Thread, stop: threading.Event) -> None:
    stop.set()
    # Garbage is collected in any thread, also in the one that is to end.
    if thread is not threading.current_thread():
        thread.join()


def prefetch_to_device(
    batches: BatchIterator, sharding: jax.sharding.Sharding, depth: int = 2
) -> DeviceBatchIterator:
    """Copies batches to the devices in a thread, so that a step finds its batch there.

    Args:
      batches: What `jslim.data.batches` gives. It belongs to the result from here on: positions
        are saved, restored and closed through the result.
      sharding: How rows lie on the devices, as a rule `NamedSharding(mesh, PartitionSpec('data'))`.
      depth: How many batches wait on the devices; one more is on its way.

    Returns:
      An iterator over the same batches as `jax.Array`s, with `get_state`, `set_state`,
      `element_spec`, `seconds_waited` and `close`.

    Raises:
      ValueError: The rows cannot be split evenly over the devices, or `depth` is below 1.
      Exception: From `next`, what the thread met, with its own traceback.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}.")
    num_devices = len(sharding.device_set)
    num_parts = num_devices // sharding.shard_shape((num_devices,))[0]
    if batches.batch_size % num_parts:
        below = batches.batch_size - batches.batch_size % num_parts
        sizes = " or ".join(str(size) for size in (below, below + num_parts) if size)
        raise ValueError(
            f"a batch of {batches.batch_size} rows cannot be split evenly over {num_parts} "
            f"devices; use a batch_size of {sizes}."
        )
    return DeviceBatchIterator(batches, sharding, depth)
