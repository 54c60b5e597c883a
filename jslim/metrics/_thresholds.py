"""What metrics of scores of two classes share: decisions at many thresholds."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, Value, pair_metric
from jslim.metrics._decisions import count_rejected, to_scored
from jslim.metrics._inputs import Given

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
    value: Callable[[Counts], Value],
    *,
    are_probabilities: bool = True,
    labels_first: bool = False,
) -> Metric:
    """A metric whose value is a function of the counts at some thresholds."""
    limits = np.asarray(thresholds, np.float64)

    def batch(given: Given) -> ThresholdState:
        scores, truth, fits, aligned = to_scored(where, given)
        if aligned is not None:
            aligned = jnp.broadcast_to(aligned, truth.shape).reshape(1, -1)
        scores, truth = scores.reshape(1, -1), truth.reshape(1, -1)
        fits = fits.reshape(1, -1) & ~jnp.isnan(scores)
        if are_probabilities:
            fits &= (scores >= 0) & (scores <= 1)
        is_positive = scores > jnp.asarray(limits, scores.dtype)[:, None]
        decisions = (
            is_positive & truth,
            ~is_positive & truth,
            ~is_positive & ~truth,
            is_positive & ~truth,
        )
        tp, fn, tn, fp = (accumulators.sum_of(each, aligned, axis=1) for each in decisions)
        return ThresholdState(tp, fn, tn, fp, count_rejected(fits, aligned))

    return pair_metric(
        where,
        accumulators.zeros(ThresholdState, *[limits.shape] * 4, ()),
        batch,
        lambda state: value(Counts(*map(accumulators.value, state[:4]))),
        rejects=NO_PROBABILITY if are_probabilities else NO_NUMBER,
        labels_first=labels_first,
    )


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
