"""Where the right class ranks, against numbers worked out by hand."""

import jax.numpy as jnp
import pytest

from jslim import metrics

SCORES = jnp.array([[0.1, 0.5, 0.4], [0.2, 0.2, 0.6], [0.7, 0.2, 0.1], [0.3, 0.3, 0.3]])
LABELS = jnp.array([2, 0, 2, 1])


def value_of(k, *data, **named_data):
    metric = metrics.streaming_recall_at_k(k)
    return float(metric.finalize(metric.update(metric.init(), *data, **named_data)))


def test_recall_at_k_counts_labels_among_the_highest_scores():
    # Ranks, ties in favour of the label: 2, 2, 3, 1.
    assert value_of(1, SCORES, LABELS) == 0.25
    assert value_of(2, SCORES, LABELS) == 0.75
    assert value_of(3, SCORES, LABELS) == 1
    assert value_of(50, SCORES, LABELS) == 1


def test_recall_at_k_takes_labels_with_a_last_axis_of_one_and_weights():
    assert value_of(2, SCORES, LABELS[:, None]) == 0.75
    assert value_of(2, SCORES, LABELS, weights=jnp.array([1, 1, 6, 0])) == 0.25
    assert value_of(2, SCORES.reshape(2, 2, 3), LABELS.reshape(2, 2)) == 0.75


def test_recall_at_k_misses_labels_out_of_range():
    for labels in ([3, -1, 100, 1], [3, 2**31 - 1, -(2**31), 1]):
        assert value_of(3, SCORES, jnp.array(labels)) == 0.25
    assert value_of(1, jnp.eye(300), jnp.arange(300).astype(jnp.uint8)) == pytest.approx(256 / 300)


def test_recall_at_k_misses_examples_with_scores_that_are_not_finite():
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert value_of(3, SCORES.at[0, 0].set(bad), LABELS) == 0.75


def test_recall_at_k_takes_integer_scores():
    assert value_of(1, jnp.array([[3, 1], [1, 3]]), jnp.array([0, 0])) == 0.5


def test_recall_at_k_refuses_k_below_one_and_fractions():
    with pytest.raises(ValueError, match=r"^streaming_recall_at_k: k must be at least 1, got 0$"):
        metrics.streaming_recall_at_k(0)
    with pytest.raises(TypeError, match=r"^streaming_recall_at_k: k must be a whole number, got"):
        metrics.streaming_recall_at_k(2.5)


def test_recall_at_k_refuses_data_that_does_not_fit():
    metric = metrics.streaming_recall_at_k(2)
    message = (
        r"^streaming_recall_at_k: predictions of shape \(4, 3\) and labels of shape \(4, 3\) do "
        r"not match; give scores \[batch, num_classes\] and class ids \[batch\]$"
    )
    with pytest.raises(ValueError, match=message):
        metric.update(metric.init(), SCORES, jnp.eye(4, 3))
    message = r"^streaming_recall_at_k: labels must be integer class ids, got float32$"
    with pytest.raises(TypeError, match=message):
        metric.update(metric.init(), SCORES, LABELS.astype(jnp.float32))
    with pytest.raises(ValueError, match=r"^streaming_recall_at_k: weights of shape \(3,\) do not"):
        metric.update(metric.init(), SCORES, LABELS, weights=jnp.ones(3))


def test_ids_of_different_types_are_compared_without_a_cast_to_the_smaller_one():
    chosen, labels = jnp.array([[0, 1]], jnp.uint8), jnp.array([[256, 1]])
    recall = metrics.sparse_recall_at_top_k()
    assert recall.finalize(recall.update(recall.init(), labels, chosen)) == 0.5
    precision = metrics.streaming_sparse_precision_at_top_k()
    assert precision.finalize(precision.update(precision.init(), chosen, labels)) == 0.5
