"""Metrics that are the weighted mean of something per value."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, takes_configuration
from jslim.metrics._inputs import to_pair, to_statistics, to_weights


class MeanState(NamedTuple):
    """The weighted sum of the values, and the sum of the weights."""

    total: accumulators.Sum
    weight: accumulators.Sum


@takes_configuration
def streaming_mean() -> Metric:
    """The weighted mean of all values.

    `update(state, values, *, weights=None)`:
        values: Real numbers of any shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where the weights add up to 0 or there is no data.
    """

    def update(state: MeanState, values: Any, *, weights: Any = None) -> MeanState:
        return add_to_mean("streaming_mean", state, jnp.asarray(values), weights)

    return mean_metric(update)


@takes_configuration
def streaming_accuracy() -> Metric:
    """The share of predictions that equal their labels; also named `accuracy`.

    TF-Slim's own `metrics.accuracy` is the value of one batch and not a streaming metric.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Class ids `[batch]`, or anything of the shape of `labels`; cast to the type of
            `labels`, as in TF-Slim. A NaN is never right.
        labels: The right ids.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.
    """

    def update(
        state: MeanState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MeanState:
        predictions, labels = to_pair("streaming_accuracy", predictions, labels)
        # A cast to an integer type would turn a NaN into some class id.
        is_right = (predictions.astype(labels.dtype) == labels) & (predictions == predictions)
        return add_to_mean("streaming_accuracy", state, is_right, weights)

    return mean_metric(update)


@takes_configuration
def streaming_mean_absolute_error() -> Metric:
    """The mean of `abs(predictions - labels)`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.
    """

    def update(
        state: MeanState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MeanState:
        predictions, labels = to_pair("streaming_mean_absolute_error", predictions, labels)
        errors = jnp.abs(to_statistics(predictions) - to_statistics(labels))
        return add_to_mean("streaming_mean_absolute_error", state, errors, weights)

    return mean_metric(update)


@takes_configuration
def streaming_mean_squared_error() -> Metric:
    """The mean of `(predictions - labels) ** 2`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.
    """

    def update(
        state: MeanState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MeanState:
        predictions, labels = to_pair("streaming_mean_squared_error", predictions, labels)
        errors = jnp.square(to_statistics(predictions) - to_statistics(labels))
        return add_to_mean("streaming_mean_squared_error", state, errors, weights)

    return mean_metric(update)


@takes_configuration
def streaming_mean_relative_error() -> Metric:
    """The mean of `abs(labels - predictions) / normalizer`, and of 0 where the normalizer is 0.

    TF-Slim requires the normalizer; here it is the labels unless it is given. As in TF-Slim its
    sign is kept, so that a negative normalizer makes a negative error.

    `update(state, predictions, labels, normalizer=None, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        normalizer: Real numbers of the same shape; None means `labels`.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.
    """
    where = "streaming_mean_relative_error"

    def update(
        state: MeanState,
        predictions: Any,
        labels: Any,
        normalizer: Any = None,
        *,
        weights: Any = None,
    ) -> MeanState:
        predictions, labels = to_pair(where, predictions, labels)
        if normalizer is None:
            normalizer = labels
        errors = jnp.abs(to_statistics(labels) - to_statistics(predictions))
        errors, normalizer = to_pair(where, errors, normalizer, names=("predictions", "normalizer"))
        normalizer = to_statistics(normalizer)
        is_zero = normalizer == 0
        relative_errors = jnp.where(is_zero, 0, errors / jnp.where(is_zero, 1, normalizer))
        return add_to_mean(where, state, relative_errors, weights)

    return mean_metric(update)


@takes_configuration
def streaming_percentage_less(threshold: float) -> Metric:
    """The share of values below a threshold; also named `percentage_less`.

    Args:
        threshold: A value equal to it does not count as less.

    `update(state, values, *, weights=None)`:
        values: Real numbers of any shape. A NaN is not less.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1] (not in percent); 0 where there is no data.
    """

    def update(state: MeanState, values: Any, *, weights: Any = None) -> MeanState:
        is_less = to_statistics(values) < to_statistics(threshold)
        return add_to_mean("streaming_percentage_less", state, is_less, weights)

    return mean_metric(update)


@takes_configuration
def streaming_mean_tensor(shape: tuple[int, ...] = ()) -> Metric:
    """The weighted mean of arrays, element by element.

    Differs from TF-Slim: there the shape is that of the first values; here the state is there
    before any.

    Args:
        shape: The shape of the arrays.

    `update(state, values, *, weights=None)`:
        values: Real numbers of that shape, or `[batch, *shape]`; then each of the batch is one more
            array, which may have a weight of its own.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a value of that shape; 0 where the weights add up to 0.

    Raises:
        ValueError: By `update`, if the values have another shape.
    """
    where, shape = "streaming_mean_tensor", tuple(shape)

    def init() -> MeanState:
        return MeanState(accumulators.zero(shape), accumulators.zero(shape))

    def update(state: MeanState, values: Any, *, weights: Any = None) -> MeanState:
        values = jnp.asarray(values)
        has_batch = values.shape[1:] == shape and values.ndim == len(shape) + 1
        if values.shape != shape and not has_batch:
            raise ValueError(
                f"{where}: values must be of shape {shape} or {('batch', *shape)}, got "
                f"{values.shape}; give the shape to {where}(shape=...)."
            )
        aligned = to_weights(where, weights, values.shape)
        if not has_batch:
            values = values[None]
            aligned = aligned[None] if aligned is not None and aligned.ndim else aligned
        ones = jnp.ones(values.shape, bool)
        batch = MeanState(
            accumulators.sum_of(values, aligned, axis=0),
            accumulators.sum_of(ones, aligned, axis=0),
        )
        return accumulators.merge(state, batch)

    return mean_metric(update)._replace(init=init)


@takes_configuration
def streaming_root_mean_squared_error() -> Metric:
    """The square root of the mean of `(predictions - labels) ** 2`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value; 0 where there is no data.
    """
    squared = streaming_mean_squared_error()
    return squared._replace(finalize=lambda state: jnp.sqrt(squared.finalize(state)))


@takes_configuration
def streaming_mean_cosine_distance(dim: int = -1) -> Metric:
    """1 minus the mean of the products of predictions and labels, summed over `dim`.

    As in TF-Slim they are taken as they are: make their norms 1 before, for cosines.

    Args:
        dim: The axis that is summed over; by default the last.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape, with norms of 1 along `dim`.
        labels: Likewise, of the same shape.
        weights: See `jslim.metrics`; for the shape with an axis of 1 at `dim`, or without it if
            it is the last.

    Returns:
        A metric with a scalar value; 1 where there is no data.
    """
    where = "streaming_mean_cosine_distance"

    def update(
        state: MeanState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MeanState:
        predictions, labels = to_pair(where, predictions, labels)
        products = to_statistics(predictions) * to_statistics(labels)
        return add_to_mean(where, state, jnp.sum(products, dim, keepdims=True), weights)

    metric = mean_metric(update)
    return metric._replace(finalize=lambda state: 1 - metric.finalize(state))


@takes_configuration
def count() -> Metric:
    """How many values there are: the sum of their weights.

    `update(state, values, *, weights=None)`:
        values: An array of any shape; what is in it does not matter.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value, exact past 2**24; 0 where there is no data.
    """

    def update(state: accumulators.Sum, values: Any, *, weights: Any = None) -> accumulators.Sum:
        shape = jnp.shape(values)
        aligned = to_weights("count", weights, shape)
        return accumulators.add(state, accumulators.count_of(shape, aligned))

    return Metric(accumulators.zero, update, accumulators.value, accumulators.add)


accuracy = streaming_accuracy
percentage_less = streaming_percentage_less


def mean_metric(update: Any) -> Metric:
    """A metric over a `MeanState`, given its update."""

    def init() -> MeanState:
        return MeanState(accumulators.zero(), accumulators.zero())

    def finalize(state: MeanState) -> jax.Array:
        return accumulators.ratio(state.total, state.weight)

    return Metric(init, update, finalize, accumulators.merge)


def add_to_mean(where: str, state: MeanState, values: jax.Array, weights: Any) -> MeanState:
    """The state with `values`, numbers or truth values, of one more batch."""
    aligned = to_weights(where, weights, values.shape)
    batch = MeanState(
        accumulators.sum_of(values, aligned), accumulators.count_of(values.shape, aligned)
    )
    return accumulators.merge(state, batch)
