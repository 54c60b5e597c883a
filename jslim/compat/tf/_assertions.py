"""Assertions of TensorFlow 1: checked at once where the values are known, and not where not."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._control import truth
from jslim.compat.tf._op import Values, array, as_static, dtype_of


def Assert(
    condition: Any, data: Sequence[Any], summarize: int | None = None, name: str | None = None
) -> None:
    """Raises if the condition is known and does not hold; one that is traced is not checked.

    Raises:
      ValueError: It does not hold.
    """
    if truth("tf.Assert", condition) is False:
        raise ValueError(f"tf.Assert: the condition does not hold: {as_static(list(data))}")


def _is_known(value: Any) -> bool:
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))


def _check(title: str, holds: Callable[..., Any], message: str | None, *values: Any) -> None:
    if not all(map(_is_known, values)):
        return
    known = [np.asarray(value) for value in values]
    if not np.all(holds(*known)):
        shown = ", ".join(map(str, known))
        raise ValueError(f"tf.{title}: {message or 'it does not hold'}: {shown}")


def _named(function: Callable[..., None], name: str, count: str) -> Callable[..., None]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Raises a ValueError if {count} known and it does not hold."
    return function


def _of_one(title: str, holds: Callable[[Any], Any]) -> Callable[..., None]:
    def check(
        x: Values,
        data: object = None,
        summarize: int | None = None,
        message: str | None = None,
        name: str | None = None,
    ) -> None:
        _check(title, holds, message, x)

    return _named(check, title, "the array is")


def _of_two(title: str, holds: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(
        x: Values,
        y: Values,
        data: object = None,
        summarize: int | None = None,
        message: str | None = None,
        name: str | None = None,
    ) -> None:
        _check(title, holds, message, x, y)

    return _named(check, title, "both arrays are")


assert_positive = _of_one("assert_positive", lambda x: x > 0)
assert_negative = _of_one("assert_negative", lambda x: x < 0)
assert_non_negative = _of_one("assert_non_negative", lambda x: x >= 0)
assert_non_positive = _of_one("assert_non_positive", lambda x: x <= 0)
assert_equal = _of_two("assert_equal", lambda x, y: x == y)
assert_none_equal = _of_two("assert_none_equal", lambda x, y: x != y)
assert_less = _of_two("assert_less", lambda x, y: x < y)
assert_less_equal = _of_two("assert_less_equal", lambda x, y: x <= y)
assert_greater = _of_two("assert_greater", lambda x, y: x > y)
assert_greater_equal = _of_two("assert_greater_equal", lambda x, y: x >= y)


def assert_near(
    x: Values,
    y: Values,
    rtol: float | None = None,
    atol: float | None = None,
    data: object = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> None:
    """Raises a ValueError if both are known and further apart than `atol + rtol * abs(y)`.

    By default both tolerances are ten times the distance of 1 to the next number of the type.
    """
    kind = array(x).dtype
    default = 10 * float(jnp.finfo(kind).eps) if jnp.issubdtype(kind, jnp.floating) else 0.0
    near = default if rtol is None else rtol
    least = default if atol is None else atol
    _check("assert_near", lambda a, b: abs(a - b) <= least + near * abs(b), message, x, y)


def _refuse(title: str, holds: bool, message: str | None, accepted: str, got: object) -> None:
    if not holds:
        raise ValueError(f"tf.{title}: {message or f'x must be {accepted}'}, got {got}")


def assert_rank(
    x: Values,
    rank: int,
    data: object = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> None:
    """Raises a ValueError if the array has another number of axes."""
    found = array(x).ndim
    _refuse("assert_rank", found == int(rank), message, f"of rank {rank}", found)


def assert_rank_at_least(
    x: Values,
    rank: int,
    data: object = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> None:
    """Raises a ValueError if the array has fewer axes."""
    found, accepted = array(x).ndim, f"of rank {rank} or more"
    _refuse("assert_rank_at_least", found >= int(rank), message, accepted, found)


def assert_rank_in(
    x: Values,
    ranks: Sequence[int],
    data: object = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> None:
    """Raises a ValueError if the number of axes is none of these."""
    among, found = [int(rank) for rank in ranks], array(x).ndim
    _refuse("assert_rank_in", found in among, message, f"of a rank in {among}", found)


def assert_integer(x: Values, message: str | None = None, name: str | None = None) -> None:
    """Raises a TypeError if the array is not of whole numbers."""
    if not jnp.issubdtype(kind := array(x).dtype, jnp.integer):
        raise TypeError(f"tf.assert_integer: {message or 'x must be of whole numbers'}, got {kind}")


def assert_type(
    tensor: Values, tf_type: DTypeLike, message: str | None = None, name: str | None = None
) -> None:
    """Raises a TypeError if the array is of another type."""
    wanted, kind = dtype_of(tf_type), array(tensor).dtype
    if kind != wanted:
        raise TypeError(f"tf.assert_type: {message or f'tensor must be {wanted}'}, got {kind}")


def assert_scalar(tensor: Values, name: str | None = None, message: str | None = None) -> Any:
    """The array; raises a ValueError if it has axes."""
    _refuse("assert_scalar", np.shape(tensor) == (), message, "a scalar", np.shape(tensor))
    return tensor
