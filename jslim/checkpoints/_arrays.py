"""Arrays in and out of a directory: the one file that touches Orbax.

Orbax does not notice a flipped byte, gives the request itself back for a name that it does not
have, and casts where types differ; so everything that comes out is compared here with what was
noted when it went in.
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

# A path that Orbax and TensorStore take as it is: neither a pattern, nor Windows' way of writing
# (`\\`), nor a bucket (`/gs/...`). Of names that are no UTF-8, `\w` matches nothing.
_PLAIN = re.compile(r"/(?!(?:az|gs|hf|s3)/)\w[\w .,=@%+~/-]*")
_OPEN_FILES = pathlib.Path("/proc/self/fd")


def checksum(array: np.ndarray) -> int:
    """CRC-32 of the array's bytes in C order."""
    # Through uint8, because the buffer protocol does not know bfloat16.
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Drops what Orbax logs meanwhile; its failures reach the user as exceptions."""
    package = os.path.join("", "orbax", "checkpoint", "")

    def keep(record: logging.LogRecord) -> bool:
        return package not in record.pathname

    logger = logging.getLogger("absl")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


@contextlib.contextmanager
def _plainly_named(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """The absolute path of the directory, or another one of it that is as plain as `_PLAIN`."""
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


def _checkpointer(**options: Any) -> Any:
    """Orbax's, of this process alone, or of all if `is_joint`: it waits for those it knows of."""
    import orbax.checkpoint as ocp

    is_joint = options.pop("is_joint", False)
    own = jax.process_index()
    processes = ocp.options.MultiprocessingOptions(
        primary_host=0 if is_joint else own,
        active_processes=set(range(jax.process_count())) if is_joint else {own},
        barrier_sync_key_prefix=None if is_joint else f"process_{own}",
    )
    if jax.process_count() == 1:
        processes = ocp.options.MultiprocessingOptions()
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=processes, **options)
    return ocp.Checkpointer(handler, multiprocessing_options=processes)


def write_arrays(directory: pathlib.Path, arrays: Variables, *, is_joint: bool = False) -> None:
    """Writes `{leaf name: array}` to the new `directory`, as a tree nested at each `/`.

    With `is_joint` all processes do so together, each the parts of JAX's arrays that it has.
    """
    import orbax.checkpoint as ocp

    # Orbax refuses arrays without elements; their shape in meta.json is all there is to them.
    stored = {name: array for name, array in arrays.items() if array.size}
    if not stored:
        return
    tree = traverse_util.unflatten_dict(stored, sep="/")
    # Trained weights hardly compress (to 0.92), and it takes twice the processor time. A flipped
    # byte then is one wrong number, which our checksum finds, and no failure to decompress.
    with (
        _quiet_orbax(),
        _checkpointer(use_compression=False, is_joint=is_joint) as checkpointer,
        _plainly_named(directory) as path,
    ):
        checkpointer.save(path, args=ocp.args.PyTreeSave(tree))


def read_arrays(directory: pathlib.Path, leaves: Iterable[Leaf]) -> dict[str, np.ndarray]:
    """Reads these leaves, and no others, and compares them with what was written.

    Returns:
        `{leaf name: array}`; for a random key, its data.

    Raises:
        BrokenCheckpoint: one cannot be read, or is not what was written.
    """
    leaves = list(leaves)
    stored = [leaf for leaf in leaves if 0 not in leaf.shape]
    try:
        found = read_stored(directory, stored) if stored else {}
    except Exception as error:  # A damaged file leads Orbax to raise about anything.
        raise BrokenCheckpoint(f"{directory.name} cannot be read: {shorten(error)}") from error
    for leaf in leaves:
        if 0 in leaf.shape:
            found[leaf.name] = np.zeros(leaf.shape, leaf.dtype)
        array = found[leaf.name]
        if (array.shape, str(array.dtype), checksum(array)) != (leaf.shape, leaf.dtype, leaf.crc32):
            raise BrokenCheckpoint(f"{leaf.name} does not match its checksum")
    return found


def read_stored(directory: pathlib.Path, leaves: list[Leaf]) -> dict[str, np.ndarray]:
    """Reads these leaves, none of them without elements, as they are."""
    import orbax.checkpoint as ocp

    def tree_of(value: object) -> PyTree:
        return traverse_util.unflatten_dict({leaf.name: value for leaf in leaves}, sep="/")

    request = ocp.args.PyTreeRestore(
        item=tree_of(0),
        restore_args=tree_of(ocp.RestoreArgs(restore_type=np.ndarray)),
        partial_restore=True,
    )
    with _quiet_orbax(), _checkpointer() as checkpointer, _plainly_named(directory) as path:
        found = checkpointer.restore(path, args=request)
    # A name that Orbax does not find comes back as the request for it, here 0.
    return {name: np.asarray(a) for name, a in traverse_util.flatten_dict(found, sep="/").items()}
