"""Checks of arguments; all of them word their errors alike.

Each check takes `(where, name, value)` first: the function that was called (with its scope, if it
has one; `''` for no function), the name of the argument, and its value. It raises an error such as

    conv2d at 'net/Conv': stride must be at least 1, got 0; give ...

The text after the semicolon is `hint`: what to do. `refusal` makes such an error for a rule that
only one place has.
"""

import math
import numbers
import operator
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.core.errors import did_you_mean

T = TypeVar("T")
Array = jax.Array | np.ndarray

_MANY = 4  # choices; more than these are shown as a list


def refusal(
    where: str,
    name: str,
    accepted: str,
    got: str,
    hint: str = "",
    kind: type[ValueError] | type[TypeError] = ValueError,
) -> ValueError | TypeError:
    """Makes the error for an argument that is not accepted.

    Args:
      where, name: See the module.
      accepted: The accepted values in words: `'a list of names'`.
      got: The given value in words: `shown(value)`, `f'shape {array.shape}'`.
      hint: What to do.
      kind: The class of the error.

    >>> refusal("f", "names", "a list of names", shown("a"))
    ValueError("f: names must be a list of names, got 'a'")
    """
    return kind(_sentence(where, f"{name} must be {accepted}, got {got}", hint))


def _sentence(where: str, text: str, hint: str = "") -> str:
    return (f"{where}: " if where else "") + text + (f"; {hint}" if hint else "")


def shown(value: object) -> str:
    """A value as errors show it: a NumPy number as `0.5` and not as `np.float64(0.5)`.

    >>> shown(np.float64(0.5)), shown("a")
    ('0.5', "'a'")
    """
    return str(value) if isinstance(value, numbers.Number) else repr(value)


def given(where: str, name: str, value: T | None, hint: str = "") -> T:
    """Returns a value that must not be None.

    Raises:
      ValueError: The value is None.
    """
    if value is None:
        raise ValueError(_sentence(where, f"{name} is missing", hint))
    return value


def instance(
    where: str,
    name: str,
    value: object,
    kind: type[T] | tuple[type[T], ...],
    accepted: str,
    hint: str = "",
) -> T:
    """Returns a value that must have a type.

    Raises:
      TypeError: The value has another type; the error names it.
    """
    if not isinstance(value, kind):
        raise refusal(where, name, accepted, type(value).__name__, hint, TypeError)
    return value


def function(where: str, name: str, value: object, of: str = "", hint: str = "") -> None:
    """Refuses a value that cannot be called.

    Args:
      where, name, value, hint: See the module.
      of: The kind of function that is accepted: `'of arrays'`, `'without arguments'`.

    Raises:
      TypeError: The value cannot be called.
    """
    if not callable(value):
        accepted = f"a function {of}".rstrip()
        raise refusal(where, name, accepted, type(value).__name__, hint, TypeError)


def choices(values: Iterable[object]) -> str:
    """Choices in words: `'a', 'b' or 'c'`; five and more become `one of 'a', 'b', ...`.

    >>> choices([8, 16, None])
    '8, 16 or None'
    """
    *first, last = map(repr, values)
    if len(first) + 1 > _MANY:
        return f"one of {', '.join([*first, last])}"
    return f"{', '.join(first)} or {last}" if first else last


def one_of(
    where: str,
    name: str,
    value: object,
    among: Collection[object],
    accepted: str = "",
    hint: str = "",
) -> None:
    """Refuses a value that is not among the choices.

    Args:
      where, name, value, hint: See the module. If there are many choices and no hint, the error
        names the nearest ones.
      among: The choices.
      accepted: The choices in words; default `choices(among)`.

    Raises:
      ValueError: The value is not among the choices.

    >>> one_of("conv2d", "padding", "SAM", ["SAME", "VALID"])
    Traceback (most recent call last):
    ValueError: conv2d: padding must be 'SAME' or 'VALID', got 'SAM'
    """
    if not any(_is_equal(value, choice) for choice in among):
        if not hint and isinstance(value, str) and len(among) > _MANY:
            texts = [choice for choice in among if isinstance(choice, str)]
            hint = did_you_mean(value, texts).removeprefix("; ")
        raise refusal(where, name, accepted or choices(among), shown(value), hint)


