"""Losses of regression: distances between predictions and labels."""

import jax
import jax.numpy as jnp

from jslim.losses._weighting import Values, as_pair, as_weights, collect, elementwise


def mean_squared_error(
    predictions: Values, labels: Values = None, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The mean of `(predictions - labels) ** 2`; `sum_of_squares` is another name for it.

    Args:
      predictions: Any shape.
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
    arrays = as_pair(op, "predictions", predictions, "labels", labels)
    return elementwise(op, lambda p, z: jnp.square(p - z), arrays, weights, scope or op)


sum_of_squares = mean_squared_error


def absolute_difference(
    predictions: Values, labels: Values = None, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """The mean of `|predictions - labels|`, whose gradient is 0 where the two are equal.

    Arguments, result and errors are those of `mean_squared_error`; `scope` is by default
    `absolute_difference`.
    """
    op = "absolute_difference"
    arrays = as_pair(op, "predictions", predictions, "labels", labels)
    # Not jnp.abs: its derivative at 0 is 1, where TF's is 0.
    return elementwise(op, lambda p, z: jnp.maximum(p - z, z - p), arrays, weights, scope or op)


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
      predictions: Any shape, of length 1 along `axis` (see `slim.unit_norm`).
      labels: The same shape, also of length 1.
      axis: Where the vectors lie; it must be given.
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
    arrays = as_pair(op, "predictions", predictions, "labels", labels)
    if (axis is None) == (dim is None):
        raise ValueError(
            f"{op}: give axis, along which the vectors lie, or its old name dim (one of the two), "
            f"got axis={axis} and dim={dim}"
        )
    along = dim if axis is None else axis
    ndim = arrays[0].ndim
    if not (isinstance(along, int) and -ndim <= along < ndim):
        raise ValueError(
            f"{op}: axis must be an axis of the predictions, whose shape is {arrays[0].shape}, "
            f"got {along!r}"
        )
    return elementwise(
        op,
        lambda p, z: 1 - jnp.sum(p * z, axis=along),
        arrays,
        weights,
        scope or "cosine_distance_loss",
    )


def mean_pairwise_squared_error(
    predictions: Values, labels: Values = None, weights: Values = 1.0, scope: str | None = None
) -> jax.Array:
    """How far the differences between elements of an example are from those of its labels.

    For each example the mean of `((p[i] - p[j]) - (z[i] - z[j])) ** 2` over all i and j, which is
    twice the variance of `p - z`. As in TF-Slim the examples are summed, not averaged.

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
    predictions, labels = as_pair(op, "predictions", predictions, "labels", labels)
    if predictions.ndim == 0:
        raise ValueError(f"{op}: predictions must be [batch, ...], got a scalar; add axes")
    weights = as_weights(op, weights, predictions.shape[:1])
    with jax.named_scope(scope or op):
        differences = (predictions - labels).reshape(predictions.shape[0], -1)
        losses = 2 * jnp.var(differences, axis=1)
        return collect(jnp.sum(weights * jnp.where(weights == 0, 0, losses)), scope or op)
