"""Small helpers around layers: output collections, and arguments that may be one number or two."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, TypeVar

from jslim import model

_Outputs = TypeVar("_Outputs")


def collect_named_outputs(
    collections: str | Sequence[str] | None, alias: str, outputs: _Outputs
) -> _Outputs:
    """Adds `outputs` under the name `alias` to each of the collections, and returns it.

    What a collection holds under that name gives way, and its place in the order stays.

    Args:
      collections: The name of a collection, several names, or None for none.
      alias: The name, as a rule the full name of the layer's scope.
      outputs: What to collect.
    """
    if collections:
        for name in (collections,) if isinstance(collections, str) else collections:
            model.collect(name, alias.removesuffix("/"), outputs, replaces=True)
    return outputs


def convert_collection_to_dict(collection: str, clear_collection: bool = False) -> dict[str, Any]:
    """The outputs that the running model has collected, as `{alias: output}` in call order.

    Args:
      collection: The collection's name, as given to `outputs_collections`.
      clear_collection: Whether to empty it.
    """
    outputs = model.collected(collection)
    if clear_collection:
        model.frame("convert_collection_to_dict").run.collected.pop(collection, None)
    return outputs


def get_variable_collections(
    variables_collections: Sequence[str] | Mapping[str, Any] | None, name: str
) -> list[str]:
    """The collections that the variable `name` is to be added to.

    Args:
      variables_collections: A list for every variable, or a dict of lists by variable name.
      name: `weights`, `biases`, `beta`, ...
    """
    if isinstance(variables_collections, Mapping):
        variables_collections = variables_collections.get(name)
    if isinstance(variables_collections, str):
        return [variables_collections]
    return list(variables_collections or ())


def n_positive_integers(n: int, value: int | Sequence[int]) -> tuple[int, ...]:
    """`value` as `n` positive integers: one number stands for all of them.

    Raises:
      ValueError: `n` or a value is below 1, or the number of values is not `n`.

    >>> n_positive_integers(3, 2)
    (2, 2, 2)
    """
    if n < 1:
        raise ValueError(f"n_positive_integers: n must be at least 1, got {n}")
    values: Sequence[Any] = value if isinstance(value, (tuple, list)) else (value,) * n
    if len(values) != n or not all(isinstance(v, Integral) and int(v) >= 1 for v in values):
        several = f" or {n} of them" if n > 1 else ""
        raise ValueError(f"must be one positive integer{several}, got {value!r}")
    return tuple(int(v) for v in values)


def two_element_tuple(int_or_tuple: int | Sequence[int]) -> tuple[int, int]:
    """`int_or_tuple` as two positive integers: one number stands for both.

    Raises:
      ValueError: A value is below 1, or there are not two.
    """
    first, second = n_positive_integers(2, int_or_tuple)
    return first, second


def channel_dimension(shape: Sequence[int], data_format: str, min_rank: int = 1) -> int:
    """The number of channels of an array of shape `shape`.

    Args:
      shape: The shape.
      data_format: 'channels_first' or 'NCHW' for the second dimension, otherwise the last.
      min_rank: The least rank that is accepted.

    Raises:
      ValueError: The rank is below `min_rank`.
    """
    if len(shape) < min_rank:
        raise ValueError(f"rank must be at least {min_rank}, got shape {tuple(shape)}")
    return shape[1 if data_format in ("channels_first", "NCHW") else -1]


def last_dimension(shape: Sequence[int], min_rank: int = 1) -> int:
    """The last dimension of an array of shape `shape`.

    Raises:
      ValueError: The rank is below `min_rank`.
    """
    return channel_dimension(shape, "channels_last", min_rank)
