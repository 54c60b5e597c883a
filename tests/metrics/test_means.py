"""Means of something per value, against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim import metrics

PREDICTIONS, LABELS = jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])


def value_of(metric, *data, **named_data):
    return float(metric.finalize(metric.update(metric.init(), *data, **named_data)))


def test_mean_is_weighted():
    mean = metrics.streaming_mean()
    assert value_of(mean, PREDICTIONS) == pytest.approx(0.4125)
    assert value_of(mean, PREDICTIONS, weights=jnp.array([1, 0, 0, 1])) == pytest.approx(0.45)
    assert value_of(mean, PREDICTIONS, weights=3) == pytest.approx(0.4125)
    assert value_of(mean, jnp.float32(7)) == 7
    assert value_of(mean, jnp.array([True, False, True, True])) == 0.75


def test_mean_over_two_batches_weighs_each_value_and_not_each_batch():
    mean = metrics.streaming_mean()
    state = mean.update(mean.init(), jnp.array([1.0, 2.0, 3.0]))
    state = mean.update(state, jnp.array([10.0]))
    assert float(mean.finalize(state)) == 4


def test_mean_with_one_weight_per_example_of_many_axes():
    images = jnp.stack([jnp.full((2, 5), 3.0), jnp.full((2, 5), 9.0)])
    assert value_of(metrics.streaming_mean(), images, weights=jnp.array([3.0, 1.0])) == 4.5


def test_mean_of_nan_is_nan_unless_its_weight_is_zero():
    values = jnp.array([1.0, jnp.nan, 3.0])
    assert np.isnan(value_of(metrics.streaming_mean(), values))
    assert value_of(metrics.streaming_mean(), values, weights=jnp.array([1, 0, 1])) == 2


def test_accuracy_is_the_share_of_equal_ids():
    accuracy = metrics.streaming_accuracy()
    assert value_of(accuracy, jnp.array([0, 1, 1, 1]), LABELS) == 0.75
    assert value_of(accuracy, jnp.array([[0], [1], [1], [1]]), LABELS) == 0.75
    assert value_of(accuracy, jnp.array([0, 1, 1, 1]), LABELS[:, None]) == 0.75
    assert value_of(accuracy, predictions=LABELS, labels=LABELS) == 1


def test_accuracy_casts_predictions_to_the_type_of_the_labels():
    assert value_of(metrics.streaming_accuracy(), jnp.array([0.9, 1.0, 1.9, -0.5]), LABELS) == 0.5


def test_accuracy_never_calls_nan_right():
    nan = jnp.full(4, jnp.nan)
    assert value_of(metrics.streaming_accuracy(), nan, jnp.zeros(4, jnp.int32)) == 0
    assert value_of(metrics.streaming_accuracy(), nan, jnp.zeros(4, bool)) == 0
    assert value_of(metrics.streaming_accuracy(), nan, nan) == 0


def test_errors_are_means_over_values():
    absolute, squared = (
        metrics.streaming_mean_absolute_error(),
        metrics.streaming_mean_squared_error(),
    )
    assert value_of(absolute, PREDICTIONS, LABELS) == pytest.approx(0.3375)
    assert value_of(squared, PREDICTIONS, LABELS) == pytest.approx(0.158125)


def test_errors_of_unsigned_integers_do_not_wrap():
    small, large = jnp.array([2], jnp.uint8), jnp.array([250], jnp.uint8)
    assert value_of(metrics.streaming_mean_absolute_error(), small, large) == 248
    assert value_of(metrics.streaming_mean_squared_error(), small, large) == 248**2


def test_relative_error_normalizes_by_the_labels_and_skips_zeros():
    relative = metrics.streaming_mean_relative_error()
    assert value_of(relative, PREDICTIONS, LABELS) == pytest.approx(0.2125)
    # abs([1, 1, 3, 1]) / [2, 0, 4, 10] with 0 for the second.
    predictions, labels = jnp.array([1.0, 3.0, 2.0, 1.0]), jnp.array([2.0, 2.0, 5.0, 2.0])
    normalizer = jnp.array([[2.0], [0.0], [4.0], [10.0]])
    assert value_of(relative, predictions, labels, normalizer) == pytest.approx(1.35 / 4)
    assert value_of(relative, predictions, labels, normalizer=-normalizer) < 0


def test_percentage_less_is_strict_and_a_share():
    assert value_of(metrics.streaming_percentage_less(0.3), PREDICTIONS) == 0.25
    assert value_of(metrics.streaming_percentage_less(0.4), PREDICTIONS) == 0.5
    assert value_of(metrics.percentage_less(2), jnp.array([1, 2, 3, 4])) == 0.25
    assert value_of(metrics.percentage_less(2), jnp.array([1, jnp.nan])) == 0.5


def test_short_names_are_the_streaming_metrics():
    assert metrics.accuracy is metrics.streaming_accuracy
    assert metrics.percentage_less is metrics.streaming_percentage_less
    assert metrics.precision is metrics.streaming_precision
    assert metrics.recall is metrics.streaming_recall


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 4), (4, 3, 1, 1), (4, 3, 2)])
def test_weights_that_do_not_broadcast_are_an_error(shape):
    message = (
        rf"^streaming_mean: weights of shape \({', '.join(map(str, shape))},?\) do not broadcast "
        r"to values of shape \(4, 3\); give a scalar, or one weight for each entry of the leading "
        r"axes \(axes of 1 broadcast\)$"
    )
    mean = metrics.streaming_mean()
    with pytest.raises(ValueError, match=message):
        mean.update(mean.init(), jnp.ones((4, 3)), weights=jnp.ones(shape))


def test_shapes_that_do_not_match_are_an_error():
    mae = metrics.streaming_mean_absolute_error()
    message = (
        r"^streaming_mean_absolute_error: predictions of shape \(4,\) and labels of shape \(3,\) "
        r"do not match; both need one shape, where a last axis of 1 may be missing$"
    )
    with pytest.raises(ValueError, match=message):
        mae.update(mae.init(), jnp.ones(4), jnp.ones(3))
    relative = metrics.streaming_mean_relative_error()
    with pytest.raises(ValueError, match=r"predictions of shape \(4,\) and normalizer of shape"):
        relative.update(relative.init(), jnp.ones(4), jnp.ones(4), jnp.ones(3))


def test_accuracy_of_scores_is_an_error_that_offers_argmax():
    accuracy = metrics.streaming_accuracy()
    message = (
        r"predictions of shape \(4, 10\) and labels of shape \(4,\) do not match; .*"
        r"; if predictions are scores per class, take jnp\.argmax\(predictions, -1\)"
    )
    with pytest.raises(ValueError, match=message):
        jax.jit(accuracy.update)(accuracy.init(), jnp.ones((4, 10)), LABELS)
