"""Weighted means of values, of errors and of hits."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jslim.core import checks, reprs
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric, value_metric
from jslim.metrics._inputs import to_pair, to_statistics, to_weights


class MeanState(NamedTuple):
    """The weighted sum of the values, and the sum of the weights."""

    total: accumulators.Sum
    weight: accumulators.Sum

    def __repr__(self) -> str:
        return reprs.state_repr(self)


@metric
def streaming_mean(where: str) -> Metric:
    """The weighted mean of all values.

    `update(state, values, *, weights=None)`:
        values: Real numbers of any shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where the weights add up to 0 or there is no data.

    >>> metric = streaming_mean()
    >>> state = metric.update(metric.init(), [1.0, 2.0, 6.0], weights=[1, 1, 0])
    >>> round(float(metric.finalize(state)), 4)
    1.5
    """
    return value_metric(EMPTY, functools.partial(mean_state, where), mean)


@metric
def streaming_accuracy(where: str) -> Metric:
    """The share of predictions that equal their labels; also named `accuracy`.

    TF-Slim's own `metrics.accuracy` is the value of one batch and not a streaming metric.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Class ids `[batch]`, or an array of the shape of `labels`. As in TF-Slim they
            are cast to the type of `labels`. A NaN is never right.
        labels: The right ids.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.

    >>> metric = streaming_accuracy()
    >>> state = metric.update(metric.init(), [0, 1, 1, 1], [0, 0, 1, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """

    def is_right(predictions: jax.Array, labels: jax.Array) -> jax.Array:
        # A cast to an integer type would turn a NaN into some class id.
        return (predictions.astype(labels.dtype) == labels) & (predictions == predictions)

    return mean_of_pairs(where, is_right)


@metric
def streaming_mean_absolute_error(where: str) -> Metric:
    """The mean of `abs(predictions - labels)`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.

    >>> metric = streaming_mean_absolute_error()
    >>> state = metric.update(metric.init(), [1.0, 4.0], [2.0, 2.0])
    >>> round(float(metric.finalize(state)), 4)
    1.5
    """
    return mean_of_pairs(where, lambda p, y: jnp.abs(to_statistics(p) - to_statistics(y)))


@metric
def streaming_mean_squared_error(where: str) -> Metric:
    """The mean of `(predictions - labels) ** 2`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.

    >>> metric = streaming_mean_squared_error()
    >>> state = metric.update(metric.init(), [1.0, 4.0], [2.0, 2.0])
    >>> round(float(metric.finalize(state)), 4)
    2.5
    """
    return mean_of_pairs(where, _squared_errors)


@metric
def streaming_mean_relative_error(where: str) -> Metric:
    """The mean of `abs(labels - predictions) / normalizer`; the error is 0 if the normalizer is 0.

    TF-Slim requires the normalizer; here its default is the labels. As in TF-Slim its sign counts:
    a negative normalizer makes a negative error.

    `update(state, predictions, labels, normalizer=None, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        normalizer: Real numbers of the same shape; None means `labels`.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.

    >>> metric = streaming_mean_relative_error()
    >>> state = metric.update(metric.init(), [1.0, 4.0], [2.0, 2.0])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """

    def update(
        state: MeanState,
        predictions: ArrayLike,
        labels: ArrayLike,
        normalizer: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
    ) -> MeanState:
        predictions, labels = to_pair(where, predictions, labels)
        errors = jnp.abs(to_statistics(labels) - to_statistics(predictions))
        errors, given = to_pair(
            where,
            errors,
            labels if normalizer is None else normalizer,
            names=("predictions", "normalizer"),
        )
        relative_errors = accumulators.divide(errors, to_statistics(given))
        return accumulators.merge(state, mean_state(where, relative_errors, weights))

    return Metric(EMPTY, update, mean, accumulators.merge)


@metric
def streaming_percentage_less(where: str, threshold: float) -> Metric:
    """The share of values below a threshold; also named `percentage_less`.

    Args:
        threshold: A value equal to it does not count as less.

    `update(state, values, *, weights=None)`:
        values: Real numbers of any shape. A NaN is not less.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1] (not in percent); 0 where there is no data.

    >>> metric = streaming_percentage_less(2)
    >>> state = metric.update(metric.init(), [1.0, 2.0, 3.0, 0.0])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """

    def batch(values: ArrayLike, weights: ArrayLike | None) -> MeanState:
        return mean_state(where, to_statistics(values) < to_statistics(threshold), weights)

    return value_metric(EMPTY, batch, mean)


@metric
def streaming_mean_tensor(where: str, shape: tuple[int, ...] = ()) -> Metric:
    """The weighted mean of arrays, element by element.

    Differs from TF-Slim: the shape is given here, since the state exists before any values.

    Args:
        shape: The shape of the arrays.

    `update(state, values, *, weights=None)`:
        values: Real numbers of that shape, or `[batch, *shape]`: one array per example, each with
            its weight.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a value of that shape; 0 where the weights add up to 0.

    Raises:
        ValueError: By `update`, if the values have another shape.

    >>> metric = streaming_mean_tensor((2,))
    >>> state = metric.update(metric.init(), [[1.0, 2.0], [3.0, 6.0]])
    >>> metric.finalize(state).tolist()
    [2.0, 4.0]
    """
    shape = tuple(shape)

    def batch(values: ArrayLike, weights: ArrayLike | None) -> MeanState:
        values = jnp.asarray(values)
        if values.shape not in (shape, (*values.shape[:1], *shape)):
            accepted = f"of shape {shape} or {('batch', *shape)}"
            hint = f"give the shape to {where}(shape=...)"
            raise checks.refusal(where, "values", accepted, str(values.shape), hint)
        aligned = to_weights(where, weights, values.shape)
        return _sums(values, aligned, axis=0 if values.ndim > len(shape) else ())

    return value_metric(accumulators.zeros(MeanState, shape, shape), batch, mean)


@metric
def streaming_root_mean_squared_error(where: str) -> Metric:
    """The square root of the mean of `(predictions - labels) ** 2`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.

    >>> metric = streaming_root_mean_squared_error()
    >>> state = metric.update(metric.init(), [1.0, 9.0], [2.0, 2.0])
    >>> round(float(metric.finalize(state)), 4)
    5.0
    """
    return mean_of_pairs(where, _squared_errors, jnp.sqrt)


@metric
def streaming_mean_cosine_distance(where: str, dim: int = -1) -> Metric:
    """1 minus the mean of the products of predictions and labels, summed over `dim`.

    As in TF-Slim they are not normalized: give vectors of norm 1 for cosines.

    Args:
        dim: The axis that is summed over; by default the last.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape, with norms of 1 along `dim`.
        labels: The same, of the same shape.
        weights: See `jslim.metrics`; for the shape with an axis of 1 at `dim`, which may be left
            out if it is the last.

    Returns:
        A metric with a scalar value; 1 where there is no data.

    >>> metric = streaming_mean_cosine_distance()
    >>> state = metric.update(metric.init(), [[0.6, 0.8]], [[1.0, 0.0]])
    >>> round(float(metric.finalize(state)), 4)
    0.4
    """

    def products(predictions: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.sum(to_statistics(predictions) * to_statistics(labels), dim, keepdims=True)

    return mean_of_pairs(where, products, lambda m: 1 - m)


@metric
def count(where: str) -> Metric:
    """The number of values: the sum of their weights.

    `update(state, values, *, weights=None)`:
        values: An array of any shape; only its shape counts.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value, exact past 2**24; 0 where there is no data.

    >>> metric = count()
    >>> state = metric.update(metric.init(), [7.0, 8.0, 9.0], weights=[1, 1, 0])
    >>> round(float(metric.finalize(state)), 4)
    2.0
    """

    def batch(values: ArrayLike, weights: ArrayLike | None) -> accumulators.Sum:
        shape = np.shape(values)
        return accumulators.count_of(shape, to_weights(where, weights, shape))

    return value_metric(accumulators.zero, batch, accumulators.value)


EMPTY = accumulators.zeros(MeanState, (), ())


def mean_state(where: str, values: ArrayLike, weights: ArrayLike | None) -> MeanState:
    """The state after one batch of `values`, numbers or truth values."""
    values = jnp.asarray(values)
    return _sums(values, to_weights(where, weights, values.shape))


def _sums(
    values: jax.Array, weights: jax.Array | None, axis: int | tuple[int, ...] | None = None
) -> MeanState:
    return MeanState(
        accumulators.sum_of(values, weights, axis),
        accumulators.count_of(values.shape, weights, axis),
    )


def mean(state: MeanState) -> jax.Array:
    """The value of such a state."""
    return accumulators.ratio(state.total, state.weight)


def mean_of_pairs(
    where: str,
    values_of: Callable[[jax.Array, jax.Array], jax.Array],
    of_mean: Callable[[jax.Array], jax.Array] = lambda m: m,
) -> Metric:
    """The mean of a function of predictions and labels of one shape, or a function of it."""

    def batch(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> MeanState:
        return mean_state(where, values_of(*to_pair(where, predictions, labels)), weights)

    return pair_metric(where, EMPTY, batch, lambda state: of_mean(mean(state)))


def _squared_errors(predictions: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.square(to_statistics(predictions) - to_statistics(labels))


accuracy = streaming_accuracy
percentage_less = streaming_percentage_less
