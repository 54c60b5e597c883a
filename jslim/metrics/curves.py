"""Metrics of probabilities of two classes, from the curves of many thresholds."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jslim.core import checks
from jslim.metrics._accumulators import divide
from jslim.metrics._core import Metric, Value, labels_first, metric
from jslim.metrics._thresholds import EPSILON, Counts, threshold_metric

CURVES = ("ROC", "PR")


def _curve_metric(
    where: str, num_thresholds: int, value: Callable[[Counts], Value], last: float = 1 + EPSILON
) -> Metric:
    """A metric of counts at evenly spaced thresholds, the first below 0 and the last at `last`."""
    checks.number(where, "num_thresholds", num_thresholds, at_least=2)
    inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
    return threshold_metric(where, [-EPSILON, *inner, last], value)


def _curve(counts: Counts, curve: str) -> tuple[jax.Array, jax.Array]:
    """The points of a curve; the added epsilon is TensorFlow's."""
    epsilon = 1e-6
    tp, fn, tn, fp = counts
    recall = (tp + epsilon) / (tp + fn + epsilon)
    if curve == "ROC":
        return fp / (fp + tn + epsilon), recall
    return recall, (tp + epsilon) / (tp + fp + epsilon)


def _interpolated_area(counts: Counts) -> jax.Array:
    """The area below a precision-recall curve, with tp interpolated linearly between its points.

    Davis and Goadrich, "The relationship between precision-recall and ROC curves" (2006).
    """
    tp, p = counts.tp, counts.tp + counts.fp
    steps = tp[:-1] - tp[1:]
    slope = divide(steps, jnp.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    ratio = jnp.where(both, divide(p[:-1], jnp.maximum(p[1:], 0)), 1)
    terms = slope * (steps + intercept * jnp.log(ratio))
    return jnp.sum(divide(terms, jnp.maximum(tp[1:] + counts.fn[1:], 0)))


def _middle(left: jax.Array, right: jax.Array) -> jax.Array:
    return (left + right) / 2


# By summation method, the height of the curve between two points.
_HEIGHTS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "trapezoidal": _middle,
    "careful_interpolation": _middle,  # under a ROC curve
    "minoring": jnp.minimum,
    "majoring": jnp.maximum,
}


@metric
def streaming_auc(
    where: str, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "trapezoidal"
) -> Metric:
    """The area under the ROC or precision-recall curve, from `num_thresholds` points of it.

    TF-Slim has only the trapezoidal rule; the other methods are those of `tf.metrics.auc`.

    Args:
        num_thresholds: The number of points, at thresholds evenly spaced from 0 to 1. If many
            predictions lie close together, take more, or `streaming_dynamic_auc`.
        curve: 'ROC' or 'PR'.
        summation_method: 'trapezoidal'; 'careful_interpolation', which is better for 'PR';
            'minoring' or 'majoring', a lower and an upper sum.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Probabilities in [0, 1] of any shape.
        labels: bool, or 0 and 1, of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data. Its `finalize` reads one
        number from the device.

    Raises:
        ValueError: `num_thresholds` is below 2, `curve` or `summation_method` is unknown; by
            `finalize`, if a prediction was NaN or not in [0, 1], or a label neither 0 nor 1.
            (Within `jax.jit` the value is then NaN.)
        TypeError: By `update`, if the data is neither bool nor real numbers.

    >>> metric = streaming_auc()
    >>> state = metric.update(metric.init(), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """
    checks.one_of(where, "curve", curve, CURVES)
    checks.one_of(where, "summation_method", summation_method, _HEIGHTS)

    def area(counts: Counts) -> jax.Array:
        if summation_method == "careful_interpolation" and curve == "PR":
            return _interpolated_area(counts)
        x, y = _curve(counts, curve)
        return jnp.sum((x[:-1] - x[1:]) * _HEIGHTS[summation_method](y[:-1], y[1:]))

    return _curve_metric(where, num_thresholds, area)


@metric
def streaming_curve_points(where: str, num_thresholds: int = 200, curve: str = "ROC") -> Metric:
    """Points of the ROC or precision-recall curve.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        num_thresholds: The number of points, at thresholds evenly spaced from 0 to 1.
        curve: 'ROC' (false positive rate, recall) or 'PR' (recall, precision).

    Returns:
        A metric with a value `[num_thresholds, 2]`.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = streaming_curve_points(3)
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> metric.finalize(state).round(3).tolist()
    [[1.0, 1.0], [0.0, 0.5], [0.0, 0.0]]
    """
    checks.one_of(where, "curve", curve, CURVES)
    points = _curve_metric(where, num_thresholds, lambda c: jnp.stack(_curve(c, curve), 1))
    return points.on(labels_first)


