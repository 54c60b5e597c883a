"""Metrics of scores of two classes, from a histogram of each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, State, Value, metric, pair_metric
from jslim.metrics._decisions import count_rejected, to_scored
from jslim.metrics._inputs import Given, weight_of_each
from jslim.metrics._thresholds import EPSILON, NO_NUMBER, NO_PROBABILITY, between_0_and_1


class PrecisionRecallData(NamedTuple):
    """What `precision_recall_at_equal_thresholds` gives, each `[num_thresholds]`."""

    tp: jax.Array
    fp: jax.Array
    tn: jax.Array
    fn: jax.Array
    precision: jax.Array
    recall: jax.Array
    thresholds: jax.Array


class HistogramState(NamedTuple):
    """The weights of true and of false examples in each bin of predictions; and what fits none."""

    true: accumulators.Sum
    false: accumulators.Sum
    rejected: accumulators.Sum


def _histogram_metric(
    where: str,
    num_bins: int,
    bin_of: Callable[[jax.Array], jax.Array],
    fits_in: Callable[[jax.Array], jax.Array],
    value: Callable[[jax.Array, jax.Array], Value],
    rejects: str,
) -> Metric:
    """A metric whose value is a function of two histograms."""

    def batch(given: Given) -> HistogramState:
        scores, truth, fits, aligned = to_scored(where, given)
        fits &= fits_in(scores)
        each = jnp.where(fits, weight_of_each(aligned, scores.shape), 0).reshape(-1)
        place = jnp.where(fits, bin_of(scores), 0).astype(jnp.int32).reshape(-1)

        def histogram(chosen: jax.Array) -> accumulators.Sum:
            empty = jnp.zeros((num_bins,), each.dtype)
            added = empty.at[place].add(jnp.where(chosen.reshape(-1), each, 0))
            return accumulators.from_float(added)

        return HistogramState(histogram(truth), histogram(~truth), count_rejected(fits, aligned))

    return pair_metric(
        where,
        accumulators.zeros(HistogramState, (num_bins,), (num_bins,), ()),
        batch,
        lambda state: value(accumulators.value(state.true), accumulators.value(state.false)),
        rejects=rejects,
        labels_first=True,
    )


@metric
def precision_recall_at_equal_thresholds(where: str, num_thresholds: int = 201) -> Metric:
    """Precision and recall at thresholds evenly spaced from 0 to 1, in one pass over the data.

    The cost of an update does not grow with the number of thresholds. A prediction counts as true
    where it is not below the threshold (in the other metrics, where it is above).

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        num_thresholds: How many.

    Returns:
        A metric with a `PrecisionRecallData` as its value.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """
    between_0_and_1(where, num_thresholds)

    def value(true: jax.Array, false: jax.Array) -> PrecisionRecallData:
        tp, fp = (jnp.cumsum(bins[::-1])[::-1] for bins in (true, false))
        # The sums of the other bins, which is more exact than what is left of the whole.
        below = [jnp.roll(jnp.cumsum(bins), 1).at[0].set(0) for bins in (false, true)]
        tn, fn = below
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
        lambda scores: (scores >= 0) & (scores <= 1),
        value,
        rejects=NO_PROBABILITY,
    )


@metric
def auc_using_histogram(
    where: str, score_range: Sequence[float] = (0.0, 1.0), nbins: int = 100
) -> Metric:
    """The area under the ROC curve, from histograms of the scores of true and false examples.

    Bouckaert, "Efficient AUC learning curve calculation" (2006).

    `update(state, boolean_labels, scores, *, weights=None)`: by these names, TF-Slim's, or as
    `labels` and `predictions`, which the other metrics of an aggregate take.

    Args:
        score_range: Least and greatest score; what is outside counts in the first or last bin.
        nbins: How many bins; the more, the more exact.

    Returns:
        A metric with a scalar value in [0, 1]; NaN until there are true and false examples.

    Raises:
        ValueError: The range is empty or there are less than 2 bins; by `finalize`, if a score was
            NaN, or a label neither 0 nor 1.
    """
    low, high = map(float, score_range)
    if not low < high or nbins < 2:
        raise ValueError(
            f"{where}: score_range must grow and nbins be at least 2, got {score_range}, {nbins}."
        )

    def bin_of(scores: jax.Array) -> jax.Array:
        places = jnp.floor((scores - low) / (high - low) * nbins)
        return jnp.clip(places, 0, nbins - 1)

    def value(true: jax.Array, false: jax.Array) -> jax.Array:
        y_steps, x_steps = (bins[::-1] / jnp.sum(bins) for bins in (true, false))
        y = jnp.cumsum(y_steps)
        return x_steps[0] * y[0] / 2 + jnp.sum(x_steps[1:] * (y[1:] + y[:-1]) / 2)

    of_labels = _histogram_metric(
        where, nbins, bin_of, lambda scores: ~jnp.isnan(scores), value, rejects=NO_NUMBER
    )
    names = {"boolean_labels": "labels", "scores": "predictions"}

    def update(
        state: HistogramState,
        *data: ArrayLike,
        weights: ArrayLike | None = None,
        **named: ArrayLike,
    ) -> State:
        for name, others in names.items():
            if name in named and others in named:
                raise TypeError(f"{where}: {name} is the same as {others}; give one of the two.")
        named = {names.get(name, name): array for name, array in named.items()}
        return of_labels.update(state, *data, weights=weights, **named)

    return of_labels._replace(update=update)
