"""How predictions and labels vary together."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric
from jslim.metrics._inputs import Given, to_pair, to_statistics, to_weights


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
    share = accumulators.divide(n_b, n)

    def step(mean: accumulators.Sum, other: accumulators.Sum) -> jax.Array:
        return accumulators.value(accumulators.add(other, accumulators.negative(mean)))

    def moved(mean: accumulators.Sum, step: jax.Array) -> accumulators.Sum:
        return accumulators.add(mean, accumulators.from_float(step * share))

    def joined(
        one: accumulators.Sum, other: accumulators.Sum, first: jax.Array, second: jax.Array
    ) -> accumulators.Sum:
        between = accumulators.from_float(first * second * n_a * share)
        return accumulators.add(accumulators.add(one, other), between)

    p = step(a.mean_prediction, b.mean_prediction)
    y = step(a.mean_label, b.mean_label)
    return MomentState(
        weight,
        mean_prediction=moved(a.mean_prediction, p),
        mean_label=moved(a.mean_label, y),
        of_both=joined(a.of_both, b.of_both, p, y),
        of_predictions=joined(a.of_predictions, b.of_predictions, p, p),
        of_labels=joined(a.of_labels, b.of_labels, y, y),
    )


def _metric(where: str, value: Callable[[MomentState], jax.Array]) -> Metric:
    def batch(given: Given) -> MomentState:
        predictions, labels = to_pair(where, given.predictions, given.labels)
        x, y = to_statistics(predictions), to_statistics(labels)
        aligned = to_weights(where, given.weights, x.shape)
        if aligned is not None:
            # What has no weight may be NaN.
            x, y = jnp.where(aligned == 0, 0, x), jnp.where(aligned == 0, 0, y)
        weight = accumulators.count_of(x.shape, aligned)
        mean_x, mean_y = (
            accumulators.ratio(accumulators.sum_of(values, aligned), weight) for values in (x, y)
        )
        dx, dy = x - mean_x, y - mean_y
        return MomentState(
            weight,
            accumulators.from_float(mean_x),
            accumulators.from_float(mean_y),
            *(accumulators.sum_of(products, aligned) for products in (dx * dy, dx * dx, dy * dy)),
        )

    init = accumulators.zeros(MomentState, *[()] * 6)
    return pair_metric(where, init, batch, value, merge=_merge)


@metric
def streaming_covariance(where: str) -> Metric:
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

    return _metric(where, value)


@metric
def streaming_pearson_correlation(where: str) -> Metric:
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

    return _metric(where, value)