@metric
def streaming_specificity_at_sensitivity(
    where: str, sensitivity: float, num_thresholds: int = 200
) -> Metric:
    """The specificity at the threshold with a sensitivity (recall) nearest to the given one.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_auc`.

    Args:
        sensitivity: In [0, 1].
        num_thresholds: The number of thresholds that are tried.

    Returns:
        A metric with a scalar value, tn / (tn + fp + 1e-7); 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = streaming_specificity_at_sensitivity(0.9)
    >>> state = metric.update(metric.init(), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """
    checks.number(where, "sensitivity", sensitivity, at_least=0, at_most=1)

    def value(counts: Counts) -> jax.Array:
        distances = jnp.abs(counts.recall - sensitivity)
        # The last of several, since its specificity is largest.
        last = distances.shape[0] - 1 - jnp.argmin(distances[::-1])
        return counts.specificity[last]

    # TF-Slim's last threshold is below 1 here.
    return _curve_metric(where, num_thresholds, value, last=1 - EPSILON)


@metric
def streaming_sensitivity_at_specificity(
    where: str, specificity: float, num_thresholds: int = 200
) -> Metric:
    """The sensitivity (recall) at the threshold with a specificity nearest to the given one.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_auc`.

    Args:
        specificity: In [0, 1].
        num_thresholds: The number of thresholds that are tried.

    Returns:
        A metric with a scalar value, tp / (tp + fn + 1e-7); 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = streaming_sensitivity_at_specificity(0.9)
    >>> state = metric.update(metric.init(), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """
    checks.number(where, "specificity", specificity, at_least=0, at_most=1)

    def value(counts: Counts) -> jax.Array:
        return counts.recall[jnp.argmin(jnp.abs(counts.specificity - specificity))]

    return _curve_metric(where, num_thresholds, value)


@metric
def recall_at_precision(
    where: str, precision: float, num_thresholds: int = 200, strict_mode: bool = False
) -> Metric:
    """The recall at the threshold with a precision nearest to the given one.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        precision: In [0, 1].
        num_thresholds: The number of thresholds that are tried.
        strict_mode: Whether the precision must not be below the given one; the value is 0 if it
            is below at all thresholds.

    Returns:
        A metric with a scalar value, tp / (tp + fn + 1e-7); 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = recall_at_precision(0.9)
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """
    checks.number(where, "precision", precision, at_least=0, at_most=1)

    def value(counts: Counts) -> jax.Array:
        above = counts.precision - precision
        if not strict_mode:
            return counts.recall[jnp.argmin(jnp.abs(above))]
        best = jnp.argmax(1 / (above + EPSILON))
        return jnp.where(counts.precision[best] >= precision, counts.recall[best], 0)

    return _curve_metric(where, num_thresholds, value).on(labels_first)


@metric
def precision_at_recall(where: str, target_recall: float, num_thresholds: int = 200) -> Metric:
    """The precision at the last threshold with a recall not below the given one.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        target_recall: In [0, 1].
        num_thresholds: The number of thresholds that are tried.

    Returns:
        A metric with a scalar value, (tp + 1e-7) / (tp + fp + 1e-7); 1 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = precision_at_recall(0.9)
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.finalize(state)), 4)
    0.6667
    """
    checks.number(where, "target_recall", target_recall, at_least=0, at_most=1)

    def value(counts: Counts) -> jax.Array:
        last = jnp.sum(counts.recall >= target_recall) - 1
        tp, fp = counts.tp[last], counts.fp[last]
        return (tp + EPSILON) / (tp + fp + EPSILON)

    return _curve_metric(where, num_thresholds, value).on(labels_first)


@metric
def f1_score(where: str, num_thresholds: int = 200) -> Metric:
    """The greatest harmonic mean of precision and recall at any threshold.

    `update(state, labels, predictions, *, weights=None)`: as of `streaming_auc`, labels first.

    Args:
        num_thresholds: The number of thresholds that are tried.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.

    Raises:
        ValueError, TypeError: As `streaming_auc`.

    >>> metric = f1_score()
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(float(metric.finalize(state)), 4)
    0.8
    """

    def value(counts: Counts) -> jax.Array:
        p, r = counts.precision, counts.recall
        return jnp.max(2 * p * r / (p + r + EPSILON))

    return _curve_metric(where, num_thresholds, value).on(labels_first)
