"""How predictions and labels vary together."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.core import reprs
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric
from jslim.metrics._inputs import to_pair, to_statistics, to_weights, weight_of_each


class MomentState(NamedTuple):
    """Of predictions and labels: the weight, the means `[2]`, and their second moments.

    The moments `[2, 2]` are sums of products of the distances from the means.
    """

    weight: accumulators.Sum
    means: accumulators.Sum
    moments: accumulators.Sum

    def __repr__(self) -> str:
        return reprs.state_repr(self)


def _merge(a: MomentState, b: MomentState) -> MomentState:
    """Chan, Golub and LeVeque, "Updating formulae for computing sample variances" (1979)."""
    weight = accumulators.add(a.weight, b.weight)
    n_a, n_b, n = (accumulators.value(s) for s in (a.weight, b.weight, weight))
    share = accumulators.divide(n_b, n)
    minus_a = jax.tree.map(jnp.negative, a.means)
    step = accumulators.value(accumulators.add(b.means, minus_a))
    between = accumulators.from_float(step[:, None] * step[None] * n_a * share)
    return MomentState(
        weight,
        accumulators.add(a.means, accumulators.from_float(step * share)),
        accumulators.add(accumulators.add(a.moments, b.moments), between),
    )


def _metric(where: str, value: Callable[[jax.Array, jax.Array], jax.Array]) -> Metric:
    """A metric whose value is a function of the weight and the moments."""

    def batch(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> MomentState:
        pair = to_pair(where, predictions, labels)
        shape = pair[0].shape
        aligned = to_weights(where, weights, shape)
        each = weight_of_each(aligned, shape).reshape(1, -1)
        # Where the weight is 0, values may be NaN.
        both = jnp.where(each == 0, 0, jnp.stack([to_statistics(a).reshape(-1) for a in pair]))
        weight = accumulators.count_of(shape, aligned)
        means = accumulators.ratio(accumulators.sum_of(both, each, axis=1), weight)
        distances = both - means[:, None]
        products = distances[:, None] * distances[None]
        moments = accumulators.sum_of(products, each[None], axis=2)
        return MomentState(weight, accumulators.from_float(means), moments)

    return pair_metric(
        where,
        accumulators.zeros(MomentState, (), (2,), (2, 2)),
        batch,
        lambda state: value(accumulators.value(state.weight), accumulators.value(state.moments)),
        merge=_merge,
    )


@metric
def streaming_covariance(where: str) -> Metric:
    """The covariance of predictions and labels.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`; they count as repetitions.

    Returns:
        A metric with a scalar value: the sum of the products divided by the sum of the weights
        less 1; NaN unless that sum is above 1.

    >>> metric = streaming_covariance()
    >>> state = metric.update(metric.init(), [1.0, 2.0, 3.0], [1.0, 2.0, 6.0])
    >>> round(float(metric.finalize(state)), 4)
    2.5
    """

    def value(n: jax.Array, moments: jax.Array) -> jax.Array:
        return jnp.where(n <= 1, jnp.nan, moments[0, 1] / jnp.where(n <= 1, 1, n - 1))

    return _metric(where, value)


@metric
def streaming_pearson_correlation(where: str) -> Metric:
    """The correlation coefficient of predictions and labels.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape.
        labels: Real numbers of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [-1, 1]; NaN unless there are two values or more, and
        predictions and labels vary.

    >>> metric = streaming_pearson_correlation()
    >>> state = metric.update(metric.init(), [1.0, 2.0, 3.0], [1.0, 2.0, 6.0])
    >>> round(float(metric.finalize(state)), 4)
    0.9449
    """

    def value(n: jax.Array, moments: jax.Array) -> jax.Array:
        squares = jnp.diagonal(moments)
        varies = (n > 1) & jnp.all(squares > 0)
        root = jnp.prod(jnp.sqrt(jnp.where(varies, squares, 1)))
        return jnp.where(varies, moments[0, 1] / root, jnp.nan)

    return _metric(where, value)
