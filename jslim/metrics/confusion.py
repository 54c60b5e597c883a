"""Metrics of binary decisions, from counts of right and wrong ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, takes_configuration
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
        predictions, labels = to_pair(where, predictions, labels)
        predictions, predictions_fit = _to_decisions(where, "predictions", predictions)
        labels, labels_fit = _to_decisions(where, "labels", labels)
        weights = to_weights(where, weights, predictions.shape)
        is_rejected = ~(predictions_fit & labels_fit)
        if weights is not None:
            is_rejected &= weights != 0
        batch = BinaryState(
            accumulators.sum_of(counted(predictions, labels), weights),
            accumulators.sum_of(other(predictions, labels), weights),
            accumulators.sum_of(is_rejected),
        )
        return accumulators.merge(state, batch)

    def finalize(state: BinaryState) -> jax.Array:
        share = accumulators.ratio(state.counted, accumulators.add(state.counted, state.other))
        num_rejected = accumulators.value(state.rejected)
        try:
            num_rejected_here = int(num_rejected)
        except jax.errors.ConcretizationTypeError:
            return jnp.where(num_rejected > 0, jnp.nan, share)
        if num_rejected_here > 0:
            raise ValueError(
                f"{where}: of the examples given, {num_rejected_here} had a prediction or a label "
                "other than 0 or 1; compare probabilities with a threshold (predictions > 0.5), "
                "class ids with one class (predictions == class_id, labels == class_id)."
            )
        return share

    return Metric(init, update, finalize, accumulators.merge)


def _to_decisions(where: str, name: str, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Truth values, and where what was given is one."""
    if values.dtype == bool:
        return values, jnp.ones_like(values)
    if not jnp.issubdtype(values.dtype, jnp.integer) and not jnp.issubdtype(
        values.dtype, jnp.floating
    ):
        raise TypeError(f"{where}: {name} must be bool, or numbers 0 and 1, got {values.dtype}.")
    return values == 1, (values == 0) | (values == 1)
