"""Metrics of scores of two classes, at thresholds that are given."""

from collections.abc import Callable, Sequence

import jax

from jslim.metrics._core import Metric, metric
from jslim.metrics._thresholds import EPSILON, Counts, threshold_metric


@metric
def streaming_true_positives_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
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
    return _at(where, thresholds, lambda c: c.tp)


@metric
def streaming_false_negatives_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """How many true examples have a prediction at or below each threshold.

    Takes and returns what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.
    """
    return _at(where, thresholds, lambda c: c.fn)


@metric
def streaming_true_negatives_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """How many false examples have a prediction at or below each threshold.

    Takes and returns what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.
    """
    return _at(where, thresholds, lambda c: c.tn)


@metric
def streaming_false_positives_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """How many false examples have a prediction above each threshold.

    Takes and returns what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.
    """
    return _at(where, thresholds, lambda c: c.fp)


@metric
def streaming_precision_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """Precision for each threshold, above which a prediction counts as true.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, tp / (1e-7 + tp + fp); 0 where nothing is above.
    """
    return _at(where, thresholds, lambda c: c.precision)


@metric
def streaming_recall_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """Recall for each threshold, above which a prediction counts as true.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, tp / (1e-7 + tp + fn); 0 where nothing is true.
    """
    return _at(where, thresholds, lambda c: c.recall)


@metric
def streaming_false_positive_rate_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """The share of false examples above each threshold.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, fp / (1e-7 + fp + tn); 0 where nothing is false.
    """
    return _at(where, thresholds, lambda c: c.fp / (EPSILON + c.fp + c.tn))


@metric
def streaming_false_negative_rate_at_thresholds(where: str, thresholds: Sequence[float]) -> Metric:
    """The share of true examples at or below each threshold.

    Takes what `streaming_true_positives_at_thresholds` does.

    Args:
        thresholds: Real numbers.

    Returns:
        A metric with a value `[thresholds]`, fn / (1e-7 + fn + tp); 0 where nothing is true.
    """
    return _at(where, thresholds, lambda c: c.fn / (EPSILON + c.fn + c.tp))


def _at(where: str, thresholds: Sequence[float], value: Callable[[Counts], jax.Array]) -> Metric:
    return threshold_metric(where, thresholds, value, are_probabilities=False)
