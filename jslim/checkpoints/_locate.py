"""From a path to a checkpoint: one rule for every function that takes a path.

A path is one of these:

- a step of jslim (`train_dir/1200`), or a directory of steps: its newest whole one;
- a TensorFlow checkpoint by its prefix (`model.ckpt-1200`) or one of its files, or a directory of
  them: its latest one;
- a safetensors file.

If a directory has both steps of jslim and checkpoints of TensorFlow, the steps count.
"""

import os
from typing import Literal, NamedTuple

from jslim import tf_checkpoint
from jslim.checkpoints import _format
from jslim.checkpoints._format import BrokenCheckpoint, is_whole, step_directories
from jslim.checkpoints._safetensors import SUFFIX
from jslim.core.errors import RestoreError
from jslim.host.paths import AnyPath, as_path

Path = str | os.PathLike[str]


class Location(NamedTuple):
    """A checkpoint: the directory of a step, the prefix of TensorFlow's, or a file."""

    kind: Literal["jslim", "tensorflow", "safetensors"]
    path: AnyPath


def locate(path: Path) -> Location | None:
    """The checkpoint at `path`, or None.

    Raises:
      BrokenCheckpoint: There are steps, but none is whole.
      RestoreError: There are only parts of a TensorFlow checkpoint, or several without a latest.
    """
    path = as_path(path, "the path of a checkpoint")
    try:
        if path.suffix.lower() == SUFFIX and path.is_file():
            return Location("safetensors", path)
        if (path / _format.META_FILE).is_file():
            return Location("jslim", path)
        steps = step_directories(path)
        for step_dir in reversed(steps):
            if is_whole(step_dir):
                return Location("jslim", step_dir)
    except OSError as error:
        raise RestoreError(f"{path} cannot be read: {error.strerror}") from error
    prefix = tf_checkpoint.find_checkpoint(path)
    if prefix is not None:
        return Location("tensorflow", as_path(prefix, "the path of a checkpoint"))
    if steps:
        raise _none_is_whole(path, steps)
    return None


def _none_is_whole(path: AnyPath, steps: list[AnyPath]) -> BrokenCheckpoint:
    try:
        _format.read_meta(steps[-1])
    except BrokenCheckpoint as error:
        if _format.is_step(steps[-1]):
            return BrokenCheckpoint(
                f"none of the {len(steps)} checkpoints in {path} is whole; of the newest, "
                f"{steps[-1].name}, {error}."
            )
    return BrokenCheckpoint(f"the checkpoints in {path} changed while they were read; try again.")


def find(path: Path) -> Location:
    """The checkpoint at `path`.

    Raises:
      RestoreError: There is none, or `locate` raises.
    """
    if (found := locate(path)) is not None:
        return found
    path = as_path(path, "the path of a checkpoint")
    if not path.exists():
        raise RestoreError(f"there is no checkpoint at {path}: no such file or directory.")
    raise RestoreError(
        f"{path} is not a jslim checkpoint, nor one of TensorFlow; give a training directory, one "
        "of the numbered directories in it, or the prefix of a TensorFlow checkpoint."
    )


def find_step(path: Path) -> AnyPath:
    """The step directory of jslim at `path`.

    Raises:
      RestoreError: There is none, or another kind of checkpoint.
    """
    kind, found = find(path)
    if kind != "jslim":
        raise RestoreError(
            f"{found} is a {_KINDS[kind]}, which holds variables and no training state of jslim; "
            "read them with restore_variables, or start from them with assign_from_checkpoint_fn."
        )
    return found


_KINDS = {"tensorflow": "checkpoint of TensorFlow", "safetensors": "safetensors file"}


def exists(path: Path) -> bool:
    """Whether there is a checkpoint at `path`, whole or broken."""
    try:
        return locate(path) is not None
    except RestoreError as error:
        return not isinstance(error.__cause__, OSError)


def latest_checkpoint(directory: Path) -> str | None:
    """The path of the newest whole checkpoint in `directory`, or None.

    Every function that takes a checkpoint takes this path. Steps that are half-written, emptied or
    cut short are skipped. For TensorFlow it is the prefix that the file `checkpoint` names, even if
    the directory was moved.

    Differs from TF-Slim: without that file, the highest number in a name counts; and the path of a
    single checkpoint gives that checkpoint.

    Raises:
      RestoreError: The file `checkpoint` names a missing one; or there are several checkpoints of
        TensorFlow and no latest.
    """
    try:
        found = locate(directory)
    except BrokenCheckpoint:
        return None
    return None if found is None else str(found.path)


def all_checkpoints(directory: Path) -> list[str]:
    """Paths of the whole checkpoints in `directory`, oldest first.

    Whole means that every file has its full length; its numbers are verified when they are read.
    For TensorFlow, the prefixes of all checkpoints, sorted by the number in the name.
    """
    directory = _format.directory_of(directory)
    whole = [str(path) for path in step_directories(directory) if is_whole(path)]
    if whole:
        return whole
    return tf_checkpoint.all_checkpoints(directory)


def step_to_resume(directory: Path) -> str | None:
    """The newest whole step in `directory`, from which a run can continue, or None.

    Raises:
      RestoreError: TensorFlow trains in the directory, according to its file `checkpoint`.
    """
    directory = _format.directory_of(directory)
    steps = step_directories(directory)
    theirs = None if steps else tf_checkpoint.latest_checkpoint(directory)
    if theirs is not None:
        raise RestoreError(
            f"{directory} is the directory of a training of TensorFlow, at {theirs}, which jslim "
            "cannot go on from; give another directory, and start there from its variables, by "
            "assign_from_checkpoint_fn or --checkpoint_path."
        )
    return next((str(path) for path in reversed(steps) if is_whole(path)), None)


def resolve(path: Path) -> str:
    """The path of one checkpoint: `path` itself, or the newest in a directory.

    Raises:
      RestoreError: There is none, or none is whole.
    """
    return str(find(path).path)
