"""`load_checkpoint`: the reader of checkpoints of both versions."""

import logging
import os
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from jslim.core.errors import RestoreError, did_you_mean
from jslim.host import readers
from jslim.host.files import exists, is_directory
from jslim.host.paths import AnyPath, as_path, path_string
from jslim.tf_checkpoint import _locate
from jslim.tf_checkpoint._tensors import DTYPES, STRING
from jslim.tf_checkpoint._v1 import SlicedFiles
from jslim.tf_checkpoint._v2 import Bundle
from jslim.tf_checkpoint._wire import Malformed

_STEP_TYPES = ("int32", "int64", "uint32", "uint64")
_logger = logging.getLogger("jslim")

T = TypeVar("T")


class CheckpointReader(readers.CheckpointReader):
    """The tensors of a TensorFlow checkpoint, sorted by name; those of strings are of `string`.

    Attributes:
      path: The prefix of the checkpoint, or its file.
      version: 'V1' or 'V2'.
      contract: An empty dict: it does not say of which network it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        located = _located(path)
        self.path = str(located.path)
        self.version = "V1" if located.files_of_v1 else "V2"
        try:
            self._store: Bundle | SlicedFiles = (
                SlicedFiles(located.files_of_v1) if located.files_of_v1 else Bundle(located.path)
            )
        except Malformed as error:
            raise self._broken(str(error)) from error
        except OSError as error:
            raise RestoreError(f"{self.path} cannot be read: {error.strerror}") from error
        entries = sorted(self._store.entries.items())
        held = {name: readers.Held(entry.shape, _dtype_name(entry.type)) for name, entry in entries}
        super().__init__(self.path, held)
        if as_path(path, "path") != located.path:
            _logger.info("%s: reading the TensorFlow checkpoint %s", path, self.path)

    @property
    def step(self) -> int | None:
        """The training step: its `global_step`, or else the number in its name."""
        held = self._held.get("global_step")
        if held is not None and held.shape == () and held.dtype in _STEP_TYPES:
            return int(self.get_tensor("global_step"))
        return _locate.number_of(as_path(self.path, "path"))

    def get_tensor(self, name: str) -> np.ndarray:
        """Reads one tensor alone (of V1, the blocks that hold it).

        Returns:
          The array; for strings, an array of `bytes` objects.

        Raises:
          RestoreError: There is no such tensor; its bytes do not match their checksum; it is no
            array (a TensorFlow resource).
        """
        if name not in self._held:
            raise RestoreError(
                f"TensorFlow checkpoint {self.path} has no tensor {name!r}"
                f"{did_you_mean(name, self._held)}"
            )
        try:
            return self._store.read(name)
        except Malformed as error:
            raise self._broken(f"of {name}, {error}") from error

    def debug_string(self) -> str:
        """A line for each tensor: name, type and shape."""
        return "\n".join(f"{name} ({h.dtype}) {list(h.shape)}" for name, h in self._held.items())

    def _broken(self, why: str) -> RestoreError:
        return RestoreError(
            f"TensorFlow checkpoint {self.path} is broken, or is none: {why}; copy it again"
        )


def _dtype_name(kind: int) -> str:
    if kind == STRING:
        return "string"
    return DTYPES[kind].name if kind in DTYPES else f"type {kind}"


def _readable(path: str | os.PathLike[str], find: Callable[[AnyPath], T]) -> T:
    """The result of `find` at `path`, which must be readable.

    Raises:
      RestoreError: It cannot be read.
    """
    path = path_string(path, "the path of a TensorFlow checkpoint")
    try:
        return find(as_path(path, "path"))
    except (OSError, Malformed) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RestoreError(f"{path} cannot be read: {reason}") from error


def _located(path: str | os.PathLike[str]) -> _locate.Located:
    path = path_string(path, "the path of a TensorFlow checkpoint")
    if located := _readable(path, _locate.find):
        return located
    if exists(path):
        raise RestoreError(
            f"{path} is no TensorFlow checkpoint; give the prefix of one (model.ckpt-1000), one of "
            "its files, or their directory"
        )
    raise RestoreError(
        f"there is no TensorFlow checkpoint at {path}: no such file, and no {path}.index"
    )


def find_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """The prefix of the checkpoint that `load_checkpoint` would read; None if there is none.

    Raises:
      RestoreError: There is a part of a checkpoint, or there are several.
    """
    located = _readable(path, _locate.find)
    return None if located is None else str(located.path)


def latest_checkpoint(directory: str | os.PathLike[str]) -> str | None:
    """The prefix that the file `checkpoint` in a directory names; None without that file.

    Raises:
      RestoreError: The file names no checkpoint, or a missing one.
    """
    located = _readable(directory, _locate.find_latest)
    return None if located is None else str(located.path)


def all_checkpoints(directory: str | os.PathLike[str]) -> list[str]:
    """The prefixes of all checkpoints in a directory, oldest first by the number in the name.

    Raises:
      RestoreError: The directory cannot be read.
    """
    if not is_directory(path_string(directory, "the directory of checkpoints")):
        return []
    return [str(prefix) for prefix in _readable(directory, _locate.find_all)]


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether `load_checkpoint` would find a checkpoint of TensorFlow there, whole or not."""
    try:
        return find_checkpoint(path) is not None
    except RestoreError as error:
        return not isinstance(error.__cause__, OSError)


def load_checkpoint(path: str | os.PathLike[str]) -> CheckpointReader:
    """Opens a TensorFlow checkpoint, of version V1 or V2.

    Args:
      path: The prefix (`model.ckpt-1000`), its `.index`, `.meta` or `.data-00000-of-00001`; the
        file, or one of the files, of version V1; or their directory. In a directory the latest is
        taken, by its file `checkpoint` or else by the number in the name. The reader's `path` is
        the checkpoint that was found; the log says it, if it is not the path given.

    Raises:
      RestoreError: There is no checkpoint, or several; it is damaged or incomplete.
    """
    return CheckpointReader(path)


def list_variables(path: str | os.PathLike[str]) -> list[tuple[str, tuple[int, ...]]]:
    """`[(name, shape)]` of all tensors of a checkpoint, sorted by name, as TensorFlow's.

    Args:
      path: As of `load_checkpoint`.

    Raises:
      RestoreError: As of `load_checkpoint`.
    """
    return list(load_checkpoint(path).get_variable_to_shape_map().items())


def load_variable(path: str | os.PathLike[str], name: str) -> np.ndarray:
    """One tensor of a checkpoint.

    Args:
      path: As of `load_checkpoint`.
      name: The name of the tensor; a trailing ':0' is ignored.

    Raises:
      RestoreError: As of `load_checkpoint`; or there is no such tensor.
    """
    return load_checkpoint(path).get_tensor(re.sub(":0$", "", name))
