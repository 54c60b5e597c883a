"""Trees in and out of a directory by Orbax, which only this file and `_buckets` use.

Orbax copies a state to the host, writes it in a thread, in all processes together, and gives the
directory its name when it is whole. It does not notice a flipped byte, returns the request itself
for a name that it does not have, and casts where types differ. So this file adds to what Orbax
writes the sums of all arrays, taken from the very copies that are written; `_restore` compares what
comes back with them.

Orbax's `CheckpointManager` is not used for the choice and the deletion of steps: it counts broken
ones as kept, chooses what to delete before the new step is there, and deletes in place, so that a
kill leaves half a step under its number. Its `AsyncCheckpointer`, which does the work, is.
"""

import asyncio
import contextlib
import json
import logging
import os
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from orbax.checkpoint.path import atomicity

from jslim.checkpoints._format import STATE_DIRECTORY
from jslim.checkpoints._sums import part_sum, whole_sum
from jslim.core.trees import PyTree, Variables
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.host.processes import FailedElsewhere

# A path that Orbax and TensorStore take literally: no pattern, no backslash, no bucket (`/gs/...`).
# `\w` matches none of the characters that stand for bytes outside UTF-8.
_PLAIN = re.compile(r"/(?!(?:az|gs|hf|s3)/)\w[\w .,=@%+~/-]*")
_OPEN_FILES = pathlib.Path("/proc/self/fd")
_READ_TOGETHER = 32  # arrays; one at a time takes Orbax half as long again
_SUMS_FILE = "sums.{}.json"

Sums = dict[str, str]


@contextlib.contextmanager
def plainly_named(directory: AnyPath) -> Iterator[AnyPath]:
    """An absolute path of the directory that matches `_PLAIN`: its own, or an alias.

    URLs are taken literally as they are.
    """
    if is_remote(directory):
        from jslim.checkpoints import _buckets

        _buckets.teach_orbax()
        yield directory
        return
    directory = directory.absolute()
    with contextlib.ExitStack() as stack:
        if _PLAIN.fullmatch(str(directory)):
            yield directory
        elif _OPEN_FILES.exists():
            opened = os.open(directory, os.O_RDONLY)
            stack.callback(os.close, opened)
            yield _OPEN_FILES / str(opened)
        else:  # another system than Linux
            link = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()), "link")
            link.symlink_to(directory, target_is_directory=True)
            yield link


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Drops what Orbax logs; its failures reach the user as exceptions."""
    package = os.path.join("", "orbax", "checkpoint", "")

    def keep(record: logging.LogRecord) -> bool:
        return package not in record.pathname

    logger = logging.getLogger("absl")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _processes(*, is_joint: bool) -> ocp.options.MultiprocessingOptions:
    """The processes that wait for each other: this one alone, or all."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=0 if is_joint else own,
        active_processes=set(range(jax.process_count())) if is_joint else {own},
        barrier_sync_key_prefix=None if is_joint else f"process_{own}",
    )


class _Rename(atomicity.AtomicRenameTemporaryPath):
    """Orbax's rename of a finished directory, without its mark of success: `meta.json` is ours."""

    async def finalize(self) -> None:
        os.rename(self.get(), self.get_final())


class Writer:
    """Saves trees of arrays as directories, one at a time, in all processes together.

    Args:
      directory: Where they go.
    """

    def __init__(self, directory: AnyPath) -> None:
        processes = _processes(is_joint=True)
        self._open = contextlib.ExitStack()
        self._open.enter_context(_quietly())
        self._directory = self._open.enter_context(plainly_named(directory))
        self._handler = _Handler(processes)
        self._orbax = ocp.AsyncCheckpointer(
            self._handler,
            async_options=ocp.AsyncOptions(
                create_directories_asynchronously=False, barrier_sync_fn=_barrier(processes)
            ),
            multiprocessing_options=processes,
            checkpoint_metadata_store=ocp.metadata.metadata_store(enable_write=False),
            temporary_path_class=(
                atomicity.CommitFileTemporaryPath if is_remote(directory) else _Rename
            ),
        )

    def start(self, name: str, save: "Save") -> None:
        """Copies the arrays to the host and lets threads write them below `name`.

        With several processes all call it together. What is written appears, whole, under its name
        at some time before `finish` returns.
        """
        if not is_remote(self._directory):
            self._directory.stat()  # Orbax would make a directory that was deleted or renamed
        self._orbax.save(self._directory / name, args=_SaveArgs(save))

    def finish(self) -> None:
        """Waits until everything is written.

        Raises:
          Exception: This process could not write its part. In the first process also if another
            one could not; there, `finish` does not wait for the first one.
        """
        self._orbax.wait_until_finished()
        self._handler.raise_error()

    def close(self) -> None:
        """Ends the threads; does not report errors, which `finish` does."""
        with contextlib.suppress(Exception):
            self._orbax.close()
        self._open.close()


def _registry(of_numpy: ocp.type_handlers.NumpyHandler) -> Any:
    """Orbax's handlers of arrays, with this one for those of NumPy."""
    handlers = ocp.type_handlers
    return handlers.create_type_handler_registry(
        (np.ndarray, of_numpy), (jax.Array, handlers.get_type_handler(jax.Array))
    )


def _barrier(processes: ocp.options.MultiprocessingOptions) -> Callable[..., None]:
    wait = ocp.multihost.get_barrier_sync_fn(processes=processes.active_processes)

    def barrier(*, key: str, timeout_ms: int) -> None:
        # Whoever waited for the commit would wait in vain after an error in the first process.
        # The manager asks all processes for their errors anyway.
        if "async_commit_complete" not in key:
            wait(key=key, timeout_ms=timeout_ms)

    return barrier


