"""Reads arrays of a state, with the sums of what is read.

TensorStore is asked directly, under Orbax's description of the arrays. Orbax adds 0.65 ms for each
array to what that takes, and gives no sums of what it has read.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from jslim.checkpoints._orbax.paths import plainly_named
from jslim.checkpoints._sums import Start, part_sum, start_of
from jslim.host.paths import AnyPath, is_remote

_Index = tuple[slice, ...]

# What goes to devices is in memory twice until it is there. So it is read ahead by no more than a
# share of what a process has of the state, or by what keeps a disk, or a store, which takes tens of
# milliseconds to answer, at work.
_SHARES_AHEAD = 64
_LEAST_AHEAD = 1 << 20
_LEAST_AHEAD_OF_STORE = 64 << 20


class Found(NamedTuple):
    """An array that was read.

    Attributes:
      array: In its sharding, or a NumPy array, which is the whole.
      sums: The `part_sum` of each part that was read, by its start; of the whole, by `()`.
    """

    array: np.ndarray | jax.Array
    sums: dict[Start, int]


def read(
    directory: AnyPath, wanted: Mapping[str, jax.sharding.Sharding | None]
) -> dict[str, Found]:
    """Reads these arrays of a state, and no others, without comparing sums.

    Args:
      directory: The directory `state` of a step.
      wanted: For each leaf, which must have elements, the sharding to read it into: this process
        reads what its devices hold, each part once. None for a NumPy array.

    Raises:
      Exception: Something is damaged; TensorStore raises several kinds of errors.
    """
    context = ocp.type_handlers.get_ts_context()
    with (
        plainly_named(directory.parent) as step,
        ThreadPoolExecutor(thread_name_prefix="checkpoint_sums") as pool,
    ):
        opening = {name: _open(step / directory.name, name, context) for name in wanted}
        stores = {name: future.result() for name, future in opening.items()}
        own_share = sum(map(_size, stores.values())) // jax.process_count()
        least = _LEAST_AHEAD_OF_STORE if is_remote(directory) else _LEAST_AHEAD
        most = max(least, own_share // _SHARES_AHEAD)
        reading: dict[str, _Reading] = {}
        found: dict[str, Found] = {}
        ahead = 0
        for name, store in stores.items():
            reading[name] = _Reading(store, wanted[name], pool)
            ahead += reading[name].twice
            while ahead > most:
                first = next(iter(reading))
                ahead -= reading[first].twice
                found[first] = reading.pop(first).result()
        return found | {name: each.result() for name, each in reading.items()}


def _open(
    directory: AnyPath, name: str, context: tensorstore.Context
) -> tensorstore.Future[tensorstore.TensorStore]:
    """A future of an array that is opened as Orbax does it."""
    array = ocp.type_handlers.ParamInfo(
        name=name.replace("/", "."), parent_dir=directory, use_zarr3=False, ts_context=context
    )
    described = ocp.type_handlers.get_json_tspec_read(array, use_ocdbt=True)
    return tensorstore.open(described, open=True, context=context)


def _size(store: tensorstore.TensorStore) -> int:
    """The bytes of an array."""
    return store.size * store.dtype.numpy_dtype.itemsize


class _Reading:
    """An array that is being read.

    Args:
      store: TensorStore's.
      sharding: Where it goes, or None.
      pool: Sums its parts.

    Attributes:
      twice: The bytes that are in memory twice while it is brought to its devices.
    """

    def __init__(
        self,
        store: tensorstore.TensorStore,
        sharding: jax.sharding.Sharding | None,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._store, self._sharding = store, sharding
        indices: dict[Start, _Index] = {(): ()}
        if sharding is not None:
            of_devices = sharding.addressable_devices_indices_map(store.shape)
            indices = {start_of(index): index for index in of_devices.values() if index is not None}
        parts = {start: store[index] for start, index in indices.items()}
        self.twice = 0 if sharding is None else sum(map(_size, parts.values()))
        self._parts = {
            start: pool.submit(_with_sum, *_start(part), start) for start, part in parts.items()
        }

    def result(self) -> Found:
        """Waits for the array, and gives it its place."""
        parts, sums = {}, {}
        for start, future in self._parts.items():
            parts[start], sums[start] = future.result()
        if self._sharding is None:
            return Found(parts[()], sums)

        def part_at(index: _Index | None) -> np.ndarray:
            return parts[start_of(index or ())]

        dtype = self._store.dtype.numpy_dtype
        array = jax.make_array_from_callback(
            self._store.shape, self._sharding, part_at, dtype=dtype
        )
        return Found(array, sums)


def _start(part: tensorstore.TensorStore) -> tuple[tensorstore.WriteFutures, np.ndarray]:
    """Starts to read a part; returns what to wait for, and the array that it fills.

    What TensorStore allocates itself lies among the buffers of its threads, and leaves holes there.
    """
    array = np.empty(part.shape, part.dtype.numpy_dtype)
    return tensorstore.array(array, copy=False, write=True).write(part), array


def _with_sum(
    written: tensorstore.WriteFutures, array: np.ndarray, start: Start
) -> tuple[np.ndarray, int]:
    written.result()
    return array, part_sum(array, start)
