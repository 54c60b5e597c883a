"""Metrics of probabilities of two classes, from decisions at many thresholds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, takes_configuration
from jslim.metrics._decisions import check_real, count_rejected, to_decisions, unless_rejected
from jslim.metrics._inputs import to_pair, to_statistics, to_weights

# What TF-Slim adds to denominators, and around 0 and 1 as thresholds.
_EPSILON = 1e-7


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
        return self.tp / (_EPSILON + self.tp + self.fp)

    @property
    def recall(self) -> jax.Array:
        return self.tp / (_EPSILON + self.tp + self.fn)

    @property
    def specificity(self) -> jax.Array:
        return self.tn / (_EPSILON + self.tn + self.fp)


_NO_PROBABILITY = (
    "had a label other than 0 or 1, or a prediction that is no number in [0, 1]; give "
    "probabilities (jax.nn.sigmoid(logits)) and truth values (labels == class_id)"
)
_NO_NUMBER = "had a label other than 0 or 1, or a prediction that is NaN"


def _metric(
    where: str,
    thresholds: Sequence[float],
    value: Callable[[Counts], Any],
    *,
    are_probabilities: bool = True,
) -> Metric:
    """A metric whose value is a function of the counts at some thresholds."""
    limits = np.asarray(thresholds, np.float64)
    what = _NO_PROBABILITY if are_probabilities else _NO_NUMBER

    def init() -> ThresholdState:
        # Each has a buffer of its own: a state may be donated.
        tp, fn, tn, fp = (accumulators.zero(limits.shape) for _ in range(4))
        return ThresholdState(tp, fn, tn, fp, accumulators.zero())

    def update(
        state: ThresholdState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> ThresholdState:
        predictions, labels = to_pair(where, predictions, labels)
        check_real(where, "predictions", predictions)
        truth, fits = to_decisions(where, "labels", labels)
        weights = to_weights(where, weights, truth.shape)
        if weights is not None:
            weights = jnp.broadcast_to(weights, truth.shape).reshape(1, -1)
        scores, truth = to_statistics(predictions).reshape(1, -1), truth.reshape(1, -1)
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


def _labels_first(labels: Any, predictions: Any) -> tuple[Any, Any]:
    """For `Metric.on`: the arguments in the order of some of TF-Slim's metrics."""
    return predictions, labels


def _between_0_and_1(where: str, num_thresholds: int, last: float = 1 + _EPSILON) -> list[float]:
    """Evenly spaced thresholds, the first below 0 and the last above 1."""
    if num_thresholds < 2:
        raise ValueError(f"{where}: num_thresholds must be at least 2, got {num_thresholds}.")
    inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
    return [-_EPSILON, *inner, last]


