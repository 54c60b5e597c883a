"""Writing a state into a directory that does not yet have its final name."""

import itertools
import pathlib
import shutil
from collections.abc import Callable

import jax
import numpy as np

from jslim.checkpoints import _arrays, _format, _trees
from jslim.checkpoints._format import BrokenCheckpoint, Leaf
from jslim.core.trees import PyTree, Variables, check_kept
from jslim.host.processes import run_together

Leaves = dict[str, Leaf]


def arrays_of(state: PyTree) -> tuple[Variables, Leaves]:
    """The arrays of a state by name, and their descriptions without checksums.

    With one process they are copies on the host; with several, the arrays on the devices.

    Raises:
      TypeError: A leaf cannot be saved.
      ValueError: There are no leaves, or two of one name, or a training step has used them up.
    """
    check_kept("CheckpointManager.save", state)
    leaves = _trees.named_leaves(state)
    if not leaves:
        raise ValueError("CheckpointManager.save: the state holds no arrays.")
    described = {name: _trees.describe(name, leaf) for name, leaf in leaves.items()}
    if jax.process_count() == 1:
        return _trees.copy_to_host(leaves, described), described
    return {name: _trees.storable(leaf) for name, leaf in leaves.items()}, described


def with_checksums(described: Leaves, arrays: Variables) -> Leaves:
    """The descriptions with the checksums of these arrays."""
    return {
        name: leaf._replace(crc32=_arrays.checksum(np.asarray(arrays[name])))
        for name, leaf in described.items()
    }


def write(
    unfinished: pathlib.Path,
    arrays: Variables,
    described: Leaves,
    what: str,
    *,
    reads_back: bool,
    publish: Callable[[Leaves], None] = lambda noted: None,
) -> None:
    """Writes a state, each process the parts that it has; an error in one is raised in all.

    Args:
      unfinished: The directory, created or replaced; removed after an error.
      arrays, described: From `arrays_of`.
      what: What is saved, for errors.
      reads_back: Whether the first process reads everything again and compares.
      publish: Called at the end, in the first process, with the descriptions and checksums.

    Raises:
      OSError: It cannot be written.
    """
    is_first = jax.process_index() == 0
    state_directory = unfinished / _format.STATE_DIRECTORY

    def prepare() -> None:
        if is_first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()

    def finish() -> None:
        if not is_first:
            return
        # Parts from other processes are read from the disk, for their checksums.
        split = [
            leaf
            for name, leaf in described.items()
            if not getattr(arrays[name], "is_fully_replicated", True)
        ]
        whole = _arrays.read_stored(state_directory, split) if split else {}
        noted = with_checksums(described, arrays | whole)
        if reads_back:
            try:
                _arrays.read_arrays(state_directory, noted.values())
            except BrokenCheckpoint as error:
                raise OSError(f"what was written does not come back: {error}") from error
        publish(noted)

    try:
        run_together(prepare)
        run_together(lambda: _arrays.write_arrays(state_directory, arrays))
        run_together(finish)
    except jax.errors.JaxRuntimeError:  # another process is lost, and its part with it
        raise
    except Exception as error:
        if is_first:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise OSError(
            f"{what} could not be saved: {_format.shorten(error)}; the checkpoints before it are "
            "untouched."
        ) from error


def unused_name(path: pathlib.Path) -> pathlib.Path:
    """`path`, or with a number appended if it exists."""
    names = (path.with_suffix(f"{path.suffix}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())
