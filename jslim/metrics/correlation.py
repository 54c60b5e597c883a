"""How predictions and labels vary together."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, takes_configuration
from jslim.metrics._inputs import to_pair, to_statistics, to_weights


class MomentState(NamedTuple):
    """Weight, means, and sums of products of the distances from the means."""

    weight: accumulators.Sum
    mean_prediction: accumulators.Sum
    mean_label: accumulators.Sum
    of_both: accumulators.Sum
    of_predictions: accumulators.Sum
    of_labels: accumulators.Sum


def _merge(a: MomentState, b: MomentState) -> MomentState:
    """Chan, Golub and LeVeque, "Updating formulae for computing sample variances" (1979)."""
    weight = accumulators.add(a.weight, b.weight)
    n_a, n_b, n = (accumulators.value(s) for s in (a.weight, b.weight, weight))
    share = jnp.where(n == 0, 0, n_b / jnp.where(n == 0, 1, n))
    steps = [
        accumulators.value(accumulators.add(mine, accumulators.negative(other)))
        for other, mine in (
            (a.mean_prediction, b.mean_prediction),
            (a.mean_label, b.mean_label),
        )
    ]

    def moved(mean: accumulators.Sum, step: jax.Array) -> accumulators.Sum:
        return accumulators.add(mean, accumulators.from_float(step * share))

    def joined(
        one: accumulators.Sum, other: accumulators.Sum, first: jax.Array, second: jax.Array
    ) -> accumulators.Sum:
        between = accumulators.from_float(first * second * n_a * share)
        return accumulators.add(accumulators.add(one, other), between)

    p, y = steps
    return MomentState(
        weight,
        moved(a.mean_prediction, p),
        moved(a.mean_label, y),
        joined(a.of_both, b.of_both, p, y),
        joined(a.of_predictions, b.of_predictions, p, p),
        joined(a.of_labels, b.of_labels, y, y),
    )


def _init() -> MomentState:
    weight, x, y, both, xx, yy = (accumulators.zero() for _ in range(6))
    return MomentState(weight, x, y, both, xx, yy)


def _metric(where: str, value: Any) -> Metric:
    def update(
        state: MomentState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MomentState:
        predictions, labels = to_pair(where, predictions, labels)
        x, y = to_statistics(predictions), to_statistics(labels)
        weights = to_weights(where, weights, x.shape)
        if weights is not None:
            # What has no weight may be NaN.
            x, y = jnp.where(weights == 0, 0, x), jnp.where(weights == 0, 0, y)
        weight = accumulators.count_of(x.shape, weights)
        n = accumulators.value(weight)

        def mean(values: jax.Array) -> jax.Array:
            total = accumulators.value(accumulators.sum_of(values, weights))
            return jnp.where(n == 0, 0, total / jnp.where(n == 0, 1, n))

        mean_x, mean_y = mean(x), mean(y)
        dx, dy = x - mean_x, y - mean_y
        batch = MomentState(
            weight,
            accumulators.from_float(mean_x),
            accumulators.from_float(mean_y),
            accumulators.sum_of(dx * dy, weights),
            accumulators.sum_of(dx * dx, weights),
            accumulators.sum_of(dy * dy, weights),
        )
        return _merge(state, batch)

    return Metric(_init, update, value, _merge)


@takes_configuration
def streaming_covariance() -> Metric:
    """The covariance of predictions and labels.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`; they count as repetitions.

    Returns:
        A metric with a scalar value, divided by the sum of the weights less 1; NaN while that sum
        is not above 1.
    """

    def value(state: MomentState) -> jax.Array:
        n = accumulators.value(state.weight)
        comoment = accumulators.value(state.of_both)
        return jnp.where(n <= 1, jnp.nan, comoment / jnp.where(n <= 1, 1, n - 1))

    return _metric("streaming_covariance", value)


@takes_configuration
def streaming_pearson_correlation() -> Metric:
    """The correlation coefficient of predictions and labels.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [-1, 1]; NaN while there are less than two values, or one
        of the two does not vary.
    """

    def value(state: MomentState) -> jax.Array:
        n = accumulators.value(state.weight)
        both, x, y = (
            accumulators.value(s) for s in (state.of_both, state.of_predictions, state.of_labels)
        )
        varies = (n > 1) & (x > 0) & (y > 0)
        root = jnp.sqrt(jnp.where(varies, x, 1)) * jnp.sqrt(jnp.where(varies, y, 1))
        return jnp.where(varies, both / root, jnp.nan)

    return _metric("streaming_pearson_correlation", value)
