"""Precision and recall, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim import metrics

PREDICTIONS, LABELS = jnp.array([0, 1, 1, 1]), jnp.array([0, 0, 1, 1])
BOTH = pytest.mark.parametrize("metric", [metrics.precision(), metrics.recall()])


def value_of(metric, *data, **named_data):
    return float(metric.finalize(metric.update(metric.init(), *data, **named_data)))


def test_precision_is_the_share_of_right_positives():
    assert value_of(metrics.precision(), PREDICTIONS, LABELS) == pytest.approx(2 / 3)
    weights = jnp.array([5.0, 1.0, 2.0, 0.5])
    assert value_of(metrics.precision(), PREDICTIONS, LABELS, weights=weights) == pytest.approx(
        2.5 / 3.5
    )


def test_recall_is_the_share_of_positives_found():
    assert value_of(metrics.recall(), PREDICTIONS, LABELS) == 1
    assert value_of(metrics.recall(), LABELS, PREDICTIONS) == pytest.approx(2 / 3)
    weights = jnp.array([5.0, 1.0, 2.0, 0.5])
    assert value_of(metrics.recall(), LABELS, PREDICTIONS, weights=weights) == pytest.approx(
        2.5 / 3.5
    )


def test_value_is_zero_where_nothing_is_positive():
    nothing = jnp.zeros(4, jnp.int32)
    assert value_of(metrics.precision(), nothing, LABELS) == 0
    assert value_of(metrics.recall(), PREDICTIONS, nothing) == 0


@BOTH
@pytest.mark.parametrize("dtype", [bool, jnp.uint8, jnp.int32, jnp.bfloat16, jnp.float32])
def test_decisions_may_be_of_any_real_type(metric, dtype):
    wanted = value_of(metric, PREDICTIONS, LABELS)
    assert value_of(metric, PREDICTIONS.astype(dtype), LABELS) == wanted
    assert value_of(metric, PREDICTIONS, LABELS.astype(dtype)) == wanted


@BOTH
@pytest.mark.parametrize(
    ("predictions", "labels"),
    [
        (jnp.array([0, 1, 2, 1]), LABELS),
        (PREDICTIONS, jnp.array([0, 7, 1, 1])),
        (jnp.array([0, 1, 0.7, 1]), LABELS),
        (jnp.array([0, 1, -1, 1]), LABELS),
        (jnp.array([0, 1, jnp.nan, 1]), LABELS),
    ],
)
def test_values_other_than_zero_and_one_are_refused(metric, predictions, labels):
    state = metric.update(metric.init(), PREDICTIONS, LABELS)
    state = jax.jit(metric.update)(state, predictions, labels)
    message = (
        r"^streaming_(precision|recall): of the examples given, 1 had a prediction or a label "
        r"other than 0 or 1; compare probabilities with a threshold \(predictions > 0\.5\), class "
        r"ids with one class \(predictions == class_id, labels == class_id\)$"
    )
    with pytest.raises(ValueError, match=message):
        metric.finalize(state)
    # Nothing can be raised inside jit, and a merge must not lose what was seen.
    assert np.isnan(jax.jit(metric.finalize)(state))
    assert np.isnan(jax.jit(metric.finalize)(metric.merge(metric.init(), state)))


@BOTH
def test_values_of_weight_zero_may_be_anything(metric):
    predictions, labels = jnp.array([0, 1, 255, 1]), jnp.array([0, 0, 1, 255])
    weights = jnp.array([1, 1, 0, 0])
    assert value_of(metric, predictions, labels, weights=weights) == 0


@BOTH
def test_types_that_are_no_decisions_are_an_error(metric):
    message = r"^streaming_\w+: labels must be bool, or numbers 0 and 1, got complex64$"
    with pytest.raises(TypeError, match=message):
        metric.update(metric.init(), PREDICTIONS, jnp.ones(4, jnp.complex64))


@BOTH
def test_shapes_that_do_not_match_are_an_error(metric):
    with pytest.raises(ValueError, match=r"^streaming_\w+: predictions of shape \(4, 2\) and"):
        metric.update(metric.init(), jnp.ones((4, 2)), LABELS)
    with pytest.raises(ValueError, match=r"^streaming_\w+: weights of shape \(3,\) do not"):
        metric.update(metric.init(), PREDICTIONS, LABELS, weights=jnp.ones(3))
