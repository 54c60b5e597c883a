"""Metrics of binary decisions, from counts of right and wrong ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, takes_configuration
from jslim.metrics._decisions import count_rejected, to_decisions, unless_rejected
from jslim.metrics._inputs import to_pair, to_weights


class BinaryState(NamedTuple):
    """The weight of the counted and of the other decisions, and how many were not decisions."""

    counted: accumulators.Sum
    other: accumulators.Sum
    rejected: accumulators.Sum


@takes_configuration
def streaming_precision() -> Metric:
    """The share of the examples predicted true that are true; also named `precision`.

    TF-Slim casts class ids and probabilities to bool, which calls everything but 0 true. Here they
    are rejected, and NaN too: `finalize` raises, or gives NaN inside `jax.jit`, where nothing can
    be raised. Examples of weight 0 may hold anything.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Decisions of any shape: bool, or numbers that are 0 or 1.
        labels: The truth, likewise, of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1], true positives / (true and false positives); 0
        where nothing was predicted true. Its `finalize` reads one number from the device.

    Raises:
        TypeError: By `update`, if the data is neither bool nor real numbers.
        ValueError: By `finalize`, if a prediction or label was neither 0 nor 1.
    """
    return _share_metric(
        "streaming_precision",
        counted=lambda predictions, labels: predictions & labels,
        other=lambda predictions, labels: predictions & ~labels,
    )


@takes_configuration
def streaming_recall() -> Metric:
    """The share of the true examples that are predicted true; also named `recall`.

    What is accepted as a decision, and what happens to anything else, is told at
    `streaming_precision`.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Decisions of any shape: bool, or numbers that are 0 or 1.
        labels: The truth, likewise, of the same shape.
        weights: See `jslim.metrics`.

    Returns:
        A metric with a scalar value in [0, 1], true positives / (true positives and false
        negatives); 0 where nothing is true. Its `finalize` reads one number from the device.

    Raises:
        TypeError: By `update`, if the data is neither bool nor real numbers.
        ValueError: By `finalize`, if a prediction or label was neither 0 nor 1.
    """
    return _share_metric(
        "streaming_recall",
        counted=lambda predictions, labels: predictions & labels,
        other=lambda predictions, labels: ~predictions & labels,
    )


@takes_configuration
def streaming_false_positive_rate() -> Metric:
    """The share of the false examples that are predicted true.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value in [0, 1], false positives / (false positives and
        true negatives); 0 where nothing is false. Its `finalize` reads one number from the device.
    """
    return _share_metric(
        "streaming_false_positive_rate",
        counted=lambda predictions, labels: predictions & ~labels,
        other=lambda predictions, labels: ~predictions & ~labels,
    )


@takes_configuration
def streaming_false_negative_rate() -> Metric:
    """The share of the true examples that are predicted false.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value in [0, 1], false negatives / (false negatives and
        true positives); 0 where nothing is true. Its `finalize` reads one number from the device.
    """
    return _share_metric(
        "streaming_false_negative_rate",
        counted=lambda predictions, labels: ~predictions & labels,
        other=lambda predictions, labels: predictions & labels,
    )


@takes_configuration
def streaming_true_positives() -> Metric:
    """How many true examples are predicted true: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(
        "streaming_true_positives", lambda predictions, labels: predictions & labels
    )


@takes_configuration
def streaming_true_negatives() -> Metric:
    """How many false examples are predicted false: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(
        "streaming_true_negatives", lambda predictions, labels: ~predictions & ~labels
    )


@takes_configuration
def streaming_false_positives() -> Metric:
    """How many false examples are predicted true: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(
        "streaming_false_positives", lambda predictions, labels: predictions & ~labels
    )


@takes_configuration
def streaming_false_negatives() -> Metric:
    """How many true examples are predicted false: the sum of their weights.

    `update(state, predictions, labels, *, weights=None)`: takes and raises what that of
        `streaming_precision` does.

    Returns:
        A metric with a scalar value. Its `finalize` reads one number from the device.
    """
    return _count_metric(
        "streaming_false_negatives", lambda predictions, labels: ~predictions & labels
    )


precision = streaming_precision
recall = streaming_recall

Cell = Callable[[jax.Array, jax.Array], jax.Array]


def _share_metric(where: str, counted: Cell, other: Cell) -> Metric:
    """A metric `counted / (counted + other)` over two cells of the confusion matrix."""

    def init() -> BinaryState:
        return BinaryState(accumulators.zero(), accumulators.zero(), accumulators.zero())

    def update(
        state: BinaryState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> BinaryState:
        predictions, labels, fits, weights = _decisions(where, predictions, labels, weights)
        batch = BinaryState(
            accumulators.sum_of(counted(predictions, labels), weights),
            accumulators.sum_of(other(predictions, labels), weights),
            count_rejected(fits, weights),
        )
        return accumulators.merge(state, batch)

    def finalize(state: BinaryState) -> jax.Array:
        def share() -> jax.Array:
            total = accumulators.add(state.counted, state.other)
            return accumulators.ratio(state.counted, total)

        return unless_rejected(where, state.rejected, share)

    return Metric(init, update, finalize, accumulators.merge)


class CountState(NamedTuple):
    """The weight of the counted decisions, and how many were not decisions."""

    counted: accumulators.Sum
    rejected: accumulators.Sum


def _count_metric(where: str, counted: Cell) -> Metric:
    """A metric that counts one cell of the confusion matrix."""

    def init() -> CountState:
        return CountState(accumulators.zero(), accumulators.zero())

    def update(
        state: CountState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> CountState:
        predictions, labels, fits, weights = _decisions(where, predictions, labels, weights)
        batch = CountState(
            accumulators.sum_of(counted(predictions, labels), weights),
            count_rejected(fits, weights),
        )
        return accumulators.merge(state, batch)

    def finalize(state: CountState) -> jax.Array:
        return unless_rejected(where, state.rejected, lambda: accumulators.value(state.counted))

    return Metric(init, update, finalize, accumulators.merge)


def _decisions(
    where: str, predictions: Any, labels: Any, weights: Any
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
    """Both as truth values, where they are some, and the weights to broadcast to them."""
    predictions, labels = to_pair(where, predictions, labels)
    predictions, predictions_fit = to_decisions(where, "predictions", predictions)
    labels, labels_fit = to_decisions(where, "labels", labels)
    weights = to_weights(where, weights, predictions.shape)
    return predictions, labels, predictions_fit & labels_fit, weights
