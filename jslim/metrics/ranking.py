"""Metrics of scores per class, from where the right class ranks."""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, takes_configuration
from jslim.metrics._inputs import to_statistics, to_weights
from jslim.metrics.means import MeanState, add_to_mean, mean_metric


@takes_configuration
def streaming_recall_at_k(k: int) -> Metric:
    """The share of examples whose label is among the `k` classes of highest score.

    A class that ties with the k-th score is among them. An example whose label is no class, or
    any of whose scores is NaN or infinite, is a miss. Both are as in TensorFlow's `in_top_k`.

    Args:
        k: At least 1; from the number of classes on everything is a hit.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Scores `[batch, num_classes]`: logits or probabilities.
        labels: Integer class ids `[batch]` or `[batch, 1]`.
        weights: See `jslim.metrics`; per example.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.

    Raises:
        ValueError: If `k` is below 1; by `update`, if the shapes do not fit.
        TypeError: If `k` is not an integer; by `update`, if the labels are not.
    """
    k = operator.index(k)
    if k < 1:
        raise ValueError(f"streaming_recall_at_k: k is {k}; give at least 1.")

    def update(
        state: MeanState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MeanState:
        is_hit = _in_top_k("streaming_recall_at_k", predictions, labels, k)
        return add_to_mean("streaming_recall_at_k", state, is_hit, weights)

    return mean_metric(update)


def _in_top_k(where: str, predictions: Any, labels: Any, k: int) -> jax.Array:
    """Whether fewer than `k` classes score higher than the label's, per example."""
    scores, labels = to_statistics(predictions), jnp.asarray(labels)
    given = labels.shape
    if labels.ndim == scores.ndim and given[-1:] == (1,):
        labels = labels[..., 0]
    if scores.ndim == 0 or labels.shape != scores.shape[:-1]:
        raise ValueError(
            f"{where}: predictions of shape {scores.shape} and labels of shape {given} do not "
            "match; give scores [batch, num_classes] and class ids [batch]."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{where}: labels must be integer class ids, got {labels.dtype}.")
    id_dtype = jax.dtypes.canonicalize_dtype(jnp.int64)
    class_ids = lax.broadcasted_iota(id_dtype, scores.shape, scores.ndim - 1)
    # Compared with every class id, because indexing would clip a label that is out of range.
    is_label = class_ids == labels.astype(id_dtype)[..., None]
    label_score = jnp.max(scores, -1, keepdims=True, where=is_label, initial=-jnp.inf)
    num_higher = jnp.sum(scores > label_score, -1)
    is_scored = jnp.any(is_label, -1) & jnp.all(jnp.isfinite(scores), -1)
    return is_scored & (num_higher < k)


class TopKState(NamedTuple):
    """The weight of the hits, and of what they are a share of."""

    hits: accumulators.Sum
    whole: accumulators.Sum


def _ids(where: str, name: str, ids: Any, like: tuple[int, ...]) -> jax.Array:
    """Class ids `[..., number]`, where one each may lack the last axis."""
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"{where}: {name} must be integer class ids, got {ids.dtype}.")
    given = ids.shape
    if ids.shape == like:
        ids = ids[..., None]
    if ids.shape[:-1] != like:
        raise ValueError(
            f"{where}: {name} of shape {given} do not fit examples of shape {like}; give one id "
            "for each example, or [..., number of ids]."
        )
    return ids


def _check_k(where: str, k: int) -> int:
    k = operator.index(k)
    if k < 1:
        raise ValueError(f"{where}: k is {k}; give at least 1.")
    return k


def _top_k(where: str, predictions: Any, k: int) -> jax.Array:
    scores = to_statistics(predictions)
    if scores.ndim < 1 or scores.shape[-1] < k:
        raise ValueError(
            f"{where}: predictions must be scores [..., num_classes] of at least k={k} classes, "
            f"got shape {scores.shape}."
        )
    return lax.top_k(scores, k)[1]


def _in_labels(top: jax.Array, labels: jax.Array) -> jax.Array:
    """For each of the ids `[..., k]` whether it is one of the labels `[..., number]`."""
    return jnp.any(top[..., :, None] == labels[..., None, :].astype(top.dtype), -1)


def _distinct(labels: jax.Array) -> jax.Array:
    """Which labels count: not the negative ones, and of equal ones the first."""
    same = labels[..., :, None] == labels[..., None, :]
    earlier = jnp.tril(jnp.ones(same.shape, bool), -1)
    return (labels >= 0) & ~jnp.any(same & earlier, -1)


def _top_k_metric(where: str, count: Any, ids_of: Any) -> Metric:
    """A metric of hits among ids: `count(top, labels)` gives hits and whole of each example."""

    def init() -> TopKState:
        return TopKState(accumulators.zero(), accumulators.zero())

    def update(
        state: TopKState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> TopKState:
        top = ids_of(predictions)
        labels = _ids(where, "labels", labels, top.shape[:-1])
        weights = to_weights(where, weights, top.shape[:-1])
        hits, whole = count(top, labels)
        batch = TopKState(accumulators.sum_of(hits, weights), accumulators.sum_of(whole, weights))
        return accumulators.merge(state, batch)

    def finalize(state: TopKState) -> jax.Array:
        whole = accumulators.value(state.whole)
        ratio = accumulators.ratio(state.hits, state.whole)
        return jnp.where(whole == 0, jnp.nan, ratio)

    return Metric(init, update, finalize, accumulators.merge)


def _chosen_first(top_k_predictions: Any, labels: Any) -> tuple[Any, Any]:
    """For `Metric.on`: the arguments under the names of the metrics of ids chosen before."""
    return top_k_predictions, labels


def _recall_counts(class_id: int | None) -> Any:
    def count(top: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        counts = _distinct(labels)
        if class_id is not None:
            counts &= labels == class_id
        found = jnp.any(labels[..., :, None].astype(top.dtype) == top[..., None, :], -1)
        dtype = accumulators.statistics_dtype()
        return jnp.sum(found & counts, -1).astype(dtype), jnp.sum(counts, -1).astype(dtype)

    return count


def _precision_counts(class_id: int | None) -> Any:
    def count(top: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        counts = jnp.ones(top.shape, bool) if class_id is None else top == class_id
        found = _in_labels(top, labels)
        dtype = accumulators.statistics_dtype()
        return jnp.sum(found & counts, -1).astype(dtype), jnp.sum(counts, -1).astype(dtype)

    return count


@takes_configuration
def streaming_sparse_recall_at_k(k: int, class_id: int | None = None) -> Metric:
    """The share of all labels that are among the `k` classes of highest score of their example.

    Differs from TF-Slim: labels are dense; a negative one is none, where an example has fewer.

    Args:
        k: At least 1, and not more than there are classes.
        class_id: The only label that counts; default all.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Scores `[batch, num_classes]`; of equal ones the lower class id comes first.
        labels: Integer class ids `[batch, number of labels]` or `[batch]`. The same twice counts
            once.
        weights: See `jslim.metrics`; per example.

    Returns:
        A metric with a scalar value in [0, 1]; NaN while there are no labels.

    Raises:
        ValueError: `k` is below 1; by `update`, if the shapes do not fit.
        TypeError: By `update`, if the labels are not integers.
    """
    where, k = "streaming_sparse_recall_at_k", _check_k("streaming_sparse_recall_at_k", k)
    return _top_k_metric(where, _recall_counts(class_id), lambda p: _top_k(where, p, k))


@takes_configuration
def streaming_sparse_precision_at_k(k: int, class_id: int | None = None) -> Metric:
    """The share of labels among the `k` classes of highest score of each example.

    Args:
        k: At least 1, and not more than there are classes.
        class_id: The only class whose predictions count; default all.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_sparse_recall_at_k`.

    Returns:
        A metric with a scalar value in [0, 1]; NaN while there are no predictions (of `class_id`).

    Raises:
        ValueError, TypeError: As `streaming_sparse_recall_at_k`.
    """
    where, k = "streaming_sparse_precision_at_k", _check_k("streaming_sparse_precision_at_k", k)
    return _top_k_metric(where, _precision_counts(class_id), lambda p: _top_k(where, p, k))


def _given_ids(where: str) -> Any:
    def ids(top_k_predictions: Any) -> jax.Array:
        top = jnp.asarray(top_k_predictions)
        if top.ndim < 1 or not jnp.issubdtype(top.dtype, jnp.integer):
            raise TypeError(
                f"{where}: top_k_predictions must be integer class ids [..., k], got {top.dtype} "
                f"of shape {top.shape}."
            )
        return top

    return ids


@takes_configuration
def streaming_sparse_precision_at_top_k(class_id: int | None = None) -> Metric:
    """`streaming_sparse_precision_at_k` of class ids that were chosen before.

    `update(state, top_k_predictions, labels, *, weights=None)`:
        top_k_predictions: Integer class ids `[batch, k]`.
        labels, weights: As of `streaming_sparse_recall_at_k`.

    Args:
        class_id: The only class whose predictions count; default all.

    Returns, raises: As `streaming_sparse_precision_at_k`.
    """
    where = "streaming_sparse_precision_at_top_k"
    metric = _top_k_metric(where, _precision_counts(class_id), _given_ids(where))
    return metric.on(_chosen_first)


@takes_configuration
def sparse_recall_at_top_k(class_id: int | None = None) -> Metric:
    """`streaming_sparse_recall_at_k` of class ids that were chosen before.

    `update(state, labels, top_k_predictions, *, weights=None)`: as of
        `streaming_sparse_precision_at_top_k`, labels first.

    Args:
        class_id: The only label that counts; default all.

    Returns, raises: As `streaming_sparse_recall_at_k`.
    """
    where = "sparse_recall_at_top_k"
    metric = _top_k_metric(where, _recall_counts(class_id), _given_ids(where))
    return metric.on(lambda labels, top_k_predictions: (top_k_predictions, labels))


def _average_precision(where: str, ids_of: Any) -> Metric:
    def update(
        state: MeanState, predictions: Any, labels: Any, *, weights: Any = None
    ) -> MeanState:
        top = ids_of(predictions)
        labels = _ids(where, "labels", labels, top.shape[:-1])
        is_relevant = _in_labels(top, labels)
        # The same id twice in what was chosen counts once.
        is_relevant &= _distinct(top)
        dtype = accumulators.statistics_dtype()
        relevant = is_relevant.astype(dtype)
        ranks = jnp.arange(1, top.shape[-1] + 1, dtype=dtype)
        precision = jnp.cumsum(relevant, -1) / ranks.reshape((1,) * (top.ndim - 1) + (-1,))
        # As in TF-Slim the same label twice counts twice here.
        most = jnp.minimum(jnp.sum(labels >= 0, -1), top.shape[-1]).astype(dtype)
        total = jnp.sum(precision * relevant, -1)
        average = jnp.where(most == 0, 0, total / jnp.where(most == 0, 1, most))
        return add_to_mean(where, state, average, weights)

    return mean_metric(update)


@takes_configuration
def streaming_sparse_average_precision_at_k(k: int) -> Metric:
    """The mean over the examples of the average precision at the ranks of their labels.

    Args:
        k: At least 1, and not more than there are classes: how many ranks count.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_sparse_recall_at_k`.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data. An example without labels
        counts as 0, where TF-Slim gave NaN.

    Raises:
        ValueError, TypeError: As `streaming_sparse_recall_at_k`.
    """
    where = "streaming_sparse_average_precision_at_k"
    k = _check_k(where, k)
    return _average_precision(where, lambda p: _top_k(where, p, k))


@takes_configuration
def streaming_sparse_average_precision_at_top_k() -> Metric:
    """`streaming_sparse_average_precision_at_k` of class ids that were chosen before.

    `update(state, top_k_predictions, labels, *, weights=None)`: as of
        `streaming_sparse_precision_at_top_k`; the ids best first.

    Returns, raises: As `streaming_sparse_average_precision_at_k`.
    """
    where = "streaming_sparse_average_precision_at_top_k"
    return _average_precision(where, _given_ids(where)).on(_chosen_first)
