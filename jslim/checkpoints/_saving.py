"""How a state gets into a directory that does not have its final name yet."""

import contextlib
import itertools
import pathlib
import shutil
from collections.abc import Callable, Iterator

import jax
import numpy as np

from jslim.checkpoints import _arrays, _trees
from jslim.checkpoints._format import (
    STATE_DIRECTORY,
    BrokenCheckpoint,
    Leaf,
    Meta,
    read_meta,
    shorten,
    verify_files,
)
from jslim.core.trees import PyTree, Variables
from jslim.host.processes import run_together


def described_leaves(state: PyTree) -> tuple[Variables, dict[str, Leaf]]:
    """The leaves of a state by name, and what they are."""
    leaves = _trees.named_leaves(state)
    if not leaves:
        raise ValueError("CheckpointManager.save: the state holds no arrays.")
    return leaves, {name: _trees.describe(name, leaf) for name, leaf in leaves.items()}


def with_checksums(described: dict[str, Leaf], arrays: Variables) -> dict[str, Leaf]:
    """The leaves with the checksums of these arrays."""
    return {
        name: leaf._replace(crc32=_arrays.checksum(np.asarray(arrays[name])))
        for name, leaf in described.items()
    }


def _unsaved(what: str, error: Exception) -> OSError:
    return OSError(
        f"{what} could not be saved: {shorten(error)}; the checkpoints before it are untouched."
    )


@contextlib.contextmanager
def unfinished_directory(path: pathlib.Path, what: str) -> Iterator[None]:
    """A new directory, that is gone after an error.

    Raises:
        OSError: what was raised meanwhile, with `what` in front.
    """
    try:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        yield
    except Exception as error:
        shutil.rmtree(path, ignore_errors=True)
        raise _unsaved(what, error) from error


def write(
    unfinished: pathlib.Path,
    arrays: dict[str, np.ndarray],
    leaves: dict[str, Leaf],
    *,
    reads_back: bool,
) -> None:
    """Writes the arrays, and restores them again if `reads_back`."""
    _arrays.write_arrays(unfinished / STATE_DIRECTORY, arrays)
    if reads_back:
        _read_back(unfinished, leaves)


def write_jointly(
    unfinished: pathlib.Path,
    leaves: Variables,
    described: dict[str, Leaf],
    what: str,
    reads_back: bool,
    publish: Callable[[dict[str, Leaf]], None] = lambda noted: None,
) -> None:
    """Each process writes what it has; what fails in one is raised in all, at once.

    The first one reads what others have written once more, to note its checksums, and calls
    `publish` with them.
    """
    is_first = jax.process_index() == 0
    state_directory = unfinished / STATE_DIRECTORY
    arrays = {name: _trees.storable(leaf) for name, leaf in leaves.items()}

    def prepare() -> None:
        if is_first:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()

    def finish() -> None:
        if not is_first:
            return
        split = [
            leaf
            for name, leaf in described.items()
            if not getattr(arrays[name], "is_fully_replicated", True)
        ]
        whole = _arrays.read_stored(state_directory, split) if split else {}
        noted = with_checksums(described, arrays | whole)
        if reads_back:
            _read_back(unfinished, noted)
        publish(noted)

    try:
        run_together(prepare)
        run_together(lambda: _arrays.write_arrays(state_directory, arrays, is_joint=True))
        run_together(finish)
    except jax.errors.JaxRuntimeError:  # another process is lost, and its share with it
        raise
    except Exception as error:
        if is_first:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise _unsaved(what, error) from error


def _read_back(unfinished: pathlib.Path, leaves: dict[str, Leaf]) -> None:
    try:
        _arrays.read_arrays(unfinished / STATE_DIRECTORY, leaves.values())
    except BrokenCheckpoint as error:
        raise OSError(f"what was written does not come back: {error}") from error


def read_whole(step_dir: pathlib.Path) -> Meta | None:
    """The meta of a step all of whose files and numbers are as written, else None."""
    try:
        meta = read_meta(step_dir)
        verify_files(step_dir, meta)
    except BrokenCheckpoint:
        return None
    return meta


def unused_name(path: pathlib.Path) -> pathlib.Path:
    """`path`, or if it is taken, with a number behind."""
    names = (path.with_suffix(f"{path.suffix}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())
