"""What `tensor.name`, `tensor.op` and `tensor.graph` give: the names of a model's arrays."""

import itertools
from typing import Any, NamedTuple

import jax

from jslim.compat.tf._labels import label_of
from jslim.core.access import FRAME, frame
from jslim.core.array_names import ArrayName, full_name
from jslim.core.errors import did_you_mean
from jslim.core.names import join
from jslim.variables import get_variable_full_name

_UNKNOWN = "array"  # outside of a model function, and what operators of Python make


class Operation(NamedTuple):
    """What made an array.

    Attributes:
      name: Its full name, 'conv1/Relu'.
      type: The name of the kind of operation.
      outputs: Its results that still live: those with a name of their own, and what is in use.
    """

    name: str
    type: str = "Array"
    outputs: tuple[Any, ...] = ()

    def values(self) -> tuple[Any, ...]:
        return self.outputs


def _name_of(array: Any) -> ArrayName | None:
    """The name of an array of the running model. One without gets that of the scope it is in."""
    running = FRAME.get()
    if running is None or not isinstance(array, jax.Array):
        return None
    names = running.run.array_names
    if (known := names.of(array)) is None:
        full = running.run.numbering.unique_op(join(running.name_scope, _UNKNOWN))
        scope, _, name = full.rpartition("/")
        known = ArrayName(scope, name, _UNKNOWN)
        names.note(array, known)
    return known


def _variable_name(array: Any) -> str | None:
    if FRAME.get() is None:
        return None
    try:
        return get_variable_full_name(array)
    except ValueError:
        return None


def _full(name: ArrayName) -> str:
    return full_name(name, label_of(name.made_by))


def tensor_name(array: Any) -> str:
    """`tensor.name`: 'conv1/Relu:0', or 'conv1/weights:0'."""
    if (variable := _variable_name(array)) is not None:
        return f"{variable}:0"
    name = _name_of(array)
    return f"{_UNKNOWN}:0" if name is None else f"{_full(name)}:{name.number}"


def name_of_key(key: str) -> str:
    """`variable.name` in `for variable in slim.get_variables()`, which gives the keys of a dict."""
    running = FRAME.get()
    if running is None or key not in running.run.variables:
        raise AttributeError(f"'str' object has no attribute 'name': {key!r} is no variable's name")
    return f"{key}:0"


def operation_of_key(key: str) -> Operation:
    """`variable.op`, as `name_of_key`."""
    return Operation(name_of_key(key).rpartition(":")[0], "VariableV2")


def operation_of(array: Any) -> Operation:
    """`tensor.op`, whose name is that of the tensor without its number."""
    full = tensor_name(array).rpartition(":")[0]
    name = None if _variable_name(array) is not None else _name_of(array)
    kind = "Array" if name is None else label_of(name.made_by)
    return Operation(full, kind, (array,))


class Graph:
    """The operations of the running model that have names, in the order of their making.

    They are the functions of `jslim.compat.tf` and the layers. Of those without a name of their own
    only what is in use is there.
    """

    def get_operations(self) -> list[Operation]:
        """The operations, each with its results."""
        found = frame("tensor.graph").run.array_names
        groups = itertools.groupby(found, lambda pair: (_full(pair[1]), pair[1].made_by))
        return [
            Operation(full, label_of(made_by), tuple(array for array, _ in pairs))
            for (full, made_by), pairs in groups
        ]

    def get_operation_by_name(self, name: str) -> Operation:
        """The operation of this name.

        Raises:
          KeyError: There is none.
        """
        known = {operation.name: operation for operation in self.get_operations()}
        if name not in known:
            raise KeyError(
                f"the running model has no operation {name!r}{did_you_mean(name, known)}"
            )
        return known[name]

    def get_tensor_by_name(self, name: str) -> Any:
        """The array of this name, 'conv1/Relu:0'.

        Raises:
          KeyError: There is none.
        """
        operation, _, index = name.partition(":")
        return self.get_operation_by_name(operation).outputs[int(index or 0)]
