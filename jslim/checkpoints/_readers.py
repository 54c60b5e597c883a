"""Reading single arrays of a checkpoint by TF-Slim's names."""

import os
import re
from collections.abc import Iterable, Sequence

import numpy as np

from jslim import tf_checkpoint
from jslim.checkpoints import _locate
from jslim.checkpoints._format import read_step
from jslim.checkpoints._names import variable_names
from jslim.checkpoints._restore import read_leaves
from jslim.checkpoints._safetensors import SafetensorsReader
from jslim.checkpoints.contract import Values
from jslim.core.errors import RestoreError, did_you_mean
from jslim.host.paths import AnyPath
from jslim.host.readers import CheckpointReader as CheckpointReader
from jslim.host.readers import Held


class JslimReader(CheckpointReader):
    """Reads jslim's own checkpoints.

    Attributes:
      leaf_names: `{name: name of the leaf}`, which is its path in the saved tree.
    """

    def __init__(self, step_dir: AnyPath) -> None:
        self._step_dir = step_dir
        self._meta = read_step(step_dir)
        self.leaf_names = variable_names(self._meta.leaves)
        leaves = {name: self._meta.leaves[leaf] for name, leaf in self.leaf_names.items()}
        held = {name: Held(leaf.shape, leaf.dtype) for name, leaf in leaves.items()}
        super().__init__(str(step_dir), held, self._meta.contract)

    @property
    def step(self) -> int:
        return self._meta.step

    def get_tensor(self, name: str) -> np.ndarray:
        return self.get_tensors([name])[name]

    def get_tensors(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        names = list(names)
        for name in names:
            if name not in self.leaf_names:
                near = did_you_mean(name, self.leaf_names)
                raise RestoreError(f"checkpoint {self.path} has no variable {name!r}{near}.")
        leaf_names = [self.leaf_names[name] for name in names]
        stored = read_leaves(self._step_dir, self._meta, leaf_names, is_partial=True)
        return {name: stored[leaf] for name, leaf in zip(names, leaf_names, strict=True)}


def open_checkpoint(path: str | os.PathLike[str]) -> CheckpointReader:
    """Opens a checkpoint for reading by name: jslim's, TensorFlow's, or a safetensors file.

    Args:
      path: A checkpoint, or a training directory (its newest whole checkpoint is read); for
        TensorFlow, as `tf_checkpoint.load_checkpoint` takes it; or a file that ends in
        `.safetensors`.

    Returns:
      A `CheckpointReader`, with `get_tensor(name)` and `get_variable_to_shape_map()` as in
      TensorFlow.

    Raises:
      RestoreError: There is none, or it is broken.
    """
    kind, found = _locate.find(path)
    if kind == "safetensors":
        return SafetensorsReader(found)
    if kind == "jslim":
        return JslimReader(found)
    return tf_checkpoint.load_checkpoint(found)


def checkpoint_step(path: str | os.PathLike[str]) -> int:
    """The number of training steps behind the checkpoint at `path`.

    For TensorFlow it is `global_step`, or else the number in the name.

    Raises:
      RestoreError: There is no checkpoint, it is broken, or it has no such number.
    """
    reader = open_checkpoint(path)
    if reader.step is None:
        raise RestoreError(
            f"checkpoint {reader.path} does not say how many training steps are behind it: it has "
            "no global_step, and no number at the end of its name."
        )
    return reader.step


def read_contract(path: str | os.PathLike[str]) -> Values:
    """The contract of a checkpoint: its network, image size, class names and so on.

    Args:
      path: A checkpoint, or a training directory (its newest whole checkpoint is read).

    Returns:
      The dict that was given to `CheckpointManager.save`; empty for a checkpoint of TensorFlow.
    """
    return open_checkpoint(path).contract


def list_variables(path: str | os.PathLike[str]) -> list[tuple[str, tuple[int, ...], str]]:
    """Lists the arrays of a checkpoint without reading them.

    Model variables have their TF-Slim names (`vgg_16/conv1/conv1_1/weights`), all else its path in
    the training state: `step`, `rng`, `opt_state/0/trace/...`, `ema_params/...`.

    Args:
      path: A checkpoint, or a training directory (its newest whole checkpoint is read).

    Returns:
      `[(name, shape, dtype)]`, dtype as NumPy spells it; a random key is listed as its data.

    Example:
      >>> import tempfile
      >>> from jslim.checkpoints import save_safetensors
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     path = f"{directory}/model.safetensors"
      ...     print(list_variables(save_safetensors(path, {"a/w": np.ones(2), "b": np.ones(3)})))
      [('a/w', (2,), 'float64'), ('b', (3,), 'float64')]
    """
    reader = open_checkpoint(path)
    dtypes = reader.get_variable_to_dtype_map()
    return [
        (name, shape, dtypes[name]) for name, shape in reader.get_variable_to_shape_map().items()
    ]


def load_variables(
    path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Reads arrays of a checkpoint by name, and verifies them; others are not read.

    Args:
      path: A checkpoint, or a training directory (its newest whole checkpoint is read).
      names: Names as from `list_variables`, or regular expressions, anchored at the start as in
        `get_variables_to_restore`; None for all.

    Returns:
      `{name: array}`; for a random key, its data.

    Raises:
      RestoreError: A name matches nothing, or the checkpoint is missing or broken.

    Example:
      >>> import tempfile
      >>> from jslim.checkpoints import save_safetensors
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     path = f"{directory}/model.safetensors"
      ...     found = load_variables(save_safetensors(path, {"a/w": [1, 2], "b": [3]}), ["a/"])
      >>> {name: array.tolist() for name, array in found.items()}
      {'a/w': [1, 2]}
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
