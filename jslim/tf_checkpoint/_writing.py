"""`save_checkpoint`: writes arrays as a checkpoint that TensorFlow and TF-Slim restore."""

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from jslim.host.files import write_text
from jslim.host.paths import as_path
from jslim.tf_checkpoint._locate import state_naming
from jslim.tf_checkpoint._tensors import NUMBERS
from jslim.tf_checkpoint._v2 import write_bundle


def save_checkpoint(
    path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike], *, is_latest: bool = True
) -> str:
    """Writes a checkpoint of version V2, whole or not at all.

    Args:
      path: The prefix, `model.ckpt-1000`; its directory is made if it is missing.
      arrays: `{name: array}`, in TF-Slim's names `{'vgg_16/fc8/weights': ...}`, of numbers,
        booleans or strings. For `tf.train.Saver` to restore a graph with a global step, add
        `'global_step': np.int64(1000)`.
      is_latest: Whether the file `checkpoint` of the directory names it as the latest.

    Returns:
      The prefix.

    Raises:
      TypeError: TensorFlow does not have the type of an array.
      ValueError: There are no arrays, or a name is empty or not a string.

    >>> import tempfile
    >>> from jslim import tf_checkpoint
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = save_checkpoint(f"{directory}/model.ckpt-7", {"fc/biases": np.zeros(3)})
    ...     tf_checkpoint.list_variables(path)
    [('fc/biases', (3,))]
    """
    prefix = as_path(path, "save_checkpoint: path")
    if not arrays:
        raise ValueError("save_checkpoint: there are no arrays; give {name: array}")
    held = {}
    for name, value in arrays.items():
        if not isinstance(name, str) or not name or name.startswith("\0"):
            raise ValueError(
                f"save_checkpoint: a name must be a string that is not empty, got {name!r}"
            )
        if isinstance(value, Mapping):
            raise TypeError(
                f"save_checkpoint: {name} must be an array, got a dict; give {{name: array}}, as "
                "slim.get_variables(variables) does of a tree"
            )
        array = np.asarray(value)
        is_text = array.dtype.kind in "SU" or (
            array.dtype.kind == "O" and all(isinstance(s, str | bytes) for s in array.ravel())
        )
        if not is_text and array.dtype.newbyteorder("=") not in NUMBERS:
            raise TypeError(
                f"save_checkpoint: {name} is {array.dtype}, which TensorFlow has no type for; "
                "convert it to a type of number, bool or bytes"
            )
        held[name] = array
    prefix.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(prefix, held)
    if is_latest:
        write_text(prefix.with_name("checkpoint"), state_naming(prefix))
    return str(prefix)
