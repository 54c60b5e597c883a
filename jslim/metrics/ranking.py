"""Metrics of scores per class, from the rank of the right class."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._core import Metric, metric, pair_metric
from jslim.metrics._inputs import to_rank, to_statistics, to_weights
from jslim.metrics.means import EMPTY, MeanState, mean, mean_state


@metric
def streaming_recall_at_k(where: str, k: int) -> Metric:
    """The share of examples whose label is among the `k` classes of highest score.

    A class that ties with the k-th score is among them. An example is a miss if its label is no
    class, or if any of its scores is NaN or infinite. Both are as in TensorFlow's `in_top_k`.

    Args:
        k: At least 1; with as many as there are classes every label is a hit.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Scores `[batch, num_classes]`: logits or probabilities.
        labels: Integer class ids `[batch]` or `[batch, 1]`.
        weights: See `jslim.metrics`; per example.

    Returns:
        A metric with a scalar value in [0, 1]; 0 where there is no data.

    Raises:
        ValueError: If `k` is below 1; by `update`, if the shapes do not fit.
        TypeError: If `k` is not an integer; by `update`, if the labels are not.

    >>> metric = streaming_recall_at_k(2)
    >>> state = metric.update(metric.init(), [[0.1, 0.5, 0.4], [0.2, 0.1, 0.7]], [2, 1])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """
    k = _checked_k(where, k)

    def batch(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> MeanState:
        return mean_state(where, _in_top_k(where, predictions, labels, k), weights)

    return pair_metric(where, EMPTY, batch, mean)


def _checked_k(where: str, k: int) -> int:
    return checks.count(where, "k", operator.index(k))


def _ids(where: str, name: str, ids: ArrayLike, accepted: str = "integer class ids") -> jax.Array:
    """Class ids in one type."""
    ids = jnp.asarray(ids)
    checks.integers(where, name, ids, accepted)
    return ids.astype(jax.dtypes.canonicalize_dtype(jnp.int64))


def _in_top_k(where: str, predictions: ArrayLike, labels: ArrayLike, k: int) -> jax.Array:
    """Whether fewer than `k` classes score higher than the label's, per example."""
    scores = to_statistics(predictions)
    ids = to_rank(labels, scores.ndim - 1)
    if scores.ndim == 0 or ids.shape != scores.shape[:-1]:
        raise ValueError(
            f"{where}: predictions of shape {scores.shape} and labels of shape "
            f"{np.shape(labels)} do not match; give scores [batch, num_classes] and class ids "
            "[batch]"
        )
    ids = _ids(where, "labels", ids)
    # Compared with every class id, because indexing would clip a label that is out of range.
    class_ids = lax.broadcasted_iota(ids.dtype, scores.shape, scores.ndim - 1)
    is_label = class_ids == ids[..., None]
    label_score = jnp.max(scores, -1, keepdims=True, where=is_label, initial=-jnp.inf)
    num_higher = jnp.sum(scores > label_score, -1)
    is_scored = jnp.any(is_label, -1) & jnp.all(jnp.isfinite(scores), -1)
    return is_scored & (num_higher < k)


def _chosen_ids(where: str, predictions: ArrayLike, k: int | None) -> jax.Array:
    """The ids of the `k` classes of highest score, `[..., k]`; without `k`, the ids given."""
    if k is None:
        name, layout = "top_k_predictions", "integer class ids [..., k]"
        checks.rank(where, name, predictions, layout)
        return _ids(where, name, predictions, layout)
    scores = to_statistics(predictions)
    if scores.ndim < 1 or scores.shape[-1] < k:
        accepted = f"scores [..., num_classes] of at least k={k} classes"
        raise checks.refusal(where, "predictions", accepted, f"shape {scores.shape}")
    return _ids(where, "predictions", lax.top_k(scores, k)[1])


