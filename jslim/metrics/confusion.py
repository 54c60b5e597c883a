"""Metrics of binary decisions, from counts of right and wrong ones."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric
from jslim.metrics._decisions import NO_DECISION, count_rejected, to_decisions
from jslim.metrics._inputs import Given, to_pair, to_weights


class BinaryState(NamedTuple):
    """The weight of the counted and of the other decisions, and how many were not decisions."""

    counted: accumulators.Sum
    other: accumulators.Sum
    rejected: accumulators.Sum


class CountState(NamedTuple):
    """The weight of the counted decisions, and how many were not decisions."""

    counted: accumulators.Sum
    rejected: accumulators.Sum


StateT = TypeVar("StateT", BinaryState, CountState)


@metric
def streaming_precision(where: str) -> Metric:
    """The share of the examples predicted true that are true; also named `precision`.

    TF-Slim casts class ids and probabilities to bool, which calls everything but 0 true. Here they
    are rejected, and NaN too: `finalize` raises, or gives NaN inside `jax.jit`, where nothing can
    be raised. Examples of weight 0 may hold anything.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Decisions of any shape: bool, or numbers that are 0 or 1.
        labels: The truth, given in the same way and of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1], true positives / (true and false positives); 0
        where nothing was predicted true. Its `finalize` reads one number from the device.

    Raises:
        TypeError: By `update`, if the data is neither bool nor real numbers.
        ValueError: By `finalize`, if a prediction or label was neither 0 nor 1.
    """
    return _share_metric(where, "tp", "fp")


@metric
def streaming_recall(where: str) -> Metric:
    """The share of the true examples that are predicted true; also named `recall`.

    What is accepted as a decision, and what happens to anything else, is told at
    `streaming_precision`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Decisions of any shape: bool, or numbers that are 0 or 1.
        labels: The truth, given in the same way and of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1], true positives / (true positives and false
        negatives); 0 where nothing is true. Its `finalize` reads one number from the device.

    Raises:
        TypeError: By `update`, if the data is neither bool nor real numbers.
        ValueError: By `finalize`, if a prediction or label was neither 0 nor 1.
    """
    return _share_metric(where, "tp", "fn")


@metric
def streaming_false_positive_rate(where: str) -> Metric:
    """The share of the false examples that are predicted true.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value in [0, 1], false positives / (false positives and
        true negatives); 0 where nothing is false. Its `finalize` reads one number from the device.
    """
    return _share_metric(where, "fp", "tn")


@metric
def streaming_false_negative_rate(where: str) -> Metric:
    """The share of the true examples that are predicted false.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value in [0, 1], false negatives / (false negatives and
        true positives); 0 where nothing is true. Its `finalize` reads one number from the device.
    """
    return _share_metric(where, "fn", "tp")


@metric
def streaming_true_positives(where: str) -> Metric:
    """How many true examples are predicted true: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(where, "tp")


@metric
def streaming_true_negatives(where: str) -> Metric:
    """How many false examples are predicted false: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(where, "tn")


@metric
def streaming_false_positives(where: str) -> Metric:
    """How many false examples are predicted true: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(where, "fp")


@metric
def streaming_false_negatives(where: str) -> Metric:
    """How many true examples are predicted false: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(where, "fn")


precision = streaming_precision
recall = streaming_recall

_CELLS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "tp": lambda predictions, labels: predictions & labels,
    "fn": lambda predictions, labels: ~predictions & labels,
    "tn": lambda predictions, labels: ~predictions & ~labels,
    "fp": lambda predictions, labels: predictions & ~labels,
}


def _share_metric(where: str, counted: str, other: str) -> Metric:
    """A metric `counted / (counted + other)` over two cells of the confusion matrix."""

    def share(state: BinaryState) -> jax.Array:
        return accumulators.ratio(state.counted, accumulators.add(state.counted, state.other))

    return _cell_metric(where, BinaryState, (counted, other), share)


def _count_metric(where: str, counted: str) -> Metric:
    """A metric that counts one cell of the confusion matrix."""
    return _cell_metric(
        where, CountState, (counted,), lambda state: accumulators.value(state.counted)
    )


def _cell_metric(
    where: str,
    state_of: Callable[..., StateT],
    cells: Sequence[str],
    value: Callable[[StateT], jax.Array],
) -> Metric:
    """A metric of the weights of cells."""

    def batch(given: Given) -> StateT:
        predictions, labels = to_pair(where, given.predictions, given.labels)
        predicted, predictions_fit = to_decisions(where, "predictions", predictions)
        truth, labels_fit = to_decisions(where, "labels", labels)
        aligned = to_weights(where, given.weights, truth.shape)
        sums = (accumulators.sum_of(_CELLS[cell](predicted, truth), aligned) for cell in cells)
        return state_of(*sums, count_rejected(predictions_fit & labels_fit, aligned))

    init = accumulators.zeros(state_of, *[()] * (len(cells) + 1))
    return pair_metric(where, init, batch, value, rejects=NO_DECISION)
