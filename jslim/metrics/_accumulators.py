"""The accumulator of all metrics: a sum held as a pair of floats.

A float32 stops counting at 2**24: adding one changes nothing any more. A `Sum` keeps the rounding
error of each addition (Knuth's two-sum) in a second float. That gives 48 bits without 64-bit types
on the device:

- whole numbers (counts of examples, and sums of weights that are whole) are exact up to 2**46;
- for other numbers n additions leave an error below n * 2**-46 times the sum of the absolute
  values, so that a million updates stay below the rounding of the float32 that is reported.

XLA sums each batch in float32 before it is added. That is exact for truth values, and for whole
weights that add up to less than 2**24 in the batch.

If JAX has 64-bit types, the pair is of float64.

Reference: T. J. Dekker, "A floating-point technique for extending the available precision",
Numerische Mathematik 18 (1971); D. E. Knuth, The Art of Computer Programming 2, section 4.2.2.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jslim.core import reprs

Tree = TypeVar("Tree")


class Sum(NamedTuple):
    """A sum `high + low`, where `low` is below the last place of `high`; of any shape."""

    high: jax.Array
    low: jax.Array

    def __repr__(self) -> str:
        numbers = [reprs.known_number(part) for part in self]
        if None in numbers:
            return reprs.value_or_type(self.high)
        return f"{sum(number or 0.0 for number in numbers):.15g}"


def statistics_dtype() -> np.dtype:
    """The type in which metrics compute: float32, or float64 where JAX has 64-bit types."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))


def zero(shape: tuple[int, ...] = ()) -> Sum:
    """The empty sum, or an array of them."""
    # Each has a buffer of its own: a state may be donated.
    return Sum(jnp.zeros(shape, statistics_dtype()), jnp.zeros(shape, statistics_dtype()))


def zeros(state: Callable[..., Tree], *shapes: tuple[int, ...]) -> Callable[[], Tree]:
    """Makes the state that has an empty sum of each of the shapes."""
    return lambda: state(*map(zero, shapes))


def add(a: Sum, b: Sum) -> Sum:
    """`a + b`; associative to the bound above, exact for whole numbers."""
    high, error = _add_exactly(a.high, b.high)
    return Sum(*_add_exactly(high, error + (a.low + b.low)))


def value(total: Sum) -> jax.Array:
    """The sum as one float, rounded once."""
    return total.high + total.low


def ratio(numerator: Sum, denominator: Sum) -> jax.Array:
    """`numerator / denominator`, and 0 where the denominator is 0."""
    return divide(value(numerator), value(denominator))


def divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """`numerator / denominator`, and 0 where the denominator is 0."""
    is_zero = denominator == 0
    return jnp.where(is_zero, 0, numerator / jnp.where(is_zero, 1, denominator))


def sum_of(
    values: jax.Array,
    weights: jax.Array | None = None,
    axis: int | tuple[int, ...] | None = None,
) -> Sum:
    """The sum of all `values`, each times its weight; truth values count as 1 and 0.

    Args:
        values: An array of any shape and type.
        weights: None for 1 each, or an array that broadcasts to the shape of `values`. A weight
            of 0 leaves the value out, even where it is NaN or infinite.
        axis: What to sum over, all axes by default.
    """
    dtype = statistics_dtype()
    if values.dtype == bool and weights is None:
        return _from_integer(jnp.sum(values, axis, dtype=jnp.int32))
    terms = values.astype(dtype)
    if weights is not None:
        terms = jnp.where(weights == 0, 0, terms * weights)
    return from_float(jnp.sum(terms, axis))


def from_float(total: jax.Array) -> Sum:
    """A float as a sum."""
    return Sum(total, jnp.zeros_like(total))


def count_of(
    shape: tuple[int, ...],
    weights: jax.Array | None = None,
    axis: int | tuple[int, ...] | None = None,
) -> Sum:
    """The sum of the weights of an array of this shape; arguments as of `sum_of`."""
    return sum_of(jnp.broadcast_to(True if weights is None else weights, shape), axis=axis)


def merge(a: Tree, b: Tree) -> Tree:
    """Adds two equal trees of sums, sum by sum."""
    return jax.tree.map(add, a, b, is_leaf=lambda node: isinstance(node, Sum))


def _add_exactly(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rounded sum of two floats, and its rounding error."""
    total = a + b
    b_seen = total - a
    error = (a - (total - b_seen)) + (b - b_seen)
    # An infinite sum would leave inf - inf = NaN here and then poison the value.
    return total, jnp.where(jnp.isfinite(total), error, 0)


def _from_integer(number: jax.Array) -> Sum:
    """A count below 2**31: its upper and lower 16 bits are floats without rounding."""
    dtype = statistics_dtype()
    upper = (number >> 16).astype(dtype) * 65536
    return Sum(*_add_exactly(upper, (number & 0xFFFF).astype(dtype)))
