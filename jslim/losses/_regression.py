"""Losses of regression: distances between predictions and labels."""

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.core.arguments import explained
from jslim.losses._weighting import Values, as_pair, as_weights, collect, mean_loss


@explained
def mean_squared_error(
    predictions: Values, labels: Values = None, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The mean of `(predictions - labels) ** 2`; `sum_of_squares` is another name for it.

    Args:
      predictions: Of any shape.
      labels: The same shape.
      weights: Scalar, `[batch]` or up to the full shape: see `jslim.losses`.
      scope: Name for `get_losses`; default `mean_squared_error`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes differ, labels are missing, or weights do not fit.
      TypeError: Predictions or labels are a tuple.

    >>> float(mean_squared_error([[1., 2.], [3., 5.]], [[1., 0.], [0., 5.]], weights=[1., 0.]))
    2.0
    """
    op = "mean_squared_error"
    pair = {"predictions": predictions, "labels": labels}
    return mean_loss(op, lambda p, z: jnp.square(p - z), weights, scope or op, **pair)


sum_of_squares = mean_squared_error


@explained
def absolute_difference(
    predictions: Values, labels: Values = None, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The mean of `|predictions - labels|`, with gradient 0 where both are equal.

    Arguments, result and errors are those of `mean_squared_error`; the default of `scope` is
    `absolute_difference`.

    >>> float(absolute_difference([[1., 2.]], [[1., 0.]]))
    1.0
    """
    op = "absolute_difference"
    pair = {"predictions": predictions, "labels": labels}
    # Not jnp.abs: its derivative at 0 is 1, and that of TF is 0.
    return mean_loss(op, lambda p, z: jnp.maximum(p - z, z - p), weights, scope or op, **pair)


@explained
def cosine_distance(
    predictions: Values,
    labels: Values = None,
    axis: int | None = None,
    weights: Values = 1.0,
    scope: str | None = None,
    dim: int | None = None,
) -> jax.Array:
    """The mean of `1 - sum(predictions * labels, axis)`, for vectors of length 1.

    Args:
      predictions: Of any shape, of length 1 along `axis` (see `slim.unit_norm`).
      labels: The same shape, also of length 1.
      axis: The axis along which the vectors lie; required.
      weights: Scalar, or up to the shape without `axis`: see `jslim.losses`.
      scope: Name for `get_losses`; default `cosine_distance_loss`.
      dim: TF's old name for `axis`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes differ, no axis or two, an axis that is not there, or weights do not fit.
      TypeError: Predictions or labels are a tuple.

    >>> round(float(cosine_distance([[1., 0.]], [[.6, .8]], axis=1)), 6)
    0.4
    """
    op = "cosine_distance"
    along = dim if axis is None else axis
    if along is None or (axis is not None and dim is not None):
        raise ValueError(
            f"{op}: give axis, along which the vectors lie, or its old name dim (one of the two), "
            f"got axis={axis} and dim={dim}"
        )

    def distance(p: jax.Array, z: jax.Array) -> jax.Array:
        return 1 - jnp.sum(p * z, axis=checks.axis(op, "axis", along, p))

    pair = {"predictions": predictions, "labels": labels}
    return mean_loss(op, distance, weights, scope or "cosine_distance_loss", **pair)


@explained
def mean_pairwise_squared_error(
    predictions: Values, labels: Values = None, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The squared error of the differences between elements of an example.

    For each example p with labels z the mean of `((p[i] - p[j]) - (z[i] - z[j])) ** 2` over all i
    and j, which is twice the variance of `p - z`. As in TF-Slim the examples are summed, not
    averaged.

    Args:
      predictions: `[batch, ...]`.
      labels: The same shape.
      weights: Scalar or `[batch]`.
      scope: Name for `get_losses`; default `mean_pairwise_squared_error`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes differ, labels are missing, or weights are not a scalar or `[batch]`.
      TypeError: Predictions or labels are a tuple.

    >>> round(float(mean_pairwise_squared_error([[1., 2., 3.]], [[1., 1., 1.]])), 6)
    1.333333
    """
    op = "mean_pairwise_squared_error"
    first, second = as_pair(op, predictions=predictions, labels=labels)
    checks.rank(op, "predictions", first, "[batch, ...]", "add axes")
    row_weights = as_weights(op, weights, first.shape[:1])
    with jax.named_scope(scope or op):
        losses = 2 * jnp.var((first - second).reshape(len(first), -1), axis=1)
        losses = jnp.where(row_weights == 0, 0, losses)
        return collect(jnp.sum(row_weights * losses), scope or op)
