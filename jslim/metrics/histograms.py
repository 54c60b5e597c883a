"""Metrics of scores of two classes, from a histogram of each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.core import checks, reprs
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, Value, labels_first, metric, with_name
from jslim.metrics._decisions import count_rejected
from jslim.metrics._inputs import weight_of_each
from jslim.metrics._thresholds import EPSILON, scored_metric


class PrecisionRecallData(NamedTuple):
    """The value of `precision_recall_at_equal_thresholds`, each field `[num_thresholds]`."""

    tp: jax.Array
    fp: jax.Array
    tn: jax.Array
    fn: jax.Array
    precision: jax.Array
    recall: jax.Array
    thresholds: jax.Array


class HistogramState(NamedTuple):
    """The weights of false and true examples in bins `[2, bins]`, and how many did not fit."""

    bins: accumulators.Sum
    rejected: accumulators.Sum

    def __repr__(self) -> str:
        return reprs.state_repr(self)


def _histogram_metric(
    where: str,
    num_bins: int,
    bin_of: Callable[[jax.Array], jax.Array],
    value: Callable[[jax.Array, jax.Array], Value],
    *,
    are_probabilities: bool,
) -> Metric:
    """A metric whose value is a function of the histograms of false and of true examples."""

    def batch(
        scores: jax.Array, truth: jax.Array, fits: jax.Array, weights: jax.Array | None
    ) -> HistogramState:
        each = jnp.where(fits, weight_of_each(weights, scores.shape), 0)
        places = truth.astype(jnp.int32), jnp.where(fits, bin_of(scores), 0).astype(jnp.int32)
        bins = jnp.zeros((2, num_bins), each.dtype).at[places].add(each)
        return HistogramState(accumulators.from_float(bins), count_rejected(fits, weights))

    return scored_metric(
        where,
        accumulators.zeros(HistogramState, (2, num_bins), ()),
        batch,
        lambda state: value(*accumulators.value(state.bins)),
        are_probabilities=are_probabilities,
    ).on(labels_first)


@metric
def precision_recall_at_equal_thresholds(where: str, num_thresholds: int = 201) -> Metric:
    """Precision and recall at thresholds evenly spaced from 0 to 1, in one pass over the data.

    The cost of an update does not grow with the number of thresholds. A prediction counts as true
    if it equals the threshold or is above it (for the other metrics, only if it is above).

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        num_thresholds: The number of thresholds, at least 2.

    Returns:
        A metric with a `PrecisionRecallData` as its value.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = precision_recall_at_equal_thresholds(3)
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> metric.finalize(state).tp.tolist()
    [2.0, 1.0, 0.0]
    """
    checks.number(where, "num_thresholds", num_thresholds, at_least=2)

    def value(false: jax.Array, true: jax.Array) -> PrecisionRecallData:
        tp, fp = (jnp.cumsum(bins[::-1])[::-1] for bins in (true, false))
        # Sums of the other bins, which are more exact than the whole less those above.
        tn, fn = (jnp.roll(jnp.cumsum(bins), 1).at[0].set(0) for bins in (false, true))
        return PrecisionRecallData(
            tp,
            fp,
            tn,
            fn,
            precision=tp / jnp.maximum(EPSILON, tp + fp),
            recall=tp / jnp.maximum(EPSILON, tp + fn),
            thresholds=jnp.linspace(0, 1, num_thresholds, dtype=tp.dtype),
        )

    return _histogram_metric(
        where,
        num_thresholds,
        lambda scores: jnp.floor(scores * (num_thresholds - 1)),
        value,
        are_probabilities=True,
    )


@metric
def auc_using_histogram(
    where: str, score_range: Sequence[float] = (0.0, 1.0), nbins: int = 100
) -> Metric:
    """The area under the ROC curve, from histograms of the scores of true and false examples.

    Bouckaert, "Efficient AUC learning curve calculation" (2006).

    `update(state, boolean_labels, scores, *, weights=None)`: these names are TF-Slim's; `labels`
    and `predictions`, the names of the other metrics in an aggregate, stand for the same.

    Args:
        score_range: Least and greatest score; others count in the first or last bin.
        nbins: The number of bins; more are more exact.

    Returns:
        A metric with a scalar value in [0, 1]; NaN until there are true and false examples.

    Raises:
        ValueError: The range is empty or there are less than 2 bins; by `finalize`, if a score was
            NaN, or a label neither 0 nor 1.

    >>> metric = auc_using_histogram()
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """
    low, high = map(float, score_range)
    if not low < high:
        raise checks.refusal(where, "score_range", "two growing numbers", str(score_range))
    checks.number(where, "nbins", nbins, at_least=2)

    def bin_of(scores: jax.Array) -> jax.Array:
        places = jnp.floor((scores - low) / (high - low) * nbins)
        return jnp.clip(places, 0, nbins - 1)

    def value(false: jax.Array, true: jax.Array) -> jax.Array:
        x_steps, y_steps = (bins[::-1] / jnp.sum(bins) for bins in (false, true))
        y = jnp.cumsum(y_steps)
        return jnp.sum(x_steps * (y + jnp.pad(y[:-1], (1, 0))) / 2)

    bins = _histogram_metric(where, nbins, bin_of, value, are_probabilities=False)
    of_labels = with_name(bins, f"{where}()")

    def update(state: HistogramState, *data: ArrayLike, **named: ArrayLike) -> HistogramState:
        for name, other in (("boolean_labels", "labels"), ("scores", "predictions")):
            if name in named:
                if other in named:
                    raise TypeError(f"{where}: {name} is the same as {other}; give one of the two")
                named[other] = named.pop(name)
        return of_labels.update(state, *data, **named)

    return of_labels._replace(update=update)
