"""Losses: TF-Slim's own values and gradients, hand arithmetic, extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_checks import GOLDEN, LOGITS, ONE_HOT, ONES, PREDICTIONS

from jslim import losses


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda c: f"{c['loss']}-{c['kwargs']}-{c['weights']}"[:90]
)
def test_value_and_gradients_are_those_of_tf_slim(case):
    arrays = {
        name: np.array(values, dtype).reshape(shape)
        for name, (shape, dtype, values) in GOLDEN["inputs"][case["loss"]].items()
    }
    if case["weights"] is not None:
        shape, values = case["weights"]
        arrays["weights"] = np.array(values, np.float32).reshape(shape)
    floating = {k: jnp.asarray(v) for k, v in arrays.items() if v.dtype == np.float32}
    others = {k: v for k, v in arrays.items() if k not in floating}

    def value(floating):
        loss = getattr(losses, case["loss"])(**floating, **others, **case["kwargs"])
        return jnp.sum(loss), loss

    gradients, loss = jax.grad(value, has_aux=True)(floating)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(jnp.ravel(loss), case["value"], rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        expected = np.array(case["grads"].get(name, [0.0] * gradient.size))
        np.testing.assert_allclose(
            jnp.ravel(gradient), expected, rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (1.0, 55 / 6),
        (2.0, 110 / 6),
        (0.0, 0.0),
        ([1.0, 0.0], 5 / 3),
        ([2, 1], 60 / 6),
        ([[2.0], [1.0]], 60 / 6),
        ([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], 32 / 2),
        ([True, False], 5 / 3),
        ([[[1.0]], [[0.0]]], 5 / 3),
        # What TF-Slim counts as fewer elements: a weight that is broadcast along an axis.
        ([1.0], 55 / 6),
        ([2.0], 110 / 6),
        ([[1.0]], 55 / 6),
        ([[0.0, 1.0, 2.0]], (17 + 58) / 4),
    ],
)
def test_weights_divide_by_the_elements_that_count(weights, expected):
    loss = losses.mean_squared_error(PREDICTIONS, ONES, weights=weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    unreduced = losses.compute_weighted_loss(jnp.square(PREDICTIONS - ONES), weights)
    np.testing.assert_allclose(unreduced, expected, rtol=1e-6)


def test_zero_weight_equals_leaving_the_example_out():
    kept = jnp.array([[1.0], [2.0]]) + PREDICTIONS
    padded = jnp.concatenate([kept, jnp.full((2, 3), 1e3)])
    labels = jnp.eye(3)[jnp.array([0, 2, 1, 1])]
    weights = jnp.array([1.0, 1.0, 0.0, 0.0])
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy):
        np.testing.assert_allclose(loss(padded, labels, weights), loss(kept, labels[:2]), rtol=1e-6)


def test_empty_batch_gives_zero():
    assert losses.mean_squared_error(jnp.zeros((0, 3)), jnp.zeros((0, 3))) == 0


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(1.0, 8 / 3), ([1.0, 0.0], 4 / 3), (2.0, 16 / 3), ([[1.0], [0.0]], 4 / 3), ([0.5], 4 / 3)],
)
def test_mean_pairwise_squared_error_sums_examples(weights, expected):
    loss = losses.mean_pairwise_squared_error(PREDICTIONS, ONES, weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    # By its definition: the mean over all ordered pairs, example by example.
    differences = np.asarray(PREDICTIONS)
    pairs = np.square(differences[:, :, None] - differences[:, None, :]).mean(axis=(1, 2))
    np.testing.assert_allclose(
        losses.mean_pairwise_squared_error(PREDICTIONS, ONES), pairs.sum(), rtol=1e-6
    )


def test_sum_of_squares_is_mean_squared_error():
    assert losses.sum_of_squares is losses.mean_squared_error


def test_sparse_labels_agree_with_one_hot_ones_in_every_shape():
    logits = jax.random.normal(jax.random.key(0), (2, 3, 4))
    labels = np.array([[0, 3, 1], [2, 2, 0]])
    expected = losses.softmax_cross_entropy(logits, np.eye(4)[labels])
    for given in (labels, labels[..., None], labels.astype(np.uint8), labels.tolist()):
        loss = losses.sparse_softmax_cross_entropy(logits, given)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    booleans = losses.sparse_softmax_cross_entropy(LOGITS, np.array([True, False]))
    np.testing.assert_array_equal(booleans, losses.sparse_softmax_cross_entropy(LOGITS, [1, 0]))


@pytest.mark.parametrize("dtype", [jnp.int32, bool, jnp.bfloat16, jnp.uint8])
def test_labels_of_any_type_are_cast(dtype):
    labels = ONE_HOT.astype(dtype)
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy, losses.hinge_loss):
        np.testing.assert_array_equal(loss(LOGITS, labels), loss(LOGITS, ONE_HOT))


def test_half_precision_logits_are_computed_in_float32():
    logits = (LOGITS * 7).astype(jnp.bfloat16)
    loss = losses.softmax_cross_entropy(logits, ONE_HOT.astype(jnp.bfloat16))
    assert loss.dtype == jnp.float32
    np.testing.assert_array_equal(
        loss, losses.softmax_cross_entropy(logits.astype(jnp.float32), ONE_HOT)
    )
    assert jax.grad(losses.softmax_cross_entropy)(logits, ONE_HOT).dtype == jnp.bfloat16


def test_gradients_are_finite_at_the_extremes():
    extreme = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy):
        value, gradient = jax.value_and_grad(loss)(extreme, ONE_HOT)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    probabilities = jnp.array([[0.0, 1.0, 1.0]])
    value, gradient = jax.value_and_grad(losses.log_loss)(probabilities, jnp.array([[1, 0, 1]]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_gradients_at_the_kinks_are_those_in_the_middle():
    zeros = jnp.zeros((1, 2))
    labels = jnp.array([[1.0, 0.0]])
    sigmoid = jax.grad(losses.sigmoid_cross_entropy)(zeros, labels)
    np.testing.assert_array_equal(sigmoid, [[(0.5 - 1) / 2, 0.5 / 2]])
    np.testing.assert_array_equal(jax.grad(losses.absolute_difference)(zeros, zeros), zeros)


def test_sigmoid_cross_entropy_keeps_small_losses_of_large_logits():
    # float32 has no number between 20 and 20 + 2e-9: log(1 + e^20) - 20 would be 0.
    loss = losses.sigmoid_cross_entropy(jnp.array([[20.0]]), jnp.array([[1.0]]))
    np.testing.assert_allclose(loss, np.log1p(np.exp(-20.0)), rtol=1e-6)


def test_a_class_that_is_ruled_out_adds_nothing():
    logits = jnp.array([[1.0, 2.0, -jnp.inf]])
    expected = np.log(1 + np.exp(-1.0))
    sparse, gradient = jax.value_and_grad(losses.sparse_softmax_cross_entropy)(logits, [1])
    np.testing.assert_allclose(sparse, expected, rtol=1e-6)
    assert np.isfinite(gradient).all()
    one_hot, gradient = jax.value_and_grad(losses.softmax_cross_entropy)(logits, [[0, 1, 0]])
    np.testing.assert_allclose(one_hot, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[1 - 1 / (1 + np.exp(-1)), -0.26894143, 0]], rtol=1e-6)


def test_label_out_of_range_makes_the_loss_nan_under_jit():
    loss = jax.jit(losses.sparse_softmax_cross_entropy)
    for wrong in (3, -1, 255):
        assert np.isnan(loss(LOGITS, jnp.array([2, wrong])))


def test_label_out_of_range_may_stand_where_the_weight_is_zero():
    labels = jnp.array([2, 255])
    expected, expected_gradient = jax.value_and_grad(losses.sparse_softmax_cross_entropy)(
        LOGITS[:1], labels[:1]
    )
    for transform in (lambda f: f, jax.jit):
        function = transform(jax.value_and_grad(losses.sparse_softmax_cross_entropy))
        loss, gradient = function(LOGITS, labels, labels != 255)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient[:1], expected_gradient, rtol=1e-6)
        np.testing.assert_array_equal(gradient[1], np.zeros(3))


def test_losses_are_the_same_under_jit_and_vmap():
    batches = jnp.stack([LOGITS, LOGITS + PREDICTIONS])
    labels = jnp.array([[2, 0], [1, 1]])
    mapped = jax.jit(jax.vmap(losses.sparse_softmax_cross_entropy))(batches, labels)
    one_by_one = [losses.sparse_softmax_cross_entropy(batches[i], labels[i]) for i in (0, 1)]
    np.testing.assert_allclose(mapped, jnp.stack(one_by_one), rtol=1e-6)
