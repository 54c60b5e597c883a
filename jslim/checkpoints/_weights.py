"""The variables of a model, or their moving averages, from any checkpoint."""

import os
import re
from typing import NamedTuple

from flax import traverse_util

from jslim.checkpoints import _locate
from jslim.checkpoints._names import MODEL_COLLECTIONS, variable_names
from jslim.checkpoints._readers import CheckpointReader, JslimReader, open_checkpoint
from jslim.checkpoints.contract import Values
from jslim.core import reprs
from jslim.core.errors import RestoreError
from jslim.core.text import printable
from jslim.core.trees import Variables
from jslim.host import display

_OF_STATE = "ema_params/"
_AVERAGE = "/ExponentialMovingAverage"  # in TensorFlow, after the name of the variable
_STATISTICS = re.compile(
    r"(.*/)?(moving_(mean|variance|stddev)(/(biased|local_step))?|renorm_(mean|stddev)(_weight)?)"
)
_OF_OPTIMIZERS = re.compile(r"(.*/)?beta[12]_power(_\d+)?")


class Weights(NamedTuple):
    """The variables of a model from one checkpoint, all read at once.

    Attributes:
      path: The checkpoint.
      step: The training steps behind it, or None if it does not say.
      contract: What it says about itself; empty if nothing.
      variables: `{"params": {...}, "batch_stats": {...}}` of NumPy arrays.
      are_averages: Whether these are the moving averages of the variables.
      has_averages: Whether the checkpoint holds moving averages.
    """

    path: str
    step: int | None
    contract: Values
    variables: dict[str, Variables]
    are_averages: bool
    has_averages: bool

    def __repr__(self) -> str:
        step = "" if self.step is None else f" at step {self.step}"
        held = reprs.variables_of(self.variables)
        averages = ", moving averages" if self.are_averages else ""
        return f"<Weights of {printable(self.path)!r}{step}: {held}{averages}>"


def moving_averages(reader: CheckpointReader) -> dict[str, str]:
    """`{name of a variable: name of its moving average}`; empty if there are none."""
    if isinstance(reader, JslimReader):
        held = [leaf for leaf in reader.leaf_names.values() if leaf.startswith(_OF_STATE)]
        names = variable_names(leaf.removeprefix(_OF_STATE) for leaf in held)
        return {name: _OF_STATE + leaf for name, leaf in names.items()}
    held = [name for name in reader.get_variable_to_shape_map() if name.endswith(_AVERAGE)]
    return {name.removesuffix(_AVERAGE): name for name in held}


def takes_averages(reader: CheckpointReader, use_moving_averages: bool | None) -> bool:
    """Whether to use moving averages: as given, or for None, if jslim kept some.

    For None, a checkpoint of TensorFlow gives its variables, as in TF-Slim's programs.
    """
    if use_moving_averages is None:
        return isinstance(reader, JslimReader) and bool(moving_averages(reader))
    return use_moving_averages


def describe(weights: Weights) -> str:
    """A line for the log on which weights are used; empty if there is no choice."""
    if not weights.has_averages:
        return ""
    which = (
        "the moving averages of its variables are used"
        if weights.are_averages
        else "its variables are used as training left them, and not their moving averages"
    )
    return f"checkpoint {weights.path}: {which}"


def read_weights(path: str | os.PathLike[str], use_moving_averages: bool | None = None) -> Weights:
    """Reads the variables of a model, its step and its contract from the same checkpoint.

    If training deletes the checkpoint meanwhile, the newest one in the directory is read.

    Args:
      path: A checkpoint or a directory, as for `open_checkpoint`.
      use_moving_averages: Whether to read the moving averages; None reads them if jslim kept some.

    Raises:
      RestoreError: There is no checkpoint, it is broken, or it holds no such variables.
    """
    deleted = None
    while True:
        found = _locate.find(path).path
        try:
            reader = open_checkpoint(found)
            averages = moving_averages(reader)
            are_averages = takes_averages(reader, use_moving_averages)
            with display.status("reading the checkpoint"):
                variables = _read_variables(reader, averages if are_averages else None)
            about = (reader.path, reader.step, reader.contract)
            return Weights(*about, variables, are_averages, has_averages=bool(averages))
        except RestoreError:
            if found == deleted or _locate.exists(found):
                raise
            deleted = found


def restore_variables(
    path: str | os.PathLike[str], *, use_ema: bool = False
) -> dict[str, Variables]:
    """Reads the variables of a model; the network itself is not needed.

    A checkpoint of TensorFlow gives no optimizer slots and no `global_step`; names tell moving
    statistics from parameters. With `use_ema`, a variable without an average is read itself, as in
    TensorFlow's `variables_to_restore`.

    Args:
      path: A checkpoint, or a training directory (its newest whole checkpoint is read); for
        TensorFlow, as `tf_checkpoint.load_checkpoint` takes it.
      use_ema: Whether to read the moving averages in place of parameters and statistics.

    Returns:
      `{"params": {...}, "batch_stats": {...}}` of NumPy arrays, for `Model.apply`.

    Raises:
      RestoreError: There is no checkpoint, it is broken, or it holds no such parameters.
    """
    return read_weights(path, use_ema).variables


def _read_variables(
    reader: CheckpointReader, averages: dict[str, str] | None
) -> dict[str, Variables]:
    """The variables, or with `averages`, from `moving_averages`, those where there are some."""
    if averages is not None and not averages:
        kind = f"{_OF_STATE}params" if isinstance(reader, JslimReader) else f"NAME{_AVERAGE}"
        raise RestoreError(
            f"checkpoint {reader.path} holds no {kind}; it was trained without moving averages: "
            "read it with use_ema=False."
        )
    places = _places(reader, averages)
    if not any(place.startswith("params/") for place in places):
        raise RestoreError(
            f"checkpoint {reader.path} holds no params; it was not saved from a training state."
        )
    arrays = reader.get_tensors(dict.fromkeys(places.values()))
    tree = traverse_util.unflatten_dict(
        {place: arrays[name] for place, name in places.items()}, sep="/"
    )
    return {collection: tree.get(collection, {}) for collection in MODEL_COLLECTIONS}


def _places(reader: CheckpointReader, averages: dict[str, str] | None) -> dict[str, str]:
    """`{path in the variables tree: name in the checkpoint}`."""
    if isinstance(reader, JslimReader):
        start = _OF_STATE if averages else ""
        of_model = tuple(f"{start}{collection}/" for collection in MODEL_COLLECTIONS)
        return {
            leaf.removeprefix(start): name
            for name, leaf in reader.leaf_names.items()
            if leaf.startswith(of_model)
        }
    averages = averages or {}
    names = dict.fromkeys([*_model_variables(reader), *averages])
    collections = {
        name: "batch_stats" if _STATISTICS.fullmatch(name) else "params" for name in names
    }
    return {f"{collections[name]}/{name}": averages.get(name, name) for name in names}


def _model_variables(reader: CheckpointReader) -> list[str]:
    """The names that look like variables of a model, by name and shape.

    Slots of optimizers and moving averages lie below the name of their variable, sometimes within
    another scope.
    """
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()

    def is_of_model(name: str) -> bool:
        parts = name.split("/")
        if _STATISTICS.fullmatch(name):
            return True
        is_slot = any("/".join(parts[start:-1]) in shapes for start in range(len(parts) - 1))
        is_number = shapes[name] == () and "float" not in dtypes[name]
        is_text = dtypes[name] == "string"
        return not (is_slot or is_number or is_text or _OF_OPTIMIZERS.fullmatch(name))

    return [name for name in shapes if is_of_model(name)]
