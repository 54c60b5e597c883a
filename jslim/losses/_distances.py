"""Distances between embeddings, with gradients that are finite where they are 0."""

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arguments import explained
from jslim.losses._weighting import Values, as_array


@explained
def pairwise_distance(feature: Values, squared: bool = False) -> jax.Array:
    """The Euclidean distances between all rows.

    Distances of 0, the diagonal among them, are exactly 0 and have gradient 0, as in TF-Slim.

    Args:
      feature: `[batch, size]`.
      squared: Whether to return the squares of the distances.

    Returns:
      `[batch, batch]`, float32.

    Raises:
      ValueError: `feature` has another rank.
      TypeError: `feature` is a tuple.

    >>> pairwise_distance([[0., 0.], [3., 4.]]).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    feature = as_rows("pairwise_distance", "feature", feature)
    # Full precision: what is subtracted here is of nearly equal size.
    products = lax.dot_general(
        feature, feature, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST
    )
    lengths = lax.reduce_sum(lax.square(feature), [1])
    squares = lengths[:, None] + lengths[None, :] - 2.0 * products
    rows, columns = (lax.broadcasted_iota(jnp.int32, squares.shape, axis) for axis in (0, 1))
    is_positive = (squares > 0) & (rows != columns)
    return jnp.where(is_positive, squares, 0.0) if squared else _root(squares, is_positive)


def row_distance(first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The Euclidean distance between the rows of two arrays, and its square."""
    squares = lax.reduce_sum(lax.square(first - second), [1])
    return _root(squares, squares > 0), squares


def _root(squares: jax.Array, is_positive: jax.Array) -> jax.Array:
    """The square root if `is_positive`, else 0 with gradient 0."""
    return jnp.where(is_positive, lax.sqrt(jnp.where(is_positive, squares, 1.0)), 0.0)


def as_rows(op: str, name: str, value: Values) -> jax.Array:
    """`value` as a float32 array `[batch, size]`."""
    value = as_array(op, name, value)
    checks.rank(op, name, value, "[batch, size]", "flatten each example")
    if not len(value):
        raise ValueError(f"{op}: {name} must hold at least one example, got shape {value.shape}")
    return value


def as_classes(op: str, labels: Values, batch: int, *, may_be_column: bool = False) -> jax.Array:
    """`labels` as integers `[batch]`, the classes of the rows."""
    labels = as_array(op, "labels", labels, dtype=None)
    checks.integers(op, "labels", labels, "integers, the classes")
    check_batch(op, labels, batch, may_be_column=may_be_column)
    return labels.reshape(batch)


def check_batch(op: str, labels: jax.Array, batch: int, *, may_be_column: bool = False) -> None:
    """Refuses labels that are not one for each row."""
    shapes = ((batch,), (batch, 1)) if may_be_column else ((batch,),)
    of = ", one for each row of the embeddings"
    checks.shape(op, "labels", labels, *shapes, of=of, hint="reshape them")
