"""Reading training states, whole or some leaves of them."""

import logging
import math
import os
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from jslim.checkpoints import _arrays, _format, _trees
from jslim.checkpoints._differences import Difference, lines_of
from jslim.checkpoints._format import BrokenCheckpoint, Leaf, Meta
from jslim.checkpoints._locate import find_step, step_to_resume
from jslim.checkpoints.contract import Values
from jslim.core import reprs
from jslim.core.errors import RestoreError
from jslim.core.text import printable
from jslim.core.trees import PyTree
from jslim.host.paths import local_path

_logger = logging.getLogger("jslim")

# Files with the places of the arrays, a few bytes for each, are smaller than this.
_INDEX_BYTES = 1 << 18


class Restored(NamedTuple):
    """A training state from a checkpoint, and what was saved with it.

    Attributes:
      state: The state, with the structure of the target.
      data_state: The position of the data.
      contract: What users of the weights need to know.
      step: The number of the checkpoint.
      path: Where it is.
    """

    state: PyTree
    data_state: object
    contract: Values
    step: int
    path: str

    def __repr__(self) -> str:
        arrays, numbers, size = reprs.sizes(self.state)
        held = f"{reprs.counted(arrays, 'array')} of {reprs.counted(numbers, 'number')}"
        where = printable(self.path)
        return f"<Restored step {self.step} of {where!r}: {held} ({reprs.in_bytes(size)})>"


def restore(path: str | os.PathLike[str], target: PyTree, shardings: PyTree = None) -> Restored:
    """Reads a whole training state, which must have exactly the leaves of `target`.

    The number of devices may differ from that of the run that saved it.

    Args:
      path: A checkpoint, or a training directory (its newest whole checkpoint is read).
      target: A tree of arrays, or of `jax.ShapeDtypeStruct` as from `jax.eval_shape`.
      shardings: One sharding for all leaves, or a tree of them; None puts each leaf where the leaf
        of `target` lies, or on the default device if that has no sharding.

    Returns:
      A `Restored`, whose state is bit for bit as it was saved.

    Raises:
      RestoreError: There is no checkpoint, it is broken, or it holds another state; the error
        lists the differences, and nothing was read.

    Example:
      >>> import tempfile
      >>> from jslim.checkpoints import CheckpointManager
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     with CheckpointManager(directory) as checkpoints:
      ...         checkpoints.save(3, {"w": np.ones(2)}, data_state={"position": 6})
      ...     restored = restore(directory, {"w": np.zeros(2)})
      >>> restored.step, restored.data_state, restored.state["w"].tolist()
      (3, {'position': 6}, [1.0, 1.0])
    """
    return _restore_step(find_step(path), target, shardings)


def _restore_step(step_dir: pathlib.Path, target: PyTree, shardings: PyTree) -> Restored:
    meta = _format.read_step(step_dir)
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
    places: PyTree = [None] * len(wanted)
    if shardings is not None:
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
    """Restores the newest checkpoint that is bit for bit as it was saved.

    Broken ones are left in place and an older one is used; the logger `jslim` warns in one line.

    Args:
      directory: The training directory.
      target: As for `restore`.
      shardings: As for `restore`.

    Returns:
      A `Restored`, or None if the directory has no checkpoints.

    Raises:
      RestoreError: All checkpoints are broken; the newest good one holds another state; or
        TensorFlow trains in the directory.
    """
    directory = local_path(directory, "restore_latest: directory")
    broken = []
    for step_dir in reversed(_format.step_directories(pathlib.Path(directory))):
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
    step_to_resume(directory)  # raises if TensorFlow trains here
    return None


def _compare(found: dict[str, Leaf], wanted: dict[str, Leaf]) -> list[Difference]:
    """The leaves that only one side has, or that differ in shape or type."""
    alone = sorted(found.keys() - wanted.keys())
    kind = "in the checkpoint, not in the state"
    differences = [Difference(name, kind, f"{name}: {found[name]} {kind}") for name in alone]
    for name, leaf in wanted.items():
        if name not in found:
            kind = "in the state, not in the checkpoint"
            differences.append(Difference(name, kind, f"{name}: {leaf} {kind}", alone))
        elif found[name]._replace(crc32=0) != leaf:
            kind = "of another shape or type in the state than in the checkpoint"
            text = f"{name}: {leaf} in the state, {found[name]} in the checkpoint"
            differences.append(Difference(name, kind, text))
    return sorted(differences, key=lambda difference: f"{difference.name}:")


def read_leaves(
    step_dir: pathlib.Path, meta: Meta, names: list[str], *, is_partial: bool = False
) -> dict[str, np.ndarray]:
    """The arrays of these leaves, verified.

    Args:
      step_dir: The checkpoint.
      meta: Its meta.
      names: Names of leaves.
      is_partial: Reads no more of the large files than these leaves.

    Raises:
      BrokenCheckpoint: Something is not as written; the error names the checkpoint.
    """
    with _format.named_in_errors(step_dir):
        _format.verify_files(step_dir, meta, _INDEX_BYTES if is_partial else math.inf)
        leaves = [meta.leaves[name] for name in names]
        return _arrays.read_arrays(step_dir / _format.STATE_DIRECTORY, leaves)
