"""Metrics of scores per class, from where the right class ranks."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim.metrics._core import Metric, takes_configuration
from jslim.metrics._inputs import to_statistics
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