def _is_equal(value: object, choice: object) -> bool:
    try:
        return bool(value == choice)
    except (TypeError, ValueError):  # an array, a traced value
        return False


def known(where: str, kind: str, name: object, names: Collection[str], more: str = "") -> None:
    """Refuses a name that does not exist.

    Args:
      where: The function.
      kind: The kind of thing that has a name: `'end point'`.
      name: The name.
      names: The names that exist.
      more: What the error says about them; by default it lists them.

    Raises:
      ValueError: The name does not exist; the error offers the nearest names.

    >>> known("f", "layer", "con1", ["conv1", "fc"])
    Traceback (most recent call last):
    ValueError: f: there is no layer 'con1'; did you mean 'conv1'? (there are conv1, fc)
    """
    if not isinstance(name, str) or name not in names:
        near = did_you_mean(str(name), names)
        more = more or f"there are {', '.join(names)}"
        raise ValueError(_sentence(where, f"there is no {kind} {name!r}{near} ({more})"))


def number(
    where: str,
    name: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    hint: str = "",
) -> None:
    """Refuses a value that is not a number within bounds; NaN is always refused.

    Args:
      where, name, value, hint: See the module.
      at_least, above: The lower bound; `above` itself is not accepted.
      at_most, below: The upper bound; `below` itself is not accepted.

    Raises:
      TypeError: The value is not a number.
      ValueError: The value is outside the bounds.

    >>> number("f", "rate", 2, at_least=0, at_most=1)
    Traceback (most recent call last):
    ValueError: f: rate must be in [0, 1], got 2
    """
    accepted = _interval(at_least, above, at_most, below)
    try:
        is_between = not math.isnan(value) and (
            (at_least is None or value >= at_least)
            and (above is None or value > above)
            and (at_most is None or value <= at_most)
            and (below is None or value < below)
        )
    except (TypeError, ValueError):
        accepted = f"a number {accepted}".rstrip()
        raise refusal(where, name, accepted, shown(value), hint, TypeError) from None
    if not is_between:
        raise refusal(where, name, accepted or "a number", shown(value), hint)


def _interval(
    at_least: float | None, above: float | None, at_most: float | None, below: float | None
) -> str:
    if at_least is not None and at_most is not None:
        return f"in [{at_least}, {at_most}]"
    if above is not None and below is not None:
        return f"in ({above}, {below})"
    bounds = (("at least", at_least), ("above", above), ("at most", at_most), ("below", below))
    return " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)


def not_negative(where: str, name: str, value: float, hint: str = "") -> None:
    """Refuses a negative number and NaN.

    Raises:
      ValueError: The value is negative or NaN.
    """
    if not value >= 0:
        raise ValueError(_sentence(where, f"{name} must not be negative, got {shown(value)}", hint))


