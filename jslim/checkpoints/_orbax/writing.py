"""Saves trees of arrays, with the sums of what is written."""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from orbax.checkpoint.path import atomicity

from jslim.checkpoints._format import STATE_DIRECTORY
from jslim.checkpoints._orbax.paths import plainly_named
from jslim.checkpoints._sums import Start, part_sum, start_of, whole_sum
from jslim.core.trees import PyTree, Variables
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.host.processes import FailedElsewhere

_SUMS_FILE = "sums.{}.json"
# A large state may take hours to a store that is far; one that does not answer is noticed by its
# requests, and a lost process by JAX.
_LONGEST_SECS = 24 * 3600
_FILES_OF_ORBAX = os.path.join("", "orbax", "checkpoint", "")

Sums = dict[str, str]


class _Rename(atomicity.AtomicRenameTemporaryPath):
    """Orbax's rename of a finished directory, without its mark of success: `meta.json` is ours."""

    async def finalize(self) -> None:
        os.rename(self.get(), self.get_final())


def _made_for(handler: "_Handler", kind: type) -> type:
    """A kind of Orbax's temporary directories that is made in the steps of the handler."""

    class Made(kind):
        async def create(self) -> AnyPath:
            with handler.noting():
                handler.make_room(self.get())
                await super().create()
                handler.make_state(self.get())
            return self.get()

    return Made


def _check_parent(directory: AnyPath) -> None:
    """Raises an `OSError` where Orbax would make a directory that was deleted or renamed."""
    if not is_remote(directory):
        directory.parent.stat()


class Writer:
    """Saves trees of arrays as directories, one at a time, in all processes together.

    Args:
      directory: Where they go.
    """

    def __init__(self, directory: AnyPath) -> None:
        processes = _all_processes()
        logging.getLogger("asyncio").addFilter(_is_not_of_orbax)
        self._open = contextlib.ExitStack()
        self._open.enter_context(_quietly())
        self._directory = self._open.enter_context(plainly_named(directory))
        self._handler = _Handler(processes)
        self._orbax = ocp.AsyncCheckpointer(
            self._handler,
            # Whoever starts a save waits for no disk and no store.
            async_options=ocp.AsyncOptions(
                timeout_secs=_LONGEST_SECS,
                create_directories_asynchronously=True,
                barrier_sync_fn=_barrier(processes),
            ),
            file_options=ocp.options.FileOptions(skip_sync_file_validations=True),
            multiprocessing_options=processes,
            checkpoint_metadata_store=ocp.metadata.metadata_store(enable_write=False),
            temporary_path_class=_made_for(
                self._handler,
                atomicity.CommitFileTemporaryPath if is_remote(directory) else _Rename,
            ),
        )

    def start(self, name: str, save: "Save") -> None:
        """Copies the arrays to the host and lets threads write them below `name`.

        With several processes all call it together. What is written appears, whole, under its name
        at some time before `finish` returns, which raises what goes wrong.
        """
        self._handler.begin(save)
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


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Drops what Orbax logs; its failures reach the user as exceptions."""

    def keep(record: logging.LogRecord) -> bool:
        return _FILES_OF_ORBAX not in record.pathname

    logger = logging.getLogger("absl")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Drops what asyncio says of tasks that Orbax leaves when a save fails.

    It says so when they are collected, which may be long after the save and after `close`.
    """
    return _FILES_OF_ORBAX not in record.getMessage()


def _all_processes() -> ocp.options.MultiprocessingOptions:
    """The processes that wait for each other."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    return ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes=set(range(jax.process_count()))
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
      make_room: Called in the first process before the directory is made.
      publish: Called in the first process before the directory gets its name, with the path of the
        directory and the sums of all arrays. After an error there, nothing appears.
    """

    arrays: Variables
    make_room: Callable[[], None]
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
        handlers = ocp.type_handlers
        # Compression saves 8 % of trained weights and doubles the processor time. Without it a
        # flipped byte is one wrong number, which our sums find, and not a failure to decompress.
        self._trees = ocp.PyTreeCheckpointHandler(
            use_compression=False,
            use_ocdbt=True,
            use_zarr3=False,
            multiprocessing_options=processes,
            # Arrays of NumPy are copies already.
            type_handler_registry=handlers.create_type_handler_registry(
                (np.ndarray, handlers.NumpyHandler(deepcopy_host_arrays=False)),
                (jax.Array, handlers.get_type_handler(jax.Array)),
            ),
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint_sums")
        self._save: Save | None = None
        self._has_elements = False
        self._sums: dict[str, list[int]] = {}
        self._error: Exception | None = None

    def begin(self, save: Save) -> None:
        """Takes what is saved next."""
        self._save = save if jax.process_index() == 0 else None
        self._has_elements = any(array.size for array in save.arrays.values())
        self._error = None

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Keeps an error for `raise_error`.

        Orbax's processes wait for each other at each stage of a save. One that left for an error
        would keep the others waiting, and miss them at the next save.
        """
        try:
            yield
        except Exception as error:
            self._error = self._error or error

    def make_room(self, directory: AnyPath) -> None:
        """The part of the first process before the directory is made."""
        assert self._save is not None
        _check_parent(directory)
        self._save.make_room()

    def make_state(self, directory: AnyPath) -> None:
        """The part of the first process when the directory is made."""
        if self._has_elements:
            (directory / STATE_DIRECTORY).mkdir()

    async def async_save(self, directory: AnyPath, args: "_SaveArgs") -> list[_Background]:
        parts: dict[str, list[Part]] = {}
        writes: list[ocp.future.Future] = []
        with self.noting():
            _check_parent(directory)
            if self._has_elements:
                # Orbax refuses arrays without elements; meta.json has their shapes, which are all.
                stored = {name: array for name, array in args.save.arrays.items() if array.size}
                tree = traverse_util.unflatten_dict(stored, sep="/")
                given = await self._trees.async_save(
                    directory / STATE_DIRECTORY, args=ocp.args.PyTreeSave(tree)
                )
                writes = [write for write in given or [] if write is not None]
            parts = {name: own_parts(array) for name, array in args.save.arrays.items()}

        def write() -> None:
            with self.noting():  # the first process misses the note, and does not publish
                self._sums = {
                    name: [part_sum(*part) for part in held] for name, held in parts.items()
                }
                for each in writes:
                    each.result()
                self.raise_error()
                if jax.process_count() > 1 and self._has_elements:
                    note = directory / _SUMS_FILE.format(jax.process_index())
                    note.write_text(json.dumps(self._sums))

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
        if jax.process_count() > 1 and self._has_elements:
            sums = {name: [] for name in sums}
            for index in range(jax.process_count()):
                note = directory / _SUMS_FILE.format(index)
                if not note.exists():
                    raise FailedElsewhere(f"process {index} could not write its part")
                for name, parts in json.loads(note.read_text()).items():
                    sums[name] += parts
                note.unlink()
        state = directory / STATE_DIRECTORY
        if self._has_elements:
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
    start: Start


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
