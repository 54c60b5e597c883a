"""Reading single arrays of a checkpoint by the names that TF-Slim gives them."""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from jslim._errors import RestoreError, did_you_mean
from jslim.checkpoints._format import find_step, read_step, variable_names
from jslim.checkpoints._restore import read_leaves


class CheckpointReader(Protocol):
    """Arrays by name, whatever the format; the methods are those of TensorFlow's reader.

    Attributes:
        path: the checkpoint, for messages.
    """

    path: str

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
    """Opens a checkpoint for reading by name.

    Args:
        path: a checkpoint, or a training directory (its newest whole checkpoint is read).

    Raises:
        RestoreError: there is none, it is broken, or it is of a kind that is not read.
    """
    kind = _tensorflow_kind(pathlib.Path(path))
    if kind:
        raise RestoreError(
            f"{path} is {kind}, which is not read yet; give a jslim training directory or one of "
            f"the numbered checkpoints in it."
        )
    return _JslimReader(path)


def _tensorflow_kind(path: pathlib.Path) -> str | None:
    """What of TensorFlow's lies at `path`, if it does."""
    if path.name.endswith(".index") or re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        return "a part of a TensorFlow V2 checkpoint"
    if path.with_name(path.name + ".index").is_file():
        return "a TensorFlow V2 checkpoint"
    if path.is_file():
        return "a file, perhaps a TensorFlow V1 checkpoint"
    if (path / "checkpoint").is_file():
        return "a training directory of TensorFlow"
    return None


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