class Save(NamedTuple):
    """What is to be written.

    Attributes:
      arrays: `{leaf name: array}`; JAX's arrays may be spread over all processes.
      publish: Called in the first process before the directory gets its name, with the path of the
        directory and the sums of all arrays. After an error there, nothing appears.
    """

    arrays: Variables
    publish: Callable[[AnyPath, Sums], None]


class _Background(ocp.future.Future):
    """Work in a thread that Orbax waits for."""

    def __init__(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        self._work: Future[None] = pool.submit(work)

    def result(self, timeout: float | None = None) -> None:
        self._work.result(timeout)


class _Handler(ocp.AsyncCheckpointHandler):
    """Orbax's handler for trees, with the sums of what it writes."""

    def __init__(self, processes: ocp.options.MultiprocessingOptions) -> None:
        # Compression saves 8 % of trained weights and doubles the processor time. Without it a
        # flipped byte is one wrong number, which our sums find, and not a failure to decompress.
        self._trees = ocp.PyTreeCheckpointHandler(
            use_compression=False,
            multiprocessing_options=processes,
            # Arrays of NumPy are copies already.
            type_handler_registry=_registry(
                ocp.type_handlers.NumpyHandler(deepcopy_host_arrays=False)
            ),
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint_sums")
        self._save: Save | None = None
        self._sums: dict[str, list[int]] = {}
        self._error: Exception | None = None

    async def async_save(self, directory: AnyPath, args: "_SaveArgs") -> list[_Background]:
        self._save, self._error = (args.save if jax.process_index() == 0 else None), None
        state = directory / STATE_DIRECTORY
        # Orbax refuses arrays without elements; meta.json has their shapes, which are all of them.
        stored = {name: array for name, array in args.save.arrays.items() if array.size}
        writes: list[ocp.future.Future] = []
        if stored:
            if jax.process_index() == 0:
                state.mkdir()
            tree = traverse_util.unflatten_dict(stored, sep="/")
            given = await self._trees.async_save(state, args=ocp.args.PyTreeSave(tree))
            writes = [write for write in given or [] if write is not None]
        parts = {name: own_parts(array) for name, array in args.save.arrays.items()}

        def write() -> None:
            try:
                self._sums = {
                    name: [part_sum(*part) for part in held] for name, held in parts.items()
                }
                for each in writes:
                    each.result()
                if jax.process_count() > 1:
                    note = directory / _SUMS_FILE.format(jax.process_index())
                    note.write_text(json.dumps(self._sums))
            except Exception as error:  # the first process misses the note, and does not publish
                self._error = error

        return [_Background(self._pool, write)]

    def save(self, directory: AnyPath, args: "_SaveArgs") -> None:
        raise TypeError("this handler saves asynchronously only")

    def restore(self, directory: AnyPath, args: object = None) -> PyTree:
        raise TypeError("this handler only saves")

    def finalize(self, directory: AnyPath) -> None:
        """The part of the first process, when all have written theirs."""
        self.raise_error()
        assert self._save is not None
        sums = dict(self._sums)
        if jax.process_count() > 1:
            sums = {name: [] for name in sums}
            for index in range(jax.process_count()):
                note = directory / _SUMS_FILE.format(index)
                if not note.exists():
                    raise FailedElsewhere(f"process {index} could not write its part")
                for name, parts in json.loads(note.read_text()).items():
                    sums[name] += parts
                note.unlink()
        state = directory / STATE_DIRECTORY
        if state.exists():
            self._trees.finalize(state)
            if is_remote(state):  # without its mark, Orbax takes what lies on gs:// for unfinished
                (state / atomicity.COMMIT_SUCCESS_FILE).write_text("written by jslim")
        save, self._save = self._save, None  # its arrays take memory
        save.publish(
            as_path(directory, "Orbax"), {name: whole_sum(parts) for name, parts in sums.items()}
        )

    def raise_error(self) -> None:
        """Raises what went wrong in this process's part of the last save."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._trees.close()
        self._pool.shutdown()


@ocp.args.register_with_handler(_Handler, for_save=True, for_restore=True)
class _SaveArgs(ocp.args.CheckpointArgs):
    def __init__(self, save: Save) -> None:
        self.save = save


class Part(NamedTuple):
    """A block of an array, and the index of its first element in the whole."""

    block: np.ndarray
    start: tuple[int, ...]


def own_parts(array: jax.Array | np.ndarray) -> list[Part]:
    """The blocks that this process answers for, on the host; all processes together have each once.

    Of what every process has whole, the first process has it.
    """
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return [Part(np.asarray(array), ())] if jax.process_index() == 0 else []
    shards = [shard for shard in array.addressable_shards if shard.replica_id == 0]
    for shard in shards:
        # Starts all transfers at once; on the CPU this would only prevent donation of the buffer.
        if shard.device.platform != "cpu":
            shard.data.copy_to_host_async()
    return [Part(np.asarray(shard.data), start_of(shard.index)) for shard in shards]


def start_of(index: tuple[slice, ...]) -> tuple[int, ...]:
    """The first indices of a shard."""
    return tuple(part.start or 0 for part in index)


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
    processes = _processes(is_joint=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quietly())
        pool = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="checkpoint_sums"))
        reader = _SummingReader(pool)
        handler = ocp.PyTreeCheckpointHandler(
            multiprocessing_options=processes, type_handler_registry=_registry(reader)
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
