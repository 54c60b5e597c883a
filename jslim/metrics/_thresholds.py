"""Metrics of scores of two classes, from counts of decisions at many thresholds at once."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jslim.core import reprs
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, StateT, Value, pair_metric
from jslim.metrics._decisions import check_real, count_rejected, to_decisions
from jslim.metrics._inputs import to_pair, to_statistics, to_weights

# What TF-Slim adds to denominators, and around 0 and 1 as thresholds.
EPSILON = 1e-7


_KINDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "tp": lambda is_positive, truth: is_positive & truth,
    "fn": lambda is_positive, truth: ~is_positive & truth,
    "tn": lambda is_positive, truth: ~is_positive & ~truth,
    "fp": lambda is_positive, truth: is_positive & ~truth,
}


class DecisionState(NamedTuple):
    """The weights of some kinds of decisions, and how many examples did not fit."""

    counts: tuple[accumulators.Sum, ...]
    rejected: accumulators.Sum

    def __repr__(self) -> str:
        return reprs.state_repr(self)

    @classmethod
    def empty(cls, num_kinds: int, shape: tuple[int, ...] = ()) -> "DecisionState":
        """The state before any data, with counts of this shape."""
        return cls(tuple(accumulators.zero(shape) for _ in range(num_kinds)), accumulators.zero())

    @classmethod
    def of(
        cls,
        is_positive: jax.Array,
        truth: jax.Array,
        fits: jax.Array,
        weights: jax.Array | None,
        kinds: Iterable[str] = _KINDS,
        axis: int | None = None,
    ) -> "DecisionState":
        """The state of one batch; counts are sums over `axis`, by default over all axes."""
        decisions = (_KINDS[kind](is_positive, truth) for kind in kinds)
        counts = tuple(accumulators.sum_of(which, weights, axis) for which in decisions)
        return cls(counts, count_rejected(fits, weights))


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


def scored_metric(
    where: str,
    init: Callable[[], StateT],
    batch: Callable[[jax.Array, jax.Array, jax.Array, jax.Array | None], StateT],
    value: Callable[[StateT], Value],
    *,
    are_probabilities: bool = False,
    merge: Callable[[StateT, StateT], StateT] = accumulators.merge,
) -> Metric:
    """A metric of scores of two classes.

    Args:
        where, init, value, merge: As of `pair_metric`.
        batch: Makes the state of one batch from its scores, their truth values, where both fit, and
            weights that broadcast to them.
        are_probabilities: Whether scores must be in [0, 1]; a NaN never fits.
    """

    def of_batch(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> StateT:
        given, labels = to_pair(where, predictions, labels)
        check_real(where, "predictions", given, "real numbers")
        truth, fits = to_decisions(where, "labels", labels)
        scores = to_statistics(given)
        fits &= (scores >= 0) & (scores <= 1) if are_probabilities else ~jnp.isnan(scores)
        return batch(scores, truth, fits, to_weights(where, weights, truth.shape))

    rejects = NO_PROBABILITY if are_probabilities else NO_NUMBER
    return pair_metric(where, init, of_batch, value, rejects=rejects, merge=merge)


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
        scores: jax.Array, truth: jax.Array, fits: jax.Array, weights: jax.Array | None
    ) -> DecisionState:
        if weights is not None:
            weights = jnp.broadcast_to(weights, truth.shape).reshape(1, -1)
        scores, truth, fits = (array.reshape(1, -1) for array in (scores, truth, fits))
        is_positive = scores > jnp.asarray(limits, scores.dtype)[:, None]
        return DecisionState.of(is_positive, truth, fits, weights, axis=1)

    return scored_metric(
        where,
        lambda: DecisionState.empty(len(_KINDS), limits.shape),
        batch,
        lambda state: value(Counts(*map(accumulators.value, state.counts))),
        are_probabilities=are_probabilities,
    )
