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

from jslim.core import checks, reprs
from jslim.data.batching import State
from jslim.host.processes import put_rows

DeviceBatch = dict[str, jax.Array]
_THREAD = "jslim-prefetch-to-device"


class Batches(Protocol):
    """Batches with a position, such as those of `jslim.data.batches` and Grain's iterators."""

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> State:
        """The position after the batches handed out."""

    def set_state(self, state: State) -> None:
        """Goes on from a position."""


class DeviceBatchIterator(Iterator[DeviceBatch]):
    """The iterator of `prefetch_to_device`: batches on the devices, with a position.

    Attributes:
      batches: The iterator over host batches.
      batch_size: The rows of every batch, over all devices; None if `batches` does not know it.
      seconds_waited: The time for which `next` has made its callers wait for data so far.
    """

    def __init__(self, batches: Any, sharding: jax.sharding.Sharding, depth: int):
        self.batches = batches
        self.batch_size: int | None = getattr(batches, "batch_size", None)
        self.seconds_waited = 0.0
        self._sharding = sharding
        self._depth = depth
        self._is_closed = False
        self._start()

    def __repr__(self) -> str:
        devices = reprs.counted(len(self._sharding.device_set), "device")
        closed = ", closed" if self._is_closed else ""
        ahead = f"{self._depth} ahead on {devices}{closed}"
        return f"<DeviceBatchIterator, {ahead}, over {self.batches!r}>"

    def _start(self) -> None:
        batches, sharding = self.batches, self._sharding

        def load() -> tuple[DeviceBatch, State]:
            batch = {name: put_rows(rows, sharding) for name, rows in next(batches).items()}
            return batch, copy.deepcopy(batches.get_state())

        # A copy: an iterator may return the dict that it changes later.
        self._state = copy.deepcopy(batches.get_state())
        thread = ThreadPoolExecutor(1, _THREAD)
        self._load_next: Callable[[], Future[tuple[DeviceBatch, State]]]
        self._load_next = lambda: thread.submit(load)
        self._ahead = collections.deque(self._load_next() for _ in range(self._depth + 1))
        # It also runs when nothing refers to the iterator any more.
        self._stop = weakref.finalize(self, _end, thread)

    def __next__(self) -> DeviceBatch:
        if self._is_closed:
            raise ValueError("the prefetched batches are closed; make new ones")
        started = time.perf_counter()
        try:
            batch, self._state = self._ahead[0].result()
        finally:
            self.seconds_waited += time.perf_counter() - started
        # Not after the end or an error: the next call raises it again.
        self._ahead.popleft()
        self._ahead.append(self._load_next())
        return batch

    @property
    def element_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape, dtype and sharding of every array of a batch, if `batches` has `element_spec`."""
        return {
            name: jax.ShapeDtypeStruct(spec.shape, spec.dtype, sharding=self._sharding)
            for name, spec in self.batches.element_spec.items()
        }

    def get_state(self) -> State:
        """The position after the batches handed out; batches loaded ahead do not count."""
        return self._state

    @property
    def record_keys(self) -> Callable[[State], list[str]]:
        """See `BatchIterator.record_keys`."""
        return self.batches.record_keys

    @property
    def epoch_of(self) -> Callable[[State], float]:
        """See `BatchIterator.epoch_of`."""
        return self.batches.epoch_of

    def set_state(self, state: State) -> None:
        """Goes on from a saved position; see `BatchIterator.set_state`."""
        self._stop()
        self.batches.set_state(state)
        self._start()

    def rewind(self) -> None:
        """Goes back to the first record; see `BatchIterator.rewind`."""
        self.set_state({**self.get_state(), "position": 0})

    def close(self) -> None:
        """Ends the thread and closes the host batches; `next` raises an error from then on."""
        self._is_closed = True
        self._stop()
        if hasattr(self.batches, "close"):
            self.batches.close()

    def __enter__(self) -> "DeviceBatchIterator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(thread: ThreadPoolExecutor) -> None:
    # The garbage collector may call this in the thread itself, which cannot wait for its own end.
    is_another = not threading.current_thread().name.startswith(_THREAD)
    thread.shutdown(wait=is_another, cancel_futures=True)


def prefetch_to_device(
    batches: Batches, sharding: jax.sharding.Sharding, depth: int = 2
) -> DeviceBatchIterator:
    """Copies batches to the devices in a thread, ahead of the steps that use them.

    Args:
      batches: The iterator of `jslim.data.batches`, or another one over dicts of arrays with
        `get_state` and `set_state`, such as Grain's. Do not use it any more: save, restore and
        close through the result.
      sharding: The sharding of the rows, usually `NamedSharding(mesh, PartitionSpec('data'))`.
      depth: The number of batches that wait on the devices; one more is being copied.

    Returns:
      An iterator over the same batches as `jax.Array`s, with `get_state`, `set_state`,
      `element_spec`, `seconds_waited` and `close`.

    Raises:
      ValueError: The rows cannot be split evenly over the devices, or `depth` is below 1.
      Exception: From `next`, any error of the thread, with its own traceback.

    >>> from jslim.data import batches, digits
    >>> sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    >>> with prefetch_to_device(batches(digits("test"), 32, is_training=False), sharding) as made:
    ...     next(made)["image"].shape
    (32, 8, 8, 1)
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
            f"devices; use a batch_size of {sizes}"
        )
    return DeviceBatchIterator(batches, sharding, depth)