def whole_number(value: object) -> int | None:
    """A whole number as an int, or None; a float such as `16 / 2` may be whole.

    >>> whole_number(3.0), whole_number(3.5), whole_number("3")
    (3, None, None)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    try:
        if isinstance(value, numbers.Real):
            return operator.index(math.floor(value)) if value % 1 == 0 else None
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def count(where: str, name: str, value: float, *, least: int = 1) -> int:
    """Returns a whole number as an int; 3.0 is accepted, True is not.

    Args:
      where, name, value: See the module.
      least: The smallest number that is accepted.

    Raises:
      TypeError: The value is not a number.
      ValueError: The number is not whole, or too small.

    >>> count("f", "num_steps", 3.0)
    3
    """
    whole = None if isinstance(value, bool) else whole_number(value)
    if whole is None:
        accepted = f"a whole number of at least {least}" if least else "a whole number, 0 or more"
        kind = ValueError if isinstance(value, numbers.Real) else TypeError
        raise refusal(where, name, accepted, shown(value), kind=kind)
    if whole < least:
        raise refusal(where, name, f"at least {least}" if least else "0 or more", shown(value))
    return whole


def positive_integer(where: str, name: str, value: float, hint: str = "") -> int:
    """Returns a positive whole number as an int; 3.0 is accepted.

    Raises:
      ValueError: The value is not a whole number of at least 1.
    """
    whole = whole_number(value)
    if whole is None or whole < 1:
        raise refusal(where, name, "a positive integer", shown(value), hint)
    return whole


def positive_integers(
    where: str, name: str, value: float | Sequence[float], length: int
) -> tuple[int, ...]:
    """Returns `length` positive integers; one number stands for all of them.

    Raises:
      ValueError: A number is not a positive integer, or there are not `length` of them.

    >>> positive_integers("f", "kernel_size", 3, length=2)
    (3, 3)
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    values = value if isinstance(value, (list, tuple)) else [value] * length
    whole = [number for v in values if (number := whole_number(v)) is not None and number >= 1]
    if len(whole) != len(values) or len(values) != length:
        several = f" or {length} of them" if length > 1 else ""
        raise refusal(where, name, f"one positive integer{several}", shown(value))
    return tuple(whole)


def seconds(where: str, name: str, value: float | None, accepted: str = "at least 0") -> None:
    """Refuses a value that is not a number of seconds, at least 0.

    Args:
      where, name, value: See the module; None and infinity are accepted.
      accepted: The accepted numbers in words.

    Raises:
      TypeError: The value is not a number.
      ValueError: The value is negative, NaN, True or False.
    """
    if value is None:
        return
    try:
        secs = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise refusal(where, name, "a number of seconds", shown(value), kind=TypeError) from None
    if not secs >= 0:
        raise refusal(where, name, accepted, shown(value))


def rank(where: str, name: str, array: ArrayLike, layout: str, hint: str = "") -> None:
    """Refuses an array whose number of axes does not fit a layout.

    Args:
      where, name, hint: See the module.
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
      where, name, hint: See the module.
      array: The argument.
      *accepted: The accepted shapes.
      of: What the error says about them: `', one for each row of the embeddings'`.

    Raises:
      ValueError: The array has another shape.
    """
    if np.shape(array) not in accepted:
        words = " or ".join(map(str, accepted))
        text = f"{name} must have shape {words}{of}, got {np.shape(array)}"
        raise ValueError(_sentence(where, text, hint))


def same_shape(where: str, hint: str = "", **arrays: ArrayLike) -> None:
    """Refuses arrays of different shapes, which are given as `name=array`.

    Raises:
      ValueError: The shapes differ.
    """
    shapes = [np.shape(array) for array in arrays.values()]
    if len(set(shapes)) > 1:
        names, found = (" and ".join(map(str, items)) for items in (arrays, shapes))
        raise ValueError(_sentence(where, f"{names} must have the same shape, got {found}", hint))


def axis(where: str, name: str, value: int, array: Array, negative: bool = True) -> int:
    """Returns the number of an axis, counted from the front.

    Args:
      where, name, value: See the module; -1 is the last axis.
      array: The inputs, which must have the axis.
      negative: Whether an axis may be counted from the end.

    Raises:
      ValueError: The array has no such axis.

    >>> axis("f", "axis", -1, np.zeros([2, 3]))
    1
    """
    least = -array.ndim if negative else 0
    if not least <= value < array.ndim:
        accepted = f"from {least} to {array.ndim - 1} for inputs of shape {array.shape}"
        raise refusal(where, name, accepted, shown(value))
    return value % array.ndim


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
    if not jnp.issubdtype(dtype, jnp.floating):
        accepted = "a floating point type"
        raise refusal(where, name, accepted, jnp.dtype(dtype).name, kind=TypeError)
