"""Reads trees of arrays, with the sums of what is read."""

import contextlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from flax import traverse_util

from jslim.checkpoints._orbax.common import plainly_named, processes_that_wait, quietly
from jslim.checkpoints._sums import part_sum
from jslim.core.trees import PyTree
from jslim.host.paths import AnyPath


class Found(NamedTuple):
    """What was read.

    Attributes:
      arrays: `{leaf name: array}`.
      sums: The `part_sum` of each whole array.
    """

    arrays: dict[str, np.ndarray | jax.Array]
    sums: dict[str, int]


def read(directory: AnyPath, wanted: dict[str, jax.sharding.Sharding | None]) -> Found:
    """Reads these arrays of a state, and no others, without comparing sums.

    Args:
      directory: The directory `state` of a step.
      wanted: For each leaf, which must have elements, the sharding to read it into: this process
        reads what its devices hold. None for a NumPy array, which is the whole.

    Raises:
      Exception: Something is damaged; Orbax and TensorStore raise all kinds of errors.
    """
    spread = {name: sharding for name, sharding in wanted.items() if sharding is not None}
    with plainly_named(directory.parent) as step:
        whole = [name for name in wanted if name not in spread]
        found = _read_whole(step / directory.name, whole)
        if spread:
            found.arrays.update(_read_spread(step / directory.name, spread))
    return found


def _read_whole(directory: AnyPath, names: Iterable[str]) -> Found:
    """Reads whole arrays. Threads sum some while others are read.

    TensorStore is asked directly: Orbax adds 0.65 ms for each array to what that takes.
    """
    context = ocp.type_handlers.get_ts_context()
    opening = {name: _open(directory, name, context) for name in names}
    reading = {name: future.result().read() for name, future in opening.items()}
    arrays: dict[str, np.ndarray | jax.Array] = {}
    sums: dict[str, Future[int]] = {}
    with ThreadPoolExecutor(thread_name_prefix="checkpoint_sums") as pool:
        for name, future in reading.items():
            arrays[name] = array = np.asarray(future.result())
            sums[name] = pool.submit(part_sum, array)
    return Found(arrays, {name: future.result() for name, future in sums.items()})


def _open(directory: AnyPath, name: str, context: tensorstore.Context) -> Any:
    """A future of an array that is opened as Orbax does it."""
    array = ocp.type_handlers.ParamInfo(
        name=name.replace("/", "."), parent_dir=directory, use_zarr3=False, ts_context=context
    )
    described = ocp.type_handlers.get_json_tspec_read(array, use_ocdbt=True)
    return tensorstore.open(described, open=True, context=context)


def _read_spread(
    directory: AnyPath, wanted: dict[str, jax.sharding.Sharding]
) -> dict[str, np.ndarray | jax.Array]:
    """Reads arrays of which each process has parts."""

    def tree_of(values: Mapping[str, object]) -> PyTree:
        return traverse_util.unflatten_dict(values, sep="/")

    request = ocp.args.PyTreeRestore(
        item=tree_of(dict.fromkeys(wanted, 0)),
        restore_args=tree_of(
            {name: ocp.ArrayRestoreArgs(sharding=place) for name, place in wanted.items()}
        ),
        partial_restore=True,
    )
    processes = processes_that_wait(is_joint=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(quietly())
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=processes)
        checkpointer = stack.enter_context(
            ocp.Checkpointer(handler, multiprocessing_options=processes)
        )
        tree = checkpointer.restore(directory, args=request)
    # For a name that it does not find, Orbax returns the request, here 0.
    return {
        name: value if isinstance(value, jax.Array) else np.asarray(value)
        for name, value in traverse_util.flatten_dict(tree, sep="/").items()
    }