def _label_ids(where: str, labels: ArrayLike, like: tuple[int, ...]) -> jax.Array:
    """Labels `[..., number]`, where the last axis may be missing if each example has one."""
    ids = _ids(where, "labels", labels)
    if ids.shape == like:
        ids = ids[..., None]
    if ids.shape[:-1] != like:
        raise ValueError(
            f"{where}: labels of shape {np.shape(labels)} do not fit examples of shape {like}; "
            "give one id for each example, or [..., number of ids]"
        )
    return ids


def _are_among(ids: jax.Array, others: jax.Array) -> jax.Array:
    """Whether each of the ids `[..., number]` is one of the others."""
    return jnp.any(ids[..., :, None] == others[..., None, :], -1)


def _distinct(ids: jax.Array) -> jax.Array:
    """Which ids count: all that are not negative, and of equal ones the first."""
    same = ids[..., :, None] == ids[..., None, :]
    earlier = jnp.tril(jnp.ones(same.shape, bool), -1)
    return (ids >= 0) & ~jnp.any(same & earlier, -1)


def _share(where: str, k: int | None, class_id: int | None, *, of_labels: bool) -> Metric:
    """Recall, the share of the labels that are chosen, or precision, the other way round."""

    def batch(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> MeanState:
        chosen = _chosen_ids(where, predictions, k)
        examples = chosen.shape[:-1]
        ids, others = _label_ids(where, labels, examples), chosen
        if not of_labels:
            ids, others = others, ids
        counts = _distinct(ids) if of_labels else jnp.ones(ids.shape, bool)
        if class_id is not None:
            counts &= ids == class_id
        aligned = to_weights(where, weights, examples)
        dtype = accumulators.statistics_dtype()
        hits, whole = (
            accumulators.sum_of(jnp.sum(which, -1, dtype=dtype), aligned)
            for which in (_are_among(ids, others) & counts, counts)
        )
        return MeanState(hits, whole)

    def value(state: MeanState) -> jax.Array:
        return jnp.where(accumulators.value(state.weight) == 0, jnp.nan, mean(state))

    return pair_metric(where, EMPTY, batch, value)


def _average_precision(where: str, k: int | None) -> Metric:
    def batch(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None) -> MeanState:
        chosen = _chosen_ids(where, predictions, k)
        ids = _label_ids(where, labels, chosen.shape[:-1])
        dtype = accumulators.statistics_dtype()
        # An id that was chosen twice counts once.
        relevant = (_are_among(chosen, ids) & _distinct(chosen)).astype(dtype)
        ranks = lax.broadcasted_iota(dtype, chosen.shape, chosen.ndim - 1) + 1
        precision = jnp.cumsum(relevant, -1) / ranks
        # As in TF-Slim the same label twice counts twice here.
        most = jnp.minimum(jnp.sum(ids >= 0, -1), chosen.shape[-1]).astype(dtype)
        average = accumulators.divide(jnp.sum(precision * relevant, -1), most)
        return mean_state(where, average, weights)

    return pair_metric(where, EMPTY, batch, mean)


def _chosen_first(top_k_predictions: ArrayLike, labels: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """For `Metric.on`: the arguments under the names of the metrics of ids chosen before."""
    return top_k_predictions, labels


@metric
def streaming_sparse_recall_at_k(where: str, k: int, class_id: int | None = None) -> Metric:
    """The share of all labels that are among the `k` classes of highest score of their example.

    Differs from TF-Slim: labels are dense. An example with fewer labels has negative ones, which
    do not count.

    Args:
        k: At least 1, and not more than there are classes.
        class_id: The only label that counts; by default all count.

    `update(state, predictions, labels, *, weights=None)`:
        predictions: Scores `[batch, num_classes]`; of equal ones the lower class id comes first.
        labels: Integer class ids `[batch, number of labels]` or `[batch]`. A label that an example
            has twice counts once.
        weights: See `jslim.metrics`; per example.

    Returns:
        A metric with a scalar value in [0, 1]; NaN while there are no labels.

    Raises:
        ValueError: `k` is below 1; by `update`, if the shapes do not fit.
        TypeError: By `update`, if the labels are not integers.

    >>> metric = streaming_sparse_recall_at_k(2)
    >>> state = metric.update(metric.init(), [[0.1, 0.5, 0.4], [0.2, 0.1, 0.7]], [[0, 1], [2, -1]])
    >>> round(float(metric.finalize(state)), 4)
    0.6667
    """
    return _share(where, _checked_k(where, k), class_id, of_labels=True)


@metric
def streaming_sparse_precision_at_k(where: str, k: int, class_id: int | None = None) -> Metric:
    """The share of labels among the `k` classes of highest score of each example.

    Args:
        k: At least 1, and not more than there are classes.
        class_id: The only class whose predictions count; by default all count.

    `update(state, predictions, labels, *, weights=None)`: as of `streaming_sparse_recall_at_k`.

    Returns:
        A metric with a scalar value in [0, 1]; NaN while there are no predictions (of `class_id`).

    Raises:
        ValueError, TypeError: As `streaming_sparse_recall_at_k`.

    >>> metric = streaming_sparse_precision_at_k(2)
    >>> state = metric.update(metric.init(), [[0.1, 0.5, 0.4], [0.2, 0.1, 0.7]], [[0, 1], [2, -1]])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """
    return _share(where, _checked_k(where, k), class_id, of_labels=False)


@metric
def streaming_sparse_precision_at_top_k(where: str, class_id: int | None = None) -> Metric:
    """`streaming_sparse_precision_at_k` of class ids that were chosen before.

    `update(state, top_k_predictions, labels, *, weights=None)`:
        top_k_predictions: Integer class ids `[batch, k]`.
        labels, weights: As of `streaming_sparse_recall_at_k`.

    Args:
        class_id: The only class whose predictions count; by default all count.

    Returns, raises: As `streaming_sparse_precision_at_k`.

    >>> metric = streaming_sparse_precision_at_top_k()
    >>> state = metric.update(metric.init(), [[1, 2], [2, 0]], [[0, 1], [2, -1]])
    >>> round(float(metric.finalize(state)), 4)
    0.5
    """
    return _share(where, None, class_id, of_labels=False).on(_chosen_first)


@metric
def sparse_recall_at_top_k(where: str, class_id: int | None = None) -> Metric:
    """`streaming_sparse_recall_at_k` of class ids that were chosen before.

    `update(state, labels, top_k_predictions, *, weights=None)`: as of
        `streaming_sparse_precision_at_top_k`, labels first.

    Args:
        class_id: The only label that counts; by default all count.

    Returns, raises: As `streaming_sparse_recall_at_k`.

    >>> metric = sparse_recall_at_top_k()
    >>> state = metric.update(metric.init(), [[0, 1], [2, -1]], [[1, 2], [2, 0]])
    >>> round(float(metric.finalize(state)), 4)
    0.6667
    """
    return _share(where, None, class_id, of_labels=True).on(
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

    >>> metric = streaming_sparse_average_precision_at_k(2)
    >>> state = metric.update(metric.init(), [[0.1, 0.5, 0.4], [0.2, 0.1, 0.7]], [[0, 1], [2, -1]])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """
    return _average_precision(where, _checked_k(where, k))


@metric
def streaming_sparse_average_precision_at_top_k(where: str) -> Metric:
    """`streaming_sparse_average_precision_at_k` of class ids that were chosen before.

    `update(state, top_k_predictions, labels, *, weights=None)`: as of
        `streaming_sparse_precision_at_top_k`; the ids best first.

    Returns, raises: As `streaming_sparse_average_precision_at_k`.

    >>> metric = streaming_sparse_average_precision_at_top_k()
    >>> state = metric.update(metric.init(), [[1, 2], [2, 0]], [[0, 1], [2, -1]])
    >>> round(float(metric.finalize(state)), 4)
    0.75
    """
    return _average_precision(where, None).on(_chosen_first)
