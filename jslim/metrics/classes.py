"""Metrics of class ids, from the confusion matrix."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.core import checks, reprs
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, Value, metric, pair_metric
from jslim.metrics._decisions import count_rejected
from jslim.metrics._inputs import to_pair, to_weights, weight_of_each


class ConfusionState(NamedTuple):
    """The weight of each pair of label and prediction, and how many pairs were not of classes."""

    matrix: accumulators.Sum
    rejected: accumulators.Sum

    def __repr__(self) -> str:
        return reprs.state_repr(self)


def _metric(where: str, num_classes: int, value: Callable[[jax.Array], Value]) -> Metric:
    """A metric whose value is a function of the confusion matrix, `[labels, predictions]`."""
    checks.number(where, "num_classes", num_classes, at_least=2)

    def batch(
        predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
    ) -> ConfusionState:
        predictions, labels = to_pair(where, predictions, labels)
        for name, ids in (("predictions", predictions), ("labels", labels)):
            checks.integers(where, name, ids, "integer class ids", "take jnp.argmax(scores, -1)")
        aligned = to_weights(where, weights, labels.shape)
        fits = (labels >= 0) & (labels < num_classes)
        fits &= (predictions >= 0) & (predictions < num_classes)
        each = jnp.where(fits, weight_of_each(aligned, labels.shape), 0)
        places = tuple(jnp.where(fits, ids, 0).astype(jnp.int32) for ids in (labels, predictions))
        matrix = jnp.zeros((num_classes, num_classes), each.dtype).at[places].add(each)
        return ConfusionState(accumulators.from_float(matrix), count_rejected(fits, aligned))

    return pair_metric(
        where,
        accumulators.zeros(ConfusionState, (num_classes, num_classes), ()),
        batch,
        lambda state: value(accumulators.value(state.matrix)),
        rejects=f"had a prediction or a label that is no class id from 0 to {num_classes - 1}",
    )


@metric
def confusion_matrix(where: str, num_classes: int) -> Metric:
    """The confusion matrix: how often each class is predicted for each label. New in jslim.

    Args:
        num_classes: At least 2.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Integer class ids of any shape.
        labels: The right ids, of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a value `[label, prediction]` of sums of weights. Its `finalize` reads one
        number from the device.

    Raises:
        ValueError: `num_classes` is below 2; by `finalize`, if an id was not in
            `[0, num_classes)`. (Within `jax.jit` the value is NaN then.)
        TypeError: By `update`, if the ids are not integers.

    >>> metric = confusion_matrix(2)
    >>> state = metric.update(metric.init(), [0, 1, 1, 1], [0, 0, 1, 1])
    >>> metric.finalize(state).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    return _metric(where, num_classes, lambda matrix: matrix)


@metric
def streaming_mean_iou(where: str, num_classes: int) -> Metric:
    """The mean over the classes of intersection over union.

    A class that is neither predicted nor among the labels does not count.

    Args:
        num_classes: At least 2.

    `update(state, predictions, labels, *, weights=None)`: as of `confusion_matrix`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.

    Raises:
        ValueError, TypeError: As `confusion_matrix`.

    >>> metric = streaming_mean_iou(2)
    >>> state = metric.update(metric.init(), [0, 1, 1, 1], [0, 0, 1, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.5833
    """

    def value(matrix: jax.Array) -> jax.Array:
        right = jnp.diagonal(matrix)
        union = jnp.sum(matrix, 0) + jnp.sum(matrix, 1) - right
        num_there = jnp.sum(union > 0, dtype=union.dtype)
        return accumulators.divide(jnp.sum(accumulators.divide(right, union)), num_there)

    return _metric(where, num_classes, value)


@metric
def cohen_kappa(where: str, num_classes: int) -> Metric:
    """How far predictions agree with labels beyond chance.

    Cohen, "A coefficient of agreement for nominal scales" (1960).

    Args:
        num_classes: At least 2.

    `update(state, labels, predictions_idx, *, weights=None)`: as of `confusion_matrix`, labels
        first.

    Returns:
        A metric with a scalar value up to 1; 0 where there is no data, or only one class.

    Raises:
        ValueError, TypeError: As `confusion_matrix`.

    >>> metric = cohen_kappa(2)
    >>> state = metric.update(metric.init(), [0, 0, 1, 1], [0, 1, 1, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """

    def value(matrix: jax.Array) -> jax.Array:
        total = jnp.sum(matrix)
        expected = accumulators.divide(jnp.sum(jnp.sum(matrix, 0) * jnp.sum(matrix, 1)), total)
        return accumulators.divide(jnp.trace(matrix) - expected, total - expected)

    return _metric(where, num_classes, value).on(
        lambda labels, predictions_idx: (predictions_idx, labels)
    )


class ClassScores(NamedTuple):
    """What `per_class` gives, each `[num_classes]`; 0 where it is not defined."""

    precision: jax.Array
    recall: jax.Array
    f1: jax.Array
    support: jax.Array


def scores_of(matrix: jax.Array) -> ClassScores:
    """Precision, recall and F1 of every class, from a confusion matrix `[label, prediction]`.

    >>> scores_of(jnp.array([[1.0, 1.0], [0.0, 2.0]])).recall.tolist()
    [0.5, 1.0]
    """
    right, labelled, predicted = jnp.diagonal(matrix), jnp.sum(matrix, 1), jnp.sum(matrix, 0)
    return ClassScores(
        accumulators.divide(right, predicted),
        accumulators.divide(right, labelled),
        accumulators.divide(2 * right, predicted + labelled),
        labelled,
    )


@metric
def per_class(where: str, num_classes: int) -> Metric:
    """Precision, recall and F1 of every class against the others. New in jslim.

    Args:
        num_classes: At least 2.

    `update(state, predictions, labels, *, weights=None)`: as of `confusion_matrix`.

    Returns:
        A metric with a `ClassScores` as its value; `support` is the weight of the labels.

    Raises:
        ValueError, TypeError: As `confusion_matrix`.

    >>> metric = per_class(2)
    >>> state = metric.update(metric.init(), [0, 1, 1, 1], [0, 0, 1, 1])
    >>> metric.finalize(state).recall.tolist()
    [0.5, 1.0]
    """
    return _metric(where, num_classes, scores_of)
