"""Arrays in and out of a directory: the one file that uses Orbax.

Orbax does not notice a flipped byte, returns the request itself for a name that it does not have,
and casts where types differ. So every array that is read is compared with its description and
checksum from the time of writing.
"""

import contextlib
import logging
import os
import pathlib
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from jslim.checkpoints._format import BrokenCheckpoint, Leaf, shorten
from jslim.core.trees import PyTree, Variables

# A path that Orbax and TensorStore take literally: no pattern, no backslash, no bucket (`/gs/...`).
# `\w` matches none of the characters that stand for bytes outside UTF-8.
_PLAIN = re.compile(r"/(?!(?:az|gs|hf|s3)/)\w[\w .,=@%+~/-]*")
_OPEN_FILES = pathlib.Path("/proc/self/fd")


def checksum(array: np.ndarray) -> int:
    """CRC-32 of the array's bytes in C order."""
    # Through uint8, because the buffer protocol does not know bfloat16.
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


@contextlib.contextmanager
def _plainly_named(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """An absolute path of the directory that matches `_PLAIN`: its own, or an alias."""
    directory = directory.absolute()
    with contextlib.ExitStack() as stack:
        if _PLAIN.fullmatch(str(directory)):
            yield directory
        elif _OPEN_FILES.exists():
            parent = os.open(directory.parent, os.O_RDONLY)
            stack.callback(os.close, parent)
            yield _OPEN_FILES / str(parent) / directory.name
        else:  # another system than Linux
            link = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()), "link")
            link.symlink_to(directory.parent, target_is_directory=True)
            yield link / directory.name


@contextlib.contextmanager
def _orbax(
    directory: pathlib.Path, *, is_joint: bool = False, **options: Any
) -> Iterator[tuple[Any, pathlib.Path]]:
    """Orbax's checkpointer and the path of the directory for it.

    The checkpointer waits for the processes that it knows: this one, or all if `is_joint`. What it
    logs is dropped; its failures reach the user as exceptions.
    """
    import orbax.checkpoint as ocp

    package = os.path.join("", "orbax", "checkpoint", "")

    def keep(record: logging.LogRecord) -> bool:
        return package not in record.pathname

    logger = logging.getLogger("absl")
    logger.addFilter(keep)
    try:
        processes = ocp.options.MultiprocessingOptions()
        if jax.process_count() > 1:
            own = jax.process_index()
            processes = ocp.options.MultiprocessingOptions(
                primary_host=0 if is_joint else own,
                active_processes=set(range(jax.process_count())) if is_joint else {own},
                barrier_sync_key_prefix=None if is_joint else f"process_{own}",
            )
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=processes, **options)
        with (
            ocp.Checkpointer(handler, multiprocessing_options=processes) as checkpointer,
            _plainly_named(directory) as path,
        ):
            yield checkpointer, path
    finally:
        logger.removeFilter(keep)


def write_arrays(directory: pathlib.Path, arrays: Variables) -> None:
    """Writes `{leaf name: array}` to the new `directory`, as a tree nested at each `/`.

    Several processes do so together; each writes the parts of JAX's arrays that it has.
    """
    import orbax.checkpoint as ocp

    # Orbax refuses arrays without elements; meta.json has their shapes, which are all of them.
    stored = {name: array for name, array in arrays.items() if array.size}
    if not stored:
        return
    tree = traverse_util.unflatten_dict(stored, sep="/")
    # Compression saves 8 % of trained weights and doubles the processor time. Without it a flipped
    # byte is one wrong number, which our checksum finds, and not a failure to decompress.
    with _orbax(directory, is_joint=True, use_compression=False) as (checkpointer, path):
        checkpointer.save(path, args=ocp.args.PyTreeSave(tree))


def read_arrays(directory: pathlib.Path, leaves: Iterable[Leaf]) -> dict[str, np.ndarray]:
    """Reads these leaves and no others, and compares them with their checksums.

    Returns:
      `{leaf name: array}`; for a random key, its data.

    Raises:
      BrokenCheckpoint: A leaf cannot be read, or is not as written.
    """
    leaves = list(leaves)
    stored = [leaf for leaf in leaves if 0 not in leaf.shape]
    try:
        found = read_stored(directory, stored) if stored else {}
    except Exception as error:  # Orbax raises all kinds of errors for damaged files
        raise BrokenCheckpoint(f"{directory.name} cannot be read: {shorten(error)}") from error
    for leaf in leaves:
        if 0 in leaf.shape:
            found[leaf.name] = np.zeros(leaf.shape, leaf.dtype)
        array = found[leaf.name]
        if (array.shape, str(array.dtype), checksum(array)) != (leaf.shape, leaf.dtype, leaf.crc32):
            raise BrokenCheckpoint(f"{leaf.name} does not match its checksum")
    return found


def read_stored(directory: pathlib.Path, leaves: list[Leaf]) -> dict[str, np.ndarray]:
    """Reads these leaves, which must have elements, without comparing checksums."""
    import orbax.checkpoint as ocp

    def tree_of(value: object) -> PyTree:
        return traverse_util.unflatten_dict({leaf.name: value for leaf in leaves}, sep="/")

    request = ocp.args.PyTreeRestore(
        item=tree_of(0),
        restore_args=tree_of(ocp.RestoreArgs(restore_type=np.ndarray)),
        partial_restore=True,
    )
    with _orbax(directory) as (checkpointer, path):
        found = checkpointer.restore(path, args=request)
    # For a name that it does not find, Orbax returns the request, here 0.
    return {name: np.asarray(a) for name, a in traverse_util.flatten_dict(found, sep="/").items()}
