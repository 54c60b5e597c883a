"""Reading training states, whole or some leaves of them."""

import logging
import math
import os
import time
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from jslim.checkpoints import _format, _trees
from jslim.checkpoints._differences import Difference, lines_of
from jslim.checkpoints._format import BrokenCheckpoint, Leaf, Meta
from jslim.checkpoints._locate import find_step, step_to_resume
from jslim.checkpoints._sums import Start, start_of, whole_sum
from jslim.checkpoints.contract import Values
from jslim.core import reprs
from jslim.core.errors import RestoreError
from jslim.core.text import printable
from jslim.core.trees import PyTree
from jslim.host.paths import AnyPath, as_path
from jslim.host.processes import any_of, first_message, gather

_logger = logging.getLogger("jslim")

_GROUP_BYTES = 1 << 28
_LAG_SECS = 30.0

# By the names of leaves: where to read them to, None for the whole; and what was read.
_Parts = dict[str, jax.sharding.Sharding | None]
_Arrays = dict[str, np.ndarray | jax.Array]
_PartSums = dict[str, dict[Start, int]]
_Read = TypeVar("_Read")


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


def _restore_step(step_dir: AnyPath, target: PyTree, shardings: PyTree) -> Restored:
    parts = _parts_of(target, shardings)
    meta = _agreed(lambda: _format.read_step(step_dir), is_joint=_is_joint(parts))
    leaves = _trees.named_leaves(target)
    wanted = {name: _trees.describe(name, leaf) for name, leaf in leaves.items()}
    problems = _compare(meta.leaves, wanted)
    if problems:
        raise RestoreError(
            f"checkpoint {step_dir} does not fit the state it is to be restored into, "
            f"in {len(problems)} of its leaves:\n  " + "\n  ".join(lines_of(problems))
        )
    stored = _read_verified(step_dir, meta, parts)
    values = [
        # What has been placed is freed, so that the state is not twice in memory.
        _trees.place(stored.pop(name), meta.leaves[name].prng_impl, leaf, place)
        for (name, leaf), place in zip(leaves.items(), _places(target, shardings), strict=True)
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
    directory = as_path(directory, "restore_latest: directory")
    is_joint = _is_joint(_parts_of(target, shardings))
    broken = []
    for step_dir in reversed(_steps_seen(directory, is_joint=is_joint)):
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


def _places(target: PyTree, shardings: PyTree) -> list[PyTree]:
    """Where each leaf of a target is to lie by `shardings`, or None."""
    if shardings is None:
        return [None] * len(jax.tree.leaves(target))
    return jax.tree.leaves(jax.tree.broadcast(shardings, target))


def _parts_of(target: PyTree, shardings: PyTree) -> _Parts:
    """Where to read each leaf of a target to."""
    leaves = _trees.named_leaves(target).items()
    places = _places(target, shardings)
    return {
        name: _trees.spread(leaf, place) for (name, leaf), place in zip(leaves, places, strict=True)
    }


def _is_joint(parts: _Parts) -> bool:
    """Whether all processes restore together, each the parts that it holds."""
    return any(sharding is not None for sharding in parts.values())


def _steps_seen(directory: AnyPath, *, is_joint: bool) -> list[AnyPath]:
    """The steps in a directory; if processes restore together, they all see the same.

    Raises:
      RestoreError: They do not, for as long as listings of shared disks and stores may lag.
    """
    give_up = time.monotonic() + _LAG_SECS
    while True:
        steps = _format.step_directories(directory)
        seen = zlib.crc32("/".join(path.name for path in steps).encode())
        if not is_joint or len(set(gather(np.array([seen]))[:, 0].tolist())) == 1:
            return steps
        if any_of([time.monotonic() > give_up])[0]:
            raise RestoreError(
                f"the {jax.process_count()} processes do not see the same checkpoints in "
                f"{directory}, for {_LAG_SECS:g} s; process {jax.process_index()} sees "
                f"{', '.join(path.name for path in steps) or 'none'}; give a directory that all "
                "share, and start again."
            )
        time.sleep(1)


def _compare(found: dict[str, Leaf], wanted: dict[str, Leaf]) -> list[Difference]:
    """The leaves that only one side has, or that differ in shape or type."""
    alone = sorted(found.keys() - wanted.keys())
    kind = "in the checkpoint, not in the state"
    differences = [Difference(name, kind, f"{name}: {found[name]} {kind}") for name in alone]
    for name, leaf in wanted.items():
        if name not in found:
            kind = "in the state, not in the checkpoint"
            differences.append(Difference(name, kind, f"{name}: {leaf} {kind}", alone))
        elif found[name]._replace(sum=None, crc32=None) != leaf:
            kind = "of another shape or type in the state than in the checkpoint"
            text = f"{name}: {leaf} in the state, {found[name]} in the checkpoint"
            differences.append(Difference(name, kind, text))
    return sorted(differences, key=lambda difference: f"{difference.name}:")


def read_leaves(
    step_dir: AnyPath, meta: Meta, names: Iterable[str], *, is_partial: bool = False
) -> dict[str, np.ndarray]:
    """The whole arrays of these leaves, verified; for a random key, its data.

    Args:
      step_dir: The checkpoint.
      meta: Its meta.
      names: Names of leaves.
      is_partial: Reads no more of the large files than these leaves.

    Raises:
      BrokenCheckpoint: Something is not as written; the error names the checkpoint.
    """
    found = _read_verified(step_dir, meta, dict.fromkeys(names), is_partial=is_partial)
    return {name: np.asarray(array) for name, array in found.items()}


def _read_verified(
    step_dir: AnyPath, meta: Meta, parts: _Parts, *, is_partial: bool = False
) -> _Arrays:
    """`read_leaves` into shardings over several processes: each reads what its devices hold.

    All processes call it together, and an error is raised in all.
    """
    is_joint = _is_joint(parts)
    if any(meta.leaves[name].sum is None for name in parts):  # format 1: sums of whole arrays alone
        parts = dict.fromkeys(parts)

    def read() -> tuple[_Arrays, _PartSums]:
        _format.verify_files(step_dir, meta, _format.INDEX_BYTES if is_partial else math.inf)
        return _read(step_dir / _format.STATE_DIRECTORY, meta, parts)

    with _format.named_in_errors(step_dir):
        found, sums = _agreed(read, is_joint=is_joint)
        if _is_joint(parts) and (problem := _compare_parts(meta, parts, sums)):
            raise BrokenCheckpoint(problem)
    return found


def _agreed(read: Callable[[], _Read], *, is_joint: bool) -> _Read:
    """What `read` gives. If processes read together, what is broken for one is so for all."""
    found: list[_Read] = []
    problem = ""
    try:
        found.append(read())
    except BrokenCheckpoint as error:
        if not is_joint:
            raise
        problem = str(error)
    if is_joint and (problem := first_message(problem)[1]):
        raise BrokenCheckpoint(problem)
    return found[0]


def _read(directory: AnyPath, meta: Meta, parts: _Parts) -> tuple[_Arrays, _PartSums]:
    """Reads leaves, compares the sums of those that are whole, and gives the sums of the others."""
    from jslim.checkpoints._orbax import reading

    leaves = [meta.leaves[name] for name in parts]
    stored = {leaf.name: parts[leaf.name] for leaf in leaves if 0 not in leaf.shape}
    try:
        found = reading.read(directory, stored) if stored else {}
    except Exception as error:  # of many kinds, for damaged files
        text = _format.shorten(error)
        raise BrokenCheckpoint(f"{directory.name} cannot be read: {text}") from error
    arrays: _Arrays = {}
    sums: _PartSums = {}
    for leaf in leaves:
        if leaf.name not in stored:
            arrays[leaf.name] = np.zeros(leaf.shape, leaf.dtype)
            continue
        array, of_parts = found.pop(leaf.name)
        is_right = (array.shape, str(array.dtype)) == (leaf.shape, leaf.dtype)
        if isinstance(array, jax.Array):
            sums[leaf.name] = of_parts
        elif leaf.sum is None:
            is_right &= leaf.crc32 == _crc32(array)
        else:
            is_right &= leaf.sum == whole_sum(of_parts.values())
        if not is_right:
            raise BrokenCheckpoint(f"{leaf.name} does not match its checksum")
        arrays[leaf.name] = array
    return arrays, sums


def _crc32(array: np.ndarray) -> int:
    """CRC-32 of the array's bytes in C order, the checksum of format 1."""
    # Through uint8, because the buffer protocol does not know bfloat16.
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _compare_parts(meta: Meta, parts: _Parts, sums: _PartSums) -> str:
    """What is wrong with arrays of which each process has parts, in all processes the same.

    A part that several processes have must be equal in all.

    Args:
      meta: The meta of the step.
      parts: The shardings.
      sums: The sums of the parts that this process has read.
    """
    starts: dict[str, list[Start]] = {}
    for name in sums:
        sharding = parts[name]
        assert sharding is not None
        indices = sharding.devices_indices_map(meta.leaves[name].shape).values()
        starts[name] = sorted({start_of(index) for index in indices})
    places = [(name, start) for name, of_array in starts.items() for start in of_array]
    own = [sums[name].get(start) for name, start in places]
    held = gather(np.array([part is not None for part in own], bool))
    values = gather(np.array([part or 0 for part in own], np.uint64))
    totals = dict.fromkeys(sums, 0)
    for at, (name, _) in enumerate(places):
        found = set(values[held[:, at], at].tolist())
        if len(found) != 1:
            return f"{name} is not the same in all processes"
        totals[name] += found.pop()
    for name, total in totals.items():
        if whole_sum([total]) != meta.leaves[name].sum:
            return f"{name} does not match its checksum"
    return ""


def is_as_saved(step_dir: AnyPath) -> bool:
    """Whether a step is bit for bit as it was saved; reads all of it."""
    try:
        meta = _format.read_meta(step_dir)
        _format.verify_files(step_dir, meta)
        for names in _in_groups(meta.leaves.values()):
            read_leaves(step_dir, meta, names, is_partial=True)
    except RestoreError:
        return False
    return True


def _in_groups(leaves: Iterable[Leaf]) -> list[list[str]]:
    """The names of leaves, in groups that fit into memory."""
    groups: list[list[str]] = [[]]
    held = 0
    for leaf in leaves:
        size = math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize
        if held + size > _GROUP_BYTES and groups[-1]:
            groups.append([])
            held = 0
        groups[-1].append(leaf.name)
        held += size
    return groups


def verify(step_dir: AnyPath, like: PyTree) -> None:
    """Reads a step into the shardings of a state, all processes together, and drops it.

    Raises:
      BrokenCheckpoint: It is not as it was saved.
    """
    parts = _parts_of(like, None)
    meta = _agreed(lambda: _format.read_meta(step_dir), is_joint=_is_joint(parts))
    _read_verified(step_dir, meta, parts)
