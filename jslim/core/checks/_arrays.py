"""Checks of arrays: axes, shapes, types."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.core.checks._numbers import whole_number
from jslim.core.checks._wording import refusal, sentence, shown

Array = jax.Array | np.ndarray


def rank(where: str, name: str, array: ArrayLike, layout: str, hint: str = "") -> None:
    """Refuses an array whose number of axes does not fit a layout.

    Args:
      where, name, hint: See the package.
      array: The argument.
      layout: The names of the axes, `'[batch, height, width, channels]'`; `...` stands for any
        number of axes, also for zero.

    Raises:
      ValueError: The array has more or fewer axes.

    >>> rank("conv2d", "inputs", np.zeros([3, 3]), "[batch, height, width, channels]")
    Traceback (most recent call last):
    ValueError: conv2d: inputs must be [batch, height, width, channels], got shape (3, 3)
    """
    axes = layout.partition("[")[2].partition("]")[0].split(",")
    is_open = any(axis.strip() == "..." for axis in axes)
    ndim = np.ndim(array)
    if ndim < len(axes) - 1 if is_open else ndim != len(axes):
        raise refusal(where, name, layout, f"shape {np.shape(array)}", hint)


def shape(
    where: str,
    name: str,
    array: ArrayLike,
    *accepted: tuple[int, ...],
    of: str = "",
    hint: str = "",
) -> None:
    """Refuses an array that has another shape than the accepted ones.

    Args:
      where, name, hint: See the package.
      array: The argument.
      *accepted: The accepted shapes.
      of: What the error says about them: `', one for each row of the embeddings'`.

    Raises:
      ValueError: The array has another shape.
    """
    if np.shape(array) not in accepted:
        words = " or ".join(map(str, accepted))
        text = f"{name} must have shape {words}{of}, got {np.shape(array)}"
        raise ValueError(sentence(where, text, hint))


def same_shape(where: str, hint: str = "", **arrays: ArrayLike) -> None:
    """Refuses arrays of different shapes, which are given as `name=array`.

    Raises:
      ValueError: The shapes differ.
    """
    shapes = [np.shape(array) for array in arrays.values()]
    if len(set(shapes)) > 1:
        names, found = (" and ".join(map(str, items)) for items in (arrays, shapes))
        raise ValueError(sentence(where, f"{names} must have the same shape, got {found}", hint))


def axis(where: str, name: str, value: int, array: Array, negative: bool = True) -> int:
    """Returns the number of an axis, counted from the front.

    Args:
      where, name, value: See the package; -1 is the last axis.
      array: The inputs, which must have the axis.
      negative: Whether an axis may be counted from the end.

    Raises:
      ValueError: The array has no such axis.

    >>> axis("f", "axis", -1, np.zeros([2, 3]))
    1
    """
    least = -array.ndim if negative else 0
    whole = whole_number(value)
    if whole is None or not least <= whole < array.ndim:
        accepted = f"from {least} to {array.ndim - 1} for inputs of shape {array.shape}"
        raise refusal(where, name, accepted, shown(value))
    return whole % array.ndim


_UNPACK = "a network function returns (logits, end_points), so unpack it: logits, end_points = ..."


def numbers_in(where: str, name: str, value: object, dtype: DTypeLike | None = None) -> jax.Array:
    """Returns the numbers of an array or a list as an array of JAX.

    Args:
      where, name: See the package.
      value: The argument.
      dtype: The type of the result; None for that of the numbers.

    Raises:
      TypeError: It holds texts or other things that are no numbers, or is what a network returned.

    >>> numbers_in("f", "labels", ["cat"])
    Traceback (most recent call last):
    TypeError: f: labels must be an array of numbers, got the text 'cat'; give a class by its \
number, class_names.index('cat')
    """
    if isinstance(value, dict) or (isinstance(value, tuple) and any(map(_is_dict, value))):
        got = f"a {type(value).__name__}"
        raise refusal(where, name, "one array", got, _UNPACK, TypeError)
    try:
        if _holds_none(value):  # which would become NaN
            raise TypeError
        array = jnp.asarray(value)
        if dtype is not None and jnp.iscomplexobj(array) and not jnp.issubdtype(dtype, complex):
            raise TypeError
        return array if dtype is None else array.astype(dtype)
    except (TypeError, ValueError) as error:
        held = value
        while isinstance(held, (list, tuple)) and held:
            held = held[0]
        if isinstance(held, np.ndarray) and held.size:
            held = held.item(0)
        got, hint = type(value).__name__, ""
        if isinstance(held, (str, bytes)):
            got = f"the text {held!r:.40}"
            if "label" in name:
                hint = f"give a class by its number, class_names.index({held!r:.40})"
        elif isinstance(value, np.ndarray):
            got = f"an array of {value.dtype}"
        raise refusal(where, name, "an array of numbers", got, hint, TypeError) from error


def _holds_none(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype == object
    if isinstance(value, (list, tuple)):
        return any(map(_holds_none, value))
    return value is None


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)


def integers(
    where: str, name: str, array: Array, accepted: str = "integers", hint: str = ""
) -> None:
    """Refuses an array whose dtype is not an integer type; bool is not one.

    Raises:
      TypeError: The array has another dtype.
    """
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise refusal(where, name, accepted, array.dtype.name, hint, TypeError)


def floating(where: str, name: str, array: Array, hint: str = "") -> None:
    """Refuses an array whose dtype is not a floating point type.

    Raises:
      TypeError: The array has another dtype.
    """
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise refusal(where, name, "floating point", array.dtype.name, hint, TypeError)


def floating_dtype(where: str, name: str, dtype: DTypeLike) -> None:
    """Refuses a dtype that is not a floating point type.

    Raises:
      TypeError: It is another type.
    """
    try:
        if isinstance(dtype, (jax.Array, np.ndarray)):
            raise TypeError
        found = jnp.dtype(dtype)
    except TypeError:
        accepted = "a floating point type such as jnp.bfloat16"
        raise refusal(where, name, accepted, repr(dtype), kind=TypeError) from None
    if not jnp.issubdtype(found, jnp.floating):
        raise refusal(where, name, "a floating point type", found.name, kind=TypeError)
