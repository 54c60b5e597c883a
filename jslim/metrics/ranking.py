"""Metrics of scores per class, from where the right class ranks."""

import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric
from jslim.metrics._inputs import Given, check_ids, to_statistics, to_weights
from jslim.metrics.means import EMPTY, MeanState, mean, mean_state


@metric
def streaming_recall_at_k(where: str, k: int) -> Metric:
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
    k = _checked_k(where, k)

    def batch(given: Given) -> MeanState:
        return mean_state(where, _in_top_k(where, given, k), given.weights)

    return pair_metric(where, EMPTY, batch, mean)


def _in_top_k(where: str, given: Given, k: int) -> jax.Array:
    """Whether fewer than `k` classes score higher than the label's, per example."""
    scores, labels = to_statistics(given.predictions), jnp.asarray(given.labels)
    shape = labels.shape
    if labels.ndim == scores.ndim and shape[-1:] == (1,):
        labels = labels[..., 0]
    if scores.ndim == 0 or labels.shape != scores.shape[:-1]:
        raise ValueError(
            f"{where}: predictions of shape {scores.shape} and labels of shape {shape} do not "
            "match; give scores [batch, num_classes] and class ids [batch]."
        )
    check_ids(where, "labels", labels)
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


# Makes class ids `[..., k]`, the best first, from what `update` is given.
_Ids = Callable[[ArrayLike], jax.Array]


def _checked_k(where: str, k: int) -> int:
    k = operator.index(k)
    if k < 1:
        raise ValueError(f"{where}: k is {k}; give at least 1.")
    return k


def _ids_of_scores(where: str, k: int) -> _Ids:
    k = _checked_k(where, k)

    def ids(predictions: ArrayLike) -> jax.Array:
        scores = to_statistics(predictions)
        if scores.ndim < 1 or scores.shape[-1] < k:
            raise ValueError(
                f"{where}: predictions must be scores [..., num_classes] of at least k={k} "
                f"classes, got shape {scores.shape}."
            )
        return lax.top_k(scores, k)[1]

    return ids


def _given_ids(where: str) -> _Ids:
    def ids(top_k_predictions: ArrayLike) -> jax.Array:
        top = jnp.asarray(top_k_predictions)
        if top.ndim < 1 or not jnp.issubdtype(top.dtype, jnp.integer):
            raise TypeError(
                f"{where}: top_k_predictions must be integer class ids [..., k], got {top.dtype} "
                f"of shape {top.shape}."
            )
        return top

    return ids


def _label_ids(where: str, labels: ArrayLike, like: tuple[int, ...]) -> jax.Array:
    """Labels `[..., number]`, where one each may lack the last axis."""
    ids = jnp.asarray(labels)
    check_ids(where, "labels", ids)
    given = ids.shape
    if ids.shape == like:
        ids = ids[..., None]
    if ids.shape[:-1] != like:
        raise ValueError(
            f"{where}: labels of shape {given} do not fit examples of shape {like}; give one id "
            "for each example, or [..., number of ids]."
        )
    return ids


def _are_among(ids: jax.Array, others: jax.Array) -> jax.Array:
    """For each of the ids `[..., number]` whether it is one of the others."""
    return jnp.any(ids[..., :, None] == others[..., None, :], -1)


def _distinct(labels: jax.Array) -> jax.Array:
    """Which labels count: not the negative ones, and of equal ones the first."""
    same = labels[..., :, None] == labels[..., None, :]
    earlier = jnp.tril(jnp.ones(same.shape, bool), -1)
    return (labels >= 0) & ~jnp.any(same & earlier, -1)


