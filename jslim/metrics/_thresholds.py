"""Counts of right and wrong decisions, also at many thresholds at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, Value, pair_metric
from jslim.metrics._decisions import count_rejected, to_scored
from jslim.metrics._inputs import to_weights

# What TF-Slim adds to denominators, and around 0 and 1 as thresholds.
EPSILON = 1e-7


class DecisionState(NamedTuple):
    """The weights of true and false positives and negatives, and how many examples did not fit."""

    tp: accumulators.Sum
    fn: accumulators.Sum
    tn: accumulators.Sum
    fp: accumulators.Sum
    rejected: accumulators.Sum


def counted(
    is_positive: jax.Array,
    truth: jax.Array,
    fits: jax.Array,
    weights: jax.Array | None,
    axis: int | None = None,
) -> DecisionState:
    """The state of one batch of decisions; its sums run over `axis`, by default over all axes."""
    return DecisionState(
        accumulators.sum_of(is_positive & truth, weights, axis),
        accumulators.sum_of(~is_positive & truth, weights, axis),
        accumulators.sum_of(~is_positive & ~truth, weights, axis),
        accumulators.sum_of(is_positive & ~truth, weights, axis),
        count_rejected(fits, weights),
    )


class Counts(NamedTuple):
    """True and false positives and negatives as floats, each `[thresholds]`."""

    tp: jax.Array
    fn: jax.Array
    tn: jax.Array
    fp: jax.Array

    @property
    def precision(self) -> jax.Array:
        return self.tp / (EPSILON + self.tp + self.fp)

    @property
    def recall(self) -> jax.Array:
        return self.tp / (EPSILON + self.tp + self.fn)

    @property
    def specificity(self) -> jax.Array:
        return self.tn / (EPSILON + self.tn + self.fp)


NO_PROBABILITY = (
    "had a label other than 0 or 1, or a prediction that is no number in [0, 1]; give "
    "probabilities (jax.nn.sigmoid(logits)) and truth values (labels == class_id)"
)
NO_NUMBER = "had a label other than 0 or 1, or a prediction that is NaN"


def threshold_metric(
    where: str,
    thresholds: Sequence[float],
    value: Callable[[Counts], Value],
    *,
    are_probabilities: bool = True,
) -> Metric:
    """A metric whose value is a function of the counts at some thresholds."""
    limits = np.asarray(thresholds, np.float64)

    def batch(
        predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
    ) -> DecisionState:
        scores, truth, fits = to_scored(where, predictions, labels)
        aligned = to_weights(where, weights, truth.shape)
        if aligned is not None:
            aligned = jnp.broadcast_to(aligned, truth.shape).reshape(1, -1)
        scores, truth, fits = (array.reshape(1, -1) for array in (scores, truth, fits))
        if are_probabilities:
            fits &= (scores >= 0) & (scores <= 1)
        is_positive = scores > jnp.asarray(limits, scores.dtype)[:, None]
        return counted(is_positive, truth, fits, aligned, axis=1)

    return pair_metric(
        where,
        accumulators.zeros(DecisionState, *[limits.shape] * 4, ()),
        batch,
        lambda state: value(Counts(*map(accumulators.value, state[:4]))),
        rejects=NO_PROBABILITY if are_probabilities else NO_NUMBER,
    )
