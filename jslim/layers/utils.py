"""Small helpers for layers: collections, arguments with one number or several, conditions."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.access import collect, collected, frame
from jslim.layers._types import Collections, Names

_Outputs = TypeVar("_Outputs")
Value = TypeVar("Value", bound=object)


class NamedOutputs(NamedTuple):
    """Outputs and their name."""

    name: str
    outputs: object


def collect_named_outputs(collections: Names, alias: str, outputs: _Outputs) -> _Outputs:
    """Adds `outputs` under the name `alias` to each of the collections, and returns it.

    A value that a collection holds under that name is replaced, at its place in the order.

    Args:
      collections: The name of a collection, several names, or None for none.
      alias: The name, commonly the full name of the layer's scope.
      outputs: The value to collect.
    """
    if collections:
        for name in (collections,) if isinstance(collections, str) else collections:
            collect(name, alias.removesuffix("/"), outputs, replaces=True)
    return outputs


def convert_collection_to_dict(
    collection: str, clear_collection: bool = False
) -> dict[str, jax.Array]:
    """The outputs that the running model has collected, as `{alias: output}` in call order.

    Args:
      collection: The collection's name, as given to `outputs_collections`.
      clear_collection: Whether to empty it.
    """
    outputs = collected(collection)
    if clear_collection:
        frame("convert_collection_to_dict").run.collections.pop(collection, None)
    return outputs


def get_variable_collections(variables_collections: Collections, name: str) -> list[str]:
    """The collections that the variable `name` is to be added to.

    Args:
      variables_collections: A list for every variable, or a dict of lists by variable name.
      name: `weights`, `biases`, `beta`, ...

    >>> get_variable_collections({"weights": ["decayed"]}, "weights")
    ['decayed']
    """
    if isinstance(variables_collections, Mapping):
        variables_collections = variables_collections.get(name)
    if isinstance(variables_collections, str):
        return [variables_collections]
    return list(variables_collections or ())


def n_positive_integers(n: int, value: int | Sequence[int]) -> tuple[int, ...]:
    """`value` as `n` positive integers: one number stands for all of them, 2.0 for 2.

    Raises:
      ValueError: `n` or a value is below 1, or the number of values is not `n`.

    >>> n_positive_integers(3, 2)
    (2, 2, 2)
    """
    if n < 1:
        raise ValueError(f"n_positive_integers: n must be at least 1, got {n}")
    return checks.positive_integers("n_positive_integers", "value", value, n)


def two_element_tuple(int_or_tuple: int | Sequence[int]) -> tuple[int, int]:
    """`int_or_tuple` as two positive integers: one number stands for both.

    Raises:
      ValueError: A value is below 1, or there are not two.

    >>> two_element_tuple([3, 5])
    (3, 5)
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

    >>> channel_dimension((8, 3, 32, 32), "NCHW")
    3
    """
    if len(shape) < min_rank:
        raise ValueError(f"rank must be at least {min_rank}, got shape {tuple(shape)}")
    return shape[1 if data_format in ("channels_first", "NCHW") else -1]


def last_dimension(shape: Sequence[int], min_rank: int = 1) -> int:
    """The last dimension of an array of shape `shape`.

    Raises:
      ValueError: The rank is below `min_rank`.

    >>> last_dimension((8, 32, 32, 3))
    3
    """
    return channel_dimension(shape, "channels_last", min_rank)


def constant_value(value_or_tensor_or_var: Value, dtype: DTypeLike | None = None) -> Value | None:
    """`value_or_tensor_or_var`, or None for an array that is being traced and has no value yet.

    Args:
      value_or_tensor_or_var: A number or an array.
      dtype: The type that an array must have.

    Raises:
      ValueError: It is None, or an array of another type.

    >>> constant_value(2.5)
    2.5
    """
    value = value_or_tensor_or_var
    if value is None:
        raise ValueError("constant_value: there is no value, got None; give a number or an array")
    found = getattr(value, "dtype", dtype)
    if dtype is not None and found != dtype:
        raise ValueError(f"constant_value: the array must be {dtype}, got {found}")
    try:
        np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        return None
    return value


def static_cond(pred: object, fn1: Callable[[], _Outputs], fn2: Callable[[], _Outputs]) -> _Outputs:
    """`fn1()` if `pred` is true, otherwise `fn2()`. `pred` is a value, and not a traced array.

    Raises:
      TypeError: `fn1` or `fn2` is not a function.

    >>> static_cond(0 > 1, lambda: "yes", lambda: "no")
    'no'
    """
    for name, function in (("fn1", fn1), ("fn2", fn2)):
        checks.function("static_cond", name, function, "without arguments")
    return fn1() if pred else fn2()


def smart_cond(
    pred: ArrayLike,
    fn1: Callable[[], _Outputs],
    fn2: Callable[[], _Outputs],
    name: str | None = None,
) -> _Outputs:
    """`static_cond` if `pred` has a value, `jax.lax.cond` if it is being traced.

    With `jax.lax.cond` both functions give arrays of the same shapes and types, and make or read no
    variables, as JAX requires inside a model function.

    Args:
      pred: A bool, or a scalar array.
      fn1: A function without arguments, for True.
      fn2: A function without arguments, for False.
      name: Ignored.

    Raises:
      TypeError: `fn1` or `fn2` is not a function.

    >>> smart_cond(True, lambda: "yes", lambda: "no")
    'yes'
    """
    del name
    known = constant_value(pred)
    if known is None and callable(fn1) and callable(fn2):
        return jax.lax.cond(pred, fn1, fn2)
    return static_cond(known, fn1, fn2)


_tf_slim_names.answer_in(__name__)