def _check_share(where: str, name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{where}: {name} must be in [0, 1], got {value}.")


def check_curve(where: str, curve: str) -> None:
    if curve not in ("ROC", "PR"):
        raise ValueError(f"{where}: curve must be 'ROC' or 'PR', got {curve!r}.")


@takes_configuration
def streaming_true_positives_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """How many true examples have a prediction above each threshold.

    Args:
        thresholds: Real numbers.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Real numbers of any shape. A NaN is refused, as `streaming_auc` says.
        labels: bool, or 0 and 1, of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a value `[thresholds]`, sums of weights.
    """
    where = "streaming_true_positives_at_thresholds"
    return _metric(where, thresholds, lambda c: c.tp, are_probabilities=False)


@takes_configuration
def streaming_false_negatives_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """How many true examples have a prediction at or below each threshold.

    Takes and returns what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.
    """
    where = "streaming_false_negatives_at_thresholds"
    return _metric(where, thresholds, lambda c: c.fn, are_probabilities=False)


@takes_configuration
def streaming_true_negatives_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """How many false examples have a prediction at or below each threshold.

    Takes and returns what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.
    """
    where = "streaming_true_negatives_at_thresholds"
    return _metric(where, thresholds, lambda c: c.tn, are_probabilities=False)


@takes_configuration
def streaming_false_positives_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """How many false examples have a prediction above each threshold.

    Takes and returns what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.
    """
    where = "streaming_false_positives_at_thresholds"
    return _metric(where, thresholds, lambda c: c.fp, are_probabilities=False)


@takes_configuration
def streaming_precision_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """Precision for each threshold, above which a prediction counts as true.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, tp / (1e-7 + tp + fp); 0 where nothing is above.
    """
    where = "streaming_precision_at_thresholds"
    return _metric(where, thresholds, lambda c: c.precision, are_probabilities=False)


@takes_configuration
def streaming_recall_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """Recall for each threshold, above which a prediction counts as true.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, tp / (1e-7 + tp + fn); 0 where nothing is true.
    """
    where = "streaming_recall_at_thresholds"
    return _metric(where, thresholds, lambda c: c.recall, are_probabilities=False)


@takes_configuration
def streaming_false_positive_rate_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """The share of false examples above each threshold.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, fp / (1e-7 + fp + tn); 0 where nothing is false.
    """
    where = "streaming_false_positive_rate_at_thresholds"
    return _metric(
        where, thresholds, lambda c: c.fp / (_EPSILON + c.fp + c.tn), are_probabilities=False
    )


@takes_configuration
def streaming_false_negative_rate_at_thresholds(thresholds: Sequence[float]) -> Metric:
    """The share of true examples at or below each threshold.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, fn / (1e-7 + fn + tp); 0 where nothing is true.
    """
    where = "streaming_false_negative_rate_at_thresholds"
    return _metric(
        where, thresholds, lambda c: c.fn / (_EPSILON + c.fn + c.tp), are_probabilities=False
    )


def _curve(counts: Counts, curve: str) -> tuple[jax.Array, jax.Array]:
    """The points of a curve, with TensorFlow's small numbers in them."""
    epsilon = 1e-6
    tp, fn, tn, fp = counts
    recall = (tp + epsilon) / (tp + fn + epsilon)
    if curve == "ROC":
        return fp / (fp + tn + epsilon), recall
    return recall, (tp + epsilon) / (tp + fp + epsilon)


def _interpolated_area(counts: Counts) -> jax.Array:
    """The area below a precision-recall curve between whose points tp goes on linearly.

    Davis and Goadrich, "The relationship between precision-recall and ROC curves" (2006).
    """
    tp, p = counts.tp, counts.tp + counts.fp
    steps = tp[:-1] - tp[1:]
    slope = _divided(steps, jnp.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    ratio = jnp.where(both, _divided(p[:-1], jnp.maximum(p[1:], 0)), 1)
    terms = slope * (steps + intercept * jnp.log(ratio))
    return jnp.sum(_divided(terms, jnp.maximum(tp[1:] + counts.fn[1:], 0)))


def _divided(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    is_zero = denominator == 0
    return jnp.where(is_zero, 0, numerator / jnp.where(is_zero, 1, denominator))


_SUMMATIONS = ("trapezoidal", "careful_interpolation", "minoring", "majoring")


@takes_configuration
def streaming_auc(
    num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "trapezoidal"
) -> Metric:
    """The area under the ROC or precision-recall curve, from so many points of it.

    TF-Slim has the trapezoidal rule alone; the others are those of `tf.metrics.auc`.

    Args:
        num_thresholds: How many points, at thresholds evenly spaced from 0 to 1. Where predictions
            are crowded, take more, or `streaming_dynamic_auc`.
        curve: 'ROC' or 'PR'.
        summation_method: 'trapezoidal'; 'careful_interpolation', which is better for 'PR';
            'minoring' or 'majoring', sums below and above.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Probabilities in [0, 1] of any shape.
        labels: bool, or 0 and 1, of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data. Its `finalize` reads one
        number from the device.

    Raises:
        ValueError: An argument is none of these; by `finalize`, if a prediction was NaN or not in
            [0, 1], or a label neither 0 nor 1. (Within `jax.jit` the value is NaN then.)
        TypeError: By `update`, if the data is neither bool nor real numbers.
    """
    where = "streaming_auc"
    check_curve(where, curve)
    if summation_method not in _SUMMATIONS:
        raise ValueError(
            f"{where}: summation_method must be one of {', '.join(_SUMMATIONS)}, got "
            f"{summation_method!r}."
        )

    def area(counts: Counts) -> jax.Array:
        if summation_method == "careful_interpolation" and curve == "PR":
            return _interpolated_area(counts)
        x, y = _curve(counts, curve)
        heights = {
            "minoring": jnp.minimum(y[:-1], y[1:]),
            "majoring": jnp.maximum(y[:-1], y[1:]),
        }.get(summation_method, (y[:-1] + y[1:]) / 2)
        return jnp.sum((x[:-1] - x[1:]) * heights)

    return _metric(where, _between_0_and_1(where, num_thresholds), area)


@takes_configuration
def streaming_curve_points(num_thresholds: int = 200, curve: str = "ROC") -> Metric:
    """Points of the ROC or precision-recall curve.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        num_thresholds: How many points, at thresholds evenly spaced from 0 to 1.
        curve: 'ROC' (false positive rate, recall) or 'PR' (recall, precision).

    Returns:
        A metric with a value `[num_thresholds, 2]`.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """
    where = "streaming_curve_points"
    check_curve(where, curve)
    thresholds = _between_0_and_1(where, num_thresholds)
    metric = _metric(where, thresholds, lambda c: jnp.stack(_curve(c, curve), 1))
    return metric.on(_labels_first)


@takes_configuration
def streaming_specificity_at_sensitivity(sensitivity: float, num_thresholds: int = 200) -> Metric:
    """The specificity where the sensitivity (recall) is nearest to a given one.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_auc`.

    Args:
        sensitivity: In [0, 1].
        num_thresholds: How many thresholds are tried.

    Returns:
        A metric with a scalar value, tn / (tn + fp + 1e-7); 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """
    where = "streaming_specificity_at_sensitivity"
    _check_share(where, "sensitivity", sensitivity)

    def value(counts: Counts) -> jax.Array:
        distances = jnp.abs(counts.recall - sensitivity)
        # Of several the last, where the specificity is largest.
        last = distances.shape[0] - 1 - jnp.argmin(distances[::-1])
        return counts.specificity[last]

    # TF-Slim's last threshold is below 1 here.
    return _metric(where, _between_0_and_1(where, num_thresholds, 1 - _EPSILON), value)


@takes_configuration
def streaming_sensitivity_at_specificity(specificity: float, num_thresholds: int = 200) -> Metric:
    """The sensitivity (recall) where the specificity is nearest to a given one.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_auc`.

    Args:
        specificity: In [0, 1].
        num_thresholds: How many thresholds are tried.

    Returns:
        A metric with a scalar value, tp / (tp + fn + 1e-7); 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """
    where = "streaming_sensitivity_at_specificity"
    _check_share(where, "specificity", specificity)

    def value(counts: Counts) -> jax.Array:
        return counts.recall[jnp.argmin(jnp.abs(counts.specificity - specificity))]

    return _metric(where, _between_0_and_1(where, num_thresholds), value)


@takes_configuration
def recall_at_precision(
    precision: float, num_thresholds: int = 200, strict_mode: bool = False
) -> Metric:
    """The recall where the precision is nearest to a given one.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        precision: In [0, 1].
        num_thresholds: How many thresholds are tried.
        strict_mode: Whether the precision must not be below the given one; where it is at all
            thresholds, the value is 0.

    Returns:
        A metric with a scalar value, tp / (tp + fn + 1e-7); 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """
    where = "recall_at_precision"
    _check_share(where, "precision", precision)

    def value(counts: Counts) -> jax.Array:
        above = counts.precision - precision
        if not strict_mode:
            return counts.recall[jnp.argmin(jnp.abs(above))]
        best = jnp.argmax(1 / (above + _EPSILON))
        return jnp.where(counts.precision[best] >= precision, counts.recall[best], 0)

    return _metric(where, _between_0_and_1(where, num_thresholds), value).on(_labels_first)


@takes_configuration
def precision_at_recall(target_recall: float, num_thresholds: int = 200) -> Metric:
    """The precision at the last threshold where the recall is not below a given one.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        target_recall: In [0, 1].
        num_thresholds: How many thresholds are tried.

    Returns:
        A metric with a scalar value, (tp + 1e-7) / (tp + fp + 1e-7); 1 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """
    where = "precision_at_recall"
    _check_share(where, "target_recall", target_recall)

    def value(counts: Counts) -> jax.Array:
        last = jnp.sum(counts.recall >= target_recall) - 1
        tp, fp = counts.tp[last], counts.fp[last]
        return (tp + _EPSILON) / (tp + fp + _EPSILON)

    return _metric(where, _between_0_and_1(where, num_thresholds), value).on(_labels_first)


@takes_configuration
def f1_score(num_thresholds: int = 200) -> Metric:
    """The greatest harmonic mean of precision and recall at any threshold.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        num_thresholds: How many thresholds are tried.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.
    """

    def value(counts: Counts) -> jax.Array:
        p, r = counts.precision, counts.recall
        return jnp.max(2 * p * r / (p + r + _EPSILON))

    thresholds = _between_0_and_1("f1_score", num_thresholds)
    return _metric("f1_score", thresholds, value).on(_labels_first)


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
    value: Callable[[jax.Array, jax.Array], Any],
    what: str,
) -> Metric:
    """A metric whose value is a function of two histograms."""

    def init() -> HistogramState:
        true, false = (accumulators.zero((num_bins,)) for _ in range(2))
        return HistogramState(true, false, accumulators.zero())

    def update(
        state: HistogramState, labels: Any, predictions: Any, *, weights: Any = None
    ) -> HistogramState:
        predictions, labels = to_pair(where, predictions, labels)
        check_real(where, "predictions", predictions)
        truth, fits = to_decisions(where, "labels", labels)
        weights = to_weights(where, weights, truth.shape)
        scores = to_statistics(predictions)
        fits &= fits_in(scores)
        each = jnp.ones_like(scores) if weights is None else jnp.broadcast_to(weights, scores.shape)
        each = jnp.where(fits, each, 0).reshape(-1)
        place = jnp.where(fits, bin_of(scores), 0).astype(jnp.int32).reshape(-1)

        def histogram(chosen: jax.Array) -> accumulators.Sum:
            empty = jnp.zeros((num_bins,), each.dtype)
            added = empty.at[place].add(jnp.where(chosen.reshape(-1), each, 0))
            return accumulators.from_float(added)

        rejected = count_rejected(fits, weights)
        batch = HistogramState(histogram(truth), histogram(~truth), rejected)
        return accumulators.merge(state, batch)

    def finalize(state: HistogramState) -> Any:
        true, false = accumulators.value(state.true), accumulators.value(state.false)
        return unless_rejected(where, state.rejected, lambda: value(true, false), what)

    return Metric(init, update, finalize, accumulators.merge)


@takes_configuration
def precision_recall_at_equal_thresholds(num_thresholds: int = 201) -> Metric:
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
    where = "precision_recall_at_equal_thresholds"
    _between_0_and_1(where, num_thresholds)

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
            tp / jnp.maximum(_EPSILON, tp + fp),
            tp / jnp.maximum(_EPSILON, tp + fn),
            jnp.linspace(0, 1, num_thresholds, dtype=tp.dtype),
        )

    return _histogram_metric(
        where,
        num_thresholds,
        lambda scores: jnp.floor(scores * (num_thresholds - 1)),
        lambda scores: (scores >= 0) & (scores <= 1),
        value,
        _NO_PROBABILITY,
    )


@takes_configuration
def auc_using_histogram(score_range: Sequence[float] = (0.0, 1.0), nbins: int = 100) -> Metric:
    """The area under the ROC curve, from histograms of the scores of true and false examples.

    Bouckaert, "Efficient AUC learning curve calculation" (2006).

    `update(state, boolean_labels, scores, *, weights=None)`: by position or as `labels` and
    `predictions`.

    Args:
        score_range: Least and greatest score; what is outside counts in the first or last bin.
        nbins: How many bins; the more, the more exact.

    Returns:
        A metric with a scalar value in [0, 1]; NaN until there are true and false examples.

    Raises:
        ValueError: The range is empty or there are less than 2 bins; by `finalize`, if a score was
            NaN, or a label neither 0 nor 1.
    """
    where = "auc_using_histogram"
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

    return _histogram_metric(
        where, nbins, bin_of, lambda scores: ~jnp.isnan(scores), value, _NO_NUMBER
    )
