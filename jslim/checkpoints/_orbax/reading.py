"""Reads trees of arrays, with the sums of what is read."""

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from jslim.checkpoints._orbax.common import plainly_named, processes_that_wait, quietly, registry
from jslim.checkpoints._sums import part_sum
from jslim.core.trees import PyTree
from jslim.host.paths import AnyPath

_READ_TOGETHER = 32  # arrays; one at a time takes Orbax half as long again


class _SummingReader(ocp.type_handlers.NumpyHandler):
    """Orbax's reader of NumPy arrays. Threads sum some while the others are read."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        super().__init__()
        self._pool = pool
        self._sums: list[Future[dict[str, int]]] = []

    async def deserialize(
        self, infos: Sequence[Any], args: Sequence[ocp.RestoreArgs] | None = None
    ) -> list[np.ndarray]:
        args = args or [ocp.RestoreArgs()] * len(infos)

        async def read_some(at: int) -> Sequence[np.ndarray]:
            some = slice(at, at + _READ_TOGETHER)
            arrays = await super(_SummingReader, self).deserialize(infos[some], args[some])
            names = [info.name for info in infos[some]]
            self._sums.append(self._pool.submit(_named_sums, names, arrays))
            return arrays

        found = await asyncio.gather(*map(read_some, range(0, len(infos), _READ_TOGETHER)))
        return [array for arrays in found for array in arrays]

    def sums(self) -> dict[str, int]:
        """The `part_sum` of each array, by Orbax's names."""
        return {name: value for held in self._sums for name, value in held.result().items()}


def _named_sums(names: Sequence[str], arrays: Sequence[np.ndarray]) -> dict[str, int]:
    return dict(zip(names, map(part_sum, arrays), strict=True))


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
      Exception: Something is damaged; Orbax raises all kinds of errors.
    """

    def tree_of(values: dict[str, object]) -> PyTree:
        return traverse_util.unflatten_dict(values, sep="/")

    request = ocp.args.PyTreeRestore(
        item=tree_of(dict.fromkeys(wanted, 0)),
        restore_args=tree_of(
            {
                name: ocp.RestoreArgs(restore_type=np.ndarray)
                if sharding is None
                else ocp.ArrayRestoreArgs(sharding=sharding)
                for name, sharding in wanted.items()
            }
        ),
        partial_restore=True,
    )
    processes = processes_that_wait(is_joint=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(quietly())
        pool = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="checkpoint_sums"))
        reader = _SummingReader(pool)
        handler = ocp.PyTreeCheckpointHandler(
            multiprocessing_options=processes, type_handler_registry=registry(reader)
        )
        checkpointer = stack.enter_context(
            ocp.Checkpointer(handler, multiprocessing_options=processes)
        )
        step = stack.enter_context(plainly_named(directory.parent))
        tree = checkpointer.restore(step / directory.name, args=request)
        sums = reader.sums()
    # For a name that it does not find, Orbax returns the request, here 0.
    arrays = {
        name: value if isinstance(value, jax.Array) else np.asarray(value)
        for name, value in traverse_util.flatten_dict(tree, sep="/").items()
    }
    found = {name: sums.get(name.replace("/", ".")) for name in arrays}
    return Found(arrays, {name: value for name, value in found.items() if value is not None})
