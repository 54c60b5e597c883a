"""What metrics of scores of two classes share: decisions at many thresholds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric
from jslim.metrics._decisions import count_rejected, to_scored, unless_rejected

# What TF-Slim adds to denominators, and around 0 and 1 as thresholds.
EPSILON = 1e-7


class ThresholdState(NamedTuple):
    """For each threshold the weights of the four kinds of decision; and what was none."""

    true_positives: accumulators.Sum
    false_negatives: accumulators.Sum
    true_negatives: accumulators.Sum
    false_positives: accumulators.Sum
    rejected: accumulators.Sum


class Counts(NamedTuple):
    """The four as floats, `[thresholds]`."""

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
    value: Callable[[Counts], Any],
    *,
    are_probabilities: bool = True,
) -> Metric:
    """A metric whose value is a function of the counts at some thresholds."""
    limits = np.asarray(thresholds, np.float64)
    what = NO_PROBABILITY if are_probabilities else NO_NUMBER

    def init() -> ThresholdState:
        # Each has a buffer of its own: a state may be donated.
        tp, fn, tn, fp = (accumulators.zero(limits.shape) for _ in range(4))
        return ThresholdState(tp, fn, tn, fp, accumulators.zero())

    def update(
        state: ThresholdState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> ThresholdState:
        scores, truth, fits, weights = to_scored(where, predictions, labels, weights)
        if weights is not None:
            weights = jnp.broadcast_to(weights, truth.shape).reshape(1, -1)
        scores, truth = scores.reshape(1, -1), truth.reshape(1, -1)
        fits = fits.reshape(1, -1) & ~jnp.isnan(scores)
        if are_probabilities:
            fits &= (scores >= 0) & (scores <= 1)
        is_positive = scores > jnp.asarray(limits, scores.dtype)[:, None]

        def count(cell: jax.Array) -> accumulators.Sum:
            return accumulators.sum_of(cell, weights, axis=1)

        batch = ThresholdState(
            count(is_positive & truth),
            count(~is_positive & truth),
            count(~is_positive & ~truth),
            count(is_positive & ~truth),
            count_rejected(fits, weights),
        )
        return accumulators.merge(state, batch)

    def finalize(state: ThresholdState) -> Any:
        counts = Counts(*map(accumulators.value, state[:4]))
        return unless_rejected(where, state.rejected, lambda: value(counts), what)

    return Metric(init, update, finalize, accumulators.merge)


def labels_first(labels: Any, predictions: Any) -> tuple[Any, Any]:
    """For `Metric.on`: the arguments in the order of some of TF-Slim's metrics."""
    return predictions, labels


def between_0_and_1(where: str, num_thresholds: int, last: float = 1 + EPSILON) -> list[float]:
    """Evenly spaced thresholds, the first below 0 and the last above 1."""
    if num_thresholds < 2:
        raise ValueError(f"{where}: num_thresholds must be at least 2, got {num_thresholds}.")
    inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
    return [-EPSILON, *inner, last]


def check_share(where: str, name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{where}: {name} must be in [0, 1], got {value}.")


def check_curve(where: str, curve: str) -> None:
    if curve not in ("ROC", "PR"):
        raise ValueError(f"{where}: curve must be 'ROC' or 'PR', got {curve!r}.")
