"""Reading single arrays of a checkpoint by the names that TF-Slim gives them."""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from jslim import tf_checkpoint
from jslim._errors import RestoreError, did_you_mean
from jslim.checkpoints._format import (
    META_FILE,
    find_step,
    read_step,
    step_directories,
    variable_names,
)
from jslim.checkpoints._restore import read_leaves
from jslim.checkpoints._safetensors import SUFFIX, SafetensorsReader


class CheckpointReader(Protocol):
    """Arrays by name, whatever the format; the methods are those of TensorFlow's reader.

    Attributes:
        path: the checkpoint, for messages.
        contract: what it says about itself (network, class names and so on), as a dict; empty if
            it says nothing, as TensorFlow's.
    """

    path: str
    contract: dict[str, Any]

    def has_tensor(self, name: str) -> bool:
        """Whether the checkpoint holds an array of that name."""

    def get_variable_to_shape_map(self) -> dict[str, tuple[int, ...]]:
        """`{name: shape}` of every array."""

    def get_variable_to_dtype_map(self) -> dict[str, str]:
        """`{name: dtype}` of every array, as NumPy spells it: `float32`."""

    def get_tensor(self, name: str) -> np.ndarray:
        """Reads one array."""

    def get_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Reads these arrays and no others."""


class _JslimReader:
    """The `CheckpointReader` of jslim's own checkpoints."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._step_dir = find_step(path)
        self._meta = read_step(self._step_dir)
        self._leaf_names = variable_names(self._meta.leaves)
        self.path = str(self._step_dir)
        self.contract = self._meta.contract

    def has_tensor(self, name: str) -> bool:
        return name in self._leaf_names

    def get_variable_to_shape_map(self) -> dict[str, tuple[int, ...]]:
        return {name: self._meta.leaves[leaf].shape for name, leaf in self._leaf_names.items()}

    def get_variable_to_dtype_map(self) -> dict[str, str]:
        return {name: self._meta.leaves[leaf].dtype for name, leaf in self._leaf_names.items()}

    def get_tensor(self, name: str) -> np.ndarray:
        return self.get_tensors([name])[name]

    def get_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        names = list(names)
        for name in names:
            if name not in self._leaf_names:
                near = did_you_mean(name, self._leaf_names)
                raise RestoreError(f"checkpoint {self.path} has no variable {name!r}{near}.")
        leaf_names = [self._leaf_names[name] for name in names]
        stored = read_leaves(self._step_dir, self._meta, leaf_names, is_partial=True)
        return {name: stored[leaf] for name, leaf in zip(names, leaf_names, strict=True)}


def open_checkpoint(path: str | os.PathLike[str]) -> CheckpointReader:
    """Opens a checkpoint for reading by name: jslim's, TensorFlow's, or a safetensors file.

    Args:
        path: a checkpoint, or a training directory (its newest whole checkpoint is read); or what
            `tf_checkpoint.load_checkpoint` takes; or a file that ends in `.safetensors`.

    Raises:
        RestoreError: there is none, or it is broken.
    """
    path = pathlib.Path(path)
    if path.suffix == SUFFIX:
        return SafetensorsReader(path)
    is_ours = (path / META_FILE).is_file() or step_directories(path)
    if not is_ours and tf_checkpoint.is_checkpoint(path):
        return tf_checkpoint.load_checkpoint(path)
    return _JslimReader(path)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a checkpoint at `path`, whole or not, for `open_checkpoint`."""
    path = pathlib.Path(path)
    if path.suffix == SUFFIX:
        return path.is_file()
    is_ours = (path / META_FILE).is_file() or bool(step_directories(path))
    return is_ours or tf_checkpoint.is_checkpoint(path)


def list_variables(path: str | os.PathLike[str]) -> list[tuple[str, tuple[int, ...], str]]:
    """Lists what a checkpoint holds, reading no arrays.

    Model variables go by their TF-Slim name (`vgg_16/conv1/conv1_1/weights`), everything else by
    its path in the training state: `step`, `rng`, `opt_state/0/trace/...`, `ema_params/...`.

    Args:
        path: a checkpoint, or a training directory (its newest whole checkpoint is read).

    Returns:
        `[(name, shape, dtype)]`, dtype as NumPy spells it; a random key is listed as its data.
    """
    reader = open_checkpoint(path)
    dtypes = reader.get_variable_to_dtype_map()
    return [
        (name, shape, dtypes[name]) for name, shape in reader.get_variable_to_shape_map().items()
    ]


def load_variables(
    path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Reads arrays of a checkpoint by name, from the disk only these, and verifies them.

    Args:
        path: a checkpoint, or a training directory (its newest whole checkpoint is read).
        names: names of `list_variables` or regular expressions for them, anchored at the start as
            in `get_variables_to_restore`; None for all.

    Returns:
        `{name: array}`; for a random key, its data.

    Raises:
        RestoreError: a name matches nothing, or the checkpoint is missing or broken.
    """
    reader = open_checkpoint(path)
    held = reader.get_variable_to_shape_map()
    if isinstance(names, str):
        raise TypeError(f"load_variables: names must be a list of names, got {names!r}.")
    chosen = list(held) if names is None else []
    for name in names or ():
        matches = [name] if name in held else [h for h in held if re.match(name, h)]
        if not matches:
            near = did_you_mean(name, held)
            raise RestoreError(
                f"checkpoint {reader.path} has no variable that starts like {name!r}{near}."
            )
        chosen += matches
    return reader.get_tensors(dict.fromkeys(chosen))