def _recall(where: str, ids_of: _Ids, class_id: int | None) -> Metric:
    def hits(top: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        counts = _distinct(labels)
        if class_id is not None:
            counts &= labels == class_id
        return _are_among(labels.astype(top.dtype), top), counts

    return _top_k_metric(where, ids_of, hits)


def _precision(where: str, ids_of: _Ids, class_id: int | None) -> Metric:
    def hits(top: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        counts = jnp.ones(top.shape, bool) if class_id is None else top == class_id
        return _are_among(top, labels.astype(top.dtype)), counts

    return _top_k_metric(where, ids_of, hits)


def _top_k_metric(
    where: str,
    ids_of: _Ids,
    hits: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
) -> Metric:
    """The share of hits: `hits(top, labels)` is which ids are found, and which of them count."""

    def batch(given: Given) -> TopKState:
        top = ids_of(given.predictions)
        ids = _label_ids(where, given.labels, top.shape[:-1])
        aligned = to_weights(where, given.weights, top.shape[:-1])
        is_found, counts = hits(top, ids)
        dtype = accumulators.statistics_dtype()
        numbers = (jnp.sum(which, -1).astype(dtype) for which in (is_found & counts, counts))
        return TopKState(*(accumulators.sum_of(number, aligned) for number in numbers))

    def value(state: TopKState) -> jax.Array:
        whole = accumulators.value(state.whole)
        ratio = accumulators.ratio(state.hits, state.whole)
        return jnp.where(whole == 0, jnp.nan, ratio)

    return pair_metric(where, accumulators.zeros(TopKState, (), ()), batch, value)


def _average_precision(where: str, ids_of: _Ids) -> Metric:
    def batch(given: Given) -> MeanState:
        top = ids_of(given.predictions)
        ids = _label_ids(where, given.labels, top.shape[:-1])
        # The same id twice in what was chosen counts once.
        is_relevant = _are_among(top, ids.astype(top.dtype)) & _distinct(top)
        dtype = accumulators.statistics_dtype()
        relevant = is_relevant.astype(dtype)
        ranks = jnp.arange(1, top.shape[-1] + 1, dtype=dtype)
        precision = jnp.cumsum(relevant, -1) / ranks.reshape((1,) * (top.ndim - 1) + (-1,))
        # As in TF-Slim the same label twice counts twice here.
        most = jnp.minimum(jnp.sum(ids >= 0, -1), top.shape[-1]).astype(dtype)
        average = accumulators.divide(jnp.sum(precision * relevant, -1), most)
        return mean_state(where, average, given.weights)

    return pair_metric(where, EMPTY, batch, mean)


def _chosen_first(top_k_predictions: ArrayLike, labels: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """For `Metric.on`: the arguments under the names of the metrics of ids chosen before."""
    return top_k_predictions, labels


@metric
def streaming_sparse_recall_at_k(where: str, k: int, class_id: int | None = None) -> Metric:
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
    return _recall(where, _ids_of_scores(where, k), class_id)


@metric
def streaming_sparse_precision_at_k(where: str, k: int, class_id: int | None = None) -> Metric:
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
    return _precision(where, _ids_of_scores(where, k), class_id)


@metric
def streaming_sparse_precision_at_top_k(where: str, class_id: int | None = None) -> Metric:
    """`streaming_sparse_precision_at_k` of class ids that were chosen before.

    `update(state, top_k_predictions, labels, *, weights=None)`:
        top_k_predictions: Integer class ids `[batch, k]`.
        labels, weights: As of `streaming_sparse_recall_at_k`.

    Args:
        class_id: The only class whose predictions count; default all.

    Returns, raises: As `streaming_sparse_precision_at_k`.
    """
    return _precision(where, _given_ids(where), class_id).on(_chosen_first)


@metric
def sparse_recall_at_top_k(where: str, class_id: int | None = None) -> Metric:
    """`streaming_sparse_recall_at_k` of class ids that were chosen before.

    `update(state, labels, top_k_predictions, *, weights=None)`: as of
        `streaming_sparse_precision_at_top_k`, labels first.

    Args:
        class_id: The only label that counts; default all.

    Returns, raises: As `streaming_sparse_recall_at_k`.
    """
    return _recall(where, _given_ids(where), class_id).on(
        lambda labels, top_k_predictions: (top_k_predictions, labels)
    )


@metric
def streaming_sparse_average_precision_at_k(where: str, k: int) -> Metric:
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
    return _average_precision(where, _ids_of_scores(where, k))


@metric
def streaming_sparse_average_precision_at_top_k(where: str) -> Metric:
    """`streaming_sparse_average_precision_at_k` of class ids that were chosen before.

    `update(state, top_k_predictions, labels, *, weights=None)`: as of
        `streaming_sparse_precision_at_top_k`; the ids best first.

    Returns, raises: As `streaming_sparse_average_precision_at_k`.
    """
    return _average_precision(where, _given_ids(where)).on(_chosen_first)
