"""Reads checkpoints: all of a training state, its variables, or some arrays by name."""

import functools
import logging
import math
import os
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from jslim.checkpoints import _arrays, _trees
from jslim.checkpoints._differences import Difference, lines_of
from jslim.checkpoints._format import (
    STATE_DIRECTORY,
    BrokenCheckpoint,
    Leaf,
    Meta,
    read_step,
    step_directories,
    verify_files,
)
from jslim.checkpoints._locate import find_step, step_to_resume
from jslim.checkpoints.contract import Values
from jslim.core.errors import RestoreError, did_you_mean
from jslim.core.trees import PyTree
from jslim.host.paths import local_path

_logger = logging.getLogger("jslim")

# Files that say where the arrays are, a few bytes for each, are smaller than this.
_INDEX_BYTES = 1 << 18


class Restored(NamedTuple):
    """A training state that was read back, and what was saved beside it."""

    state: PyTree
    data_state: Any
    contract: Values
    step: int
    path: str


def restore(path: str | os.PathLike[str], target: PyTree, shardings: PyTree = None) -> Restored:
    """Reads the whole training state, which must be exactly what `target` describes.

    The number of devices may differ from the one that saved it.

    Args:
        path: a checkpoint, or a training directory (its newest whole checkpoint is read).
        target: a tree of arrays, or of `jax.ShapeDtypeStruct` as `jax.eval_shape` gives it.
        shardings: one sharding for all leaves, or a tree of them; None puts each leaf where that
            of `target` lies, and on the default device if it does not say.

    Returns:
        The state with the structure of `target`, bit for bit as it was saved, and its companions.

    Raises:
        RestoreError: there is no checkpoint, it is broken, or it holds another state; every
            difference is named before anything is read.
    """
    return _restore_step(find_step(path), target, shardings)


def _restore_step(step_dir: pathlib.Path, target: PyTree, shardings: PyTree) -> Restored:
    meta = read_step(step_dir)
    wanted = {
        name: (leaf, _trees.describe(name, leaf))
        for name, leaf in _trees.named_leaves(target).items()
    }
    problems = _compare(meta.leaves, {name: described for name, (_, described) in wanted.items()})
    if problems:
        raise RestoreError(
            f"checkpoint {step_dir} does not fit the state it is to be restored into, "
            f"in {len(problems)} of its leaves:\n  " + "\n  ".join(lines_of(problems))
        )
    stored = read_leaves(step_dir, meta, list(wanted))
    if shardings is None:
        places = [None] * len(wanted)
    else:
        places = jax.tree.leaves(jax.tree.broadcast(shardings, target))
    values = [
        _trees.place(stored[name], meta.leaves[name].prng_impl, leaf, place)
        for (name, (leaf, _)), place in zip(wanted.items(), places, strict=True)
    ]
    state = jax.tree.unflatten(jax.tree.structure(target), values)
    return Restored(state, meta.data_state, meta.contract, meta.step, str(step_dir))


def restore_latest(
    directory: str | os.PathLike[str], target: PyTree, shardings: PyTree = None
) -> Restored | None:
    """Restores the newest checkpoint whose every number is as it was saved.

    A broken one is left where it is and the one before it is used; a warning of the logger
    `jslim` says so in one line.

    Args:
        directory: the training directory.
        target: as for `restore`.
        shardings: as for `restore`.

    Returns:
        The restored state, or None when the directory has no checkpoints.

    Raises:
        RestoreError: all checkpoints are broken, or the newest that is not holds another state;
            or TensorFlow trains in the directory.
    """
    directory = local_path(directory, "restore_latest: directory")
    broken = []
    for step_dir in reversed(step_directories(pathlib.Path(directory))):
        try:
            restored = _restore_step(step_dir, target, shardings)
        except BrokenCheckpoint as error:
            broken.append(str(error))
            continue
        for problem in broken:
            _logger.warning("%s; using %s instead", problem.rstrip("."), step_dir)
        return restored
    if broken:
        raise RestoreError(
            f"none of the {len(broken)} checkpoints in {directory} can be restored:\n  "
            + "\n  ".join(broken)
        )
    step_to_resume(directory)  # which says where TensorFlow trains here
    return None


def _compare(found: dict[str, Leaf], wanted: dict[str, Leaf]) -> list[Difference]:
    """The leaves that only one side has, or that are another array there."""
    alone = found.keys() - wanted.keys()

    def missing(name: str) -> str:
        near = did_you_mean(name, sorted(alone))
        return f"{name}: {wanted[name]} in the state, not in the checkpoint{near}"

    def unlike(name: str) -> str:
        return f"{name}: {wanted[name]} in the state, {found[name]} in the checkpoint"

    def unknown(name: str) -> str:
        return f"{name}: {found[name]} in the checkpoint, not in the state"

    differences = []
    for name, leaf in wanted.items():
        if name not in found:
            kind, line = "in the state, not in the checkpoint", missing
        elif found[name]._replace(crc32=0) != leaf:
            kind, line = "of another shape or type in the state than in the checkpoint", unlike
        else:
            continue
        differences.append(Difference(name, kind, functools.partial(line, name)))
    differences += [
        Difference(name, "in the checkpoint, not in the state", functools.partial(unknown, name))
        for name in alone
    ]
    return sorted(differences, key=lambda difference: f"{difference.name}:")


def read_leaves(
    step_dir: pathlib.Path, meta: Meta, names: list[str], *, is_partial: bool = False
) -> dict[str, np.ndarray]:
    """The arrays of these leaves, verified, with the checkpoint named in any error.

    Args:
        step_dir: the checkpoint.
        meta: its meta.
        names: the leaves that are read.
        is_partial: reads no more of the large files than these leaves.
    """
    try:
        verify_files(step_dir, meta, _INDEX_BYTES if is_partial else math.inf)
        leaves = [meta.leaves[name] for name in names]
        return _arrays.read_arrays(step_dir / STATE_DIRECTORY, leaves)
    except BrokenCheckpoint as error:
        raise BrokenCheckpoint(f"checkpoint {step_dir} is broken: {error}.") from error
