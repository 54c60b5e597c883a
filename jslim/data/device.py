"""Batches copied to the devices ahead of the step that uses them."""

import collections
import copy
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import jax
import numpy as np

from jslim.core import checks
from jslim.data.batching import State
from jslim.host.processes import put_rows

DeviceBatch = dict[str, jax.Array]
_THREAD = "jslim-prefetch-to-device"


class Batches(Protocol):
    """Batches with a position: what `jslim.data.batches` gives, and Grain's iterators."""

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> State:
        """The position after the batches handed out."""

    def set_state(self, state: State) -> None:
        """Goes on from a position."""


class DeviceBatchIterator(Iterator[DeviceBatch]):
    """What `prefetch_to_device` gives: batches on the devices, with the position of those given.

    Attributes:
      batches: The iterator over host batches.
      batch_size: The rows of every batch, over all devices, if the batches say so.
      seconds_waited: How long `next` has made its caller wait for data so far, all calls together.
    """

    def __init__(self, batches: Any, sharding: jax.sharding.Sharding, depth: int):
        self.batches = batches
        self.batch_size: int | None = getattr(batches, "batch_size", None)
        self.seconds_waited = 0.0
        self._sharding = sharding
        self._depth = depth
        self._is_closed = False
        self._start()

    def _start(self) -> None:
        batches, sharding = self.batches, self._sharding

        def load() -> tuple[DeviceBatch, State]:
            batch = {name: put_rows(rows, sharding) for name, rows in next(batches).items()}
            return batch, copy.deepcopy(batches.get_state())

        # Copies: what an iterator gives may be what it counts in.
        self._state = copy.deepcopy(batches.get_state())
        thread = ThreadPoolExecutor(1, _THREAD)
        self._load_next: Callable[[], Future[tuple[DeviceBatch, State]]]
        self._load_next = lambda: thread.submit(load)
        self._ahead = collections.deque(self._load_next() for _ in range(self._depth + 1))
        # Also run when the iterator is forgotten.
        self._stop = weakref.finalize(self, _end, thread)

    def __next__(self) -> DeviceBatch:
        if self._is_closed:
            raise ValueError("the prefetched batches are closed; make new ones.")
        started = time.perf_counter()
        try:
            batch, self._state = self._ahead[0].result()
        finally:
            self.seconds_waited += time.perf_counter() - started
        # Not where the end or an error came: that comes again.
        self._ahead.popleft()
        self._ahead.append(self._load_next())
        return batch

    @property
    def element_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape, dtype and sharding of every array of a batch; not there if the batches lack it."""
        return {
            name: jax.ShapeDtypeStruct(spec.shape, spec.dtype, sharding=self._sharding)
            for name, spec in self.batches.element_spec.items()
        }

    def get_state(self) -> State:
        """The position after the batches handed out; those that were loaded ahead do not count."""
        return self._state

    @property
    def record_keys(self) -> Callable[[State], list[str]]:
        """What errors call the records of the batch after which the position was that given."""
        return self.batches.record_keys

    def set_state(self, state: State) -> None:
        """Goes on from a saved position; see `BatchIterator.set_state`."""
        self._stop()
        self.batches.set_state(state)
        self._start()

    def rewind(self) -> None:
        """Goes back to the first record; see `BatchIterator.rewind`."""
        self.set_state({**self.get_state(), "position": 0})

    def close(self) -> None:
        """Ends the thread and closes the host batches; no batch can be asked for afterwards."""
        self._is_closed = True
        self._stop()
        if hasattr(self.batches, "close"):
            self.batches.close()

    def __enter__(self) -> "DeviceBatchIterator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(thread: ThreadPoolExecutor) -> None:
    # What is forgotten may be so in any thread, also in this one, which cannot wait for itself.
    is_another = not threading.current_thread().name.startswith(_THREAD)
    thread.shutdown(wait=is_another, cancel_futures=True)


def prefetch_to_device(
    batches: Batches, sharding: jax.sharding.Sharding, depth: int = 2
) -> DeviceBatchIterator:
    """Copies batches to the devices in a thread, so that a step finds its batch there.

    Args:
      batches: What `jslim.data.batches` gives, or another iterator over dicts of arrays with
        `get_state` and `set_state`, such as Grain's. It belongs to the result from here on:
        positions are saved, restored and closed through the result.
      sharding: How rows lie on the devices, as a rule `NamedSharding(mesh, PartitionSpec('data'))`.
      depth: How many batches wait on the devices; one more is on its way.

    Returns:
      An iterator over the same batches as `jax.Array`s, with `get_state`, `set_state`,
      `element_spec`, `seconds_waited` and `close`.

    Raises:
      ValueError: The rows cannot be split evenly over the devices, or `depth` is below 1.
      Exception: From `next`, what the thread met, with its own traceback.
    """
    depth = checks.count("", "depth", depth)
    num_devices = len(sharding.device_set)
    num_parts = num_devices // sharding.shard_shape((num_devices,))[0]
    batch_size = getattr(batches, "batch_size", 0)
    if batch_size % num_parts:
        below = batch_size - batch_size % num_parts
        sizes = " or ".join(str(size) for size in (below, below + num_parts) if size)
        raise ValueError(
            f"a batch of {batch_size} rows cannot be split evenly over {num_parts} "
            f"devices; use a batch_size of {sizes}."
        )
    return DeviceBatchIterator(batches, sharding, depth)
