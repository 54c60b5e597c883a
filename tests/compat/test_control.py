"""What decides, checks or groups operations, and what must be known while tracing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim.compat import tf


def test_scopes_of_a_graph_do_nothing():
    with tf.device("/gpu:0"), tf.colocate_with(None), tf.control_dependencies([tf.no_op()]):
        assert tf.identity(3) == 3


@pytest.mark.parametrize(
    ("check", "holds", "fails"),
    [
        (tf.assert_equal, (1, [1, 1]), (1, [1, 2])),
        (tf.assert_less, (1, 2), (2, 2)),
        (tf.assert_less_equal, (2, 2), (3, 2)),
        (tf.assert_greater, (3, 2), (2, 2)),
        (tf.assert_greater_equal, (2, 2), (1, 2)),
        (tf.assert_rank, ([1], 1), ([1], 2)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_assertions_of_what_is_known(check, holds, fails):
    check(*holds)
    with pytest.raises(ValueError, match=f"tf.{check.__name__}"):
        check(*fails)


def test_assert_of_a_condition():
    tf.Assert(tf.equal(tf.rank([1]), 1), [3])
    with pytest.raises(ValueError, match=r"tf\.Assert: the condition does not hold: .*3"):
        tf.Assert(tf.equal(tf.rank([1]), 2), [3])
    jax.jit(lambda x: tf.Assert(x > 5, [x]))(3)  # not known, and not checked


def test_a_condition_that_is_known_calls_one_function():
    calls = []
    assert tf.cond(True, lambda: calls.append(1), lambda: calls.append(2)) is None
    assert calls == [1]
    with pytest.raises(TypeError, match=r"tf\.cond: pred must be a condition, got a function"):
        tf.cond(lambda: True, lambda: 1, lambda: 2)


def test_what_must_be_known_while_tracing():
    message = "tf.reshape: shape must be known while tracing, got an array that depends on"
    with pytest.raises(ValueError, match=message):
        jax.jit(lambda x, n: tf.reshape(x, [n, 1]))(jnp.ones(2), 2)


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda x: tf.boolean_mask(x, x > 0), "tf.boolean_mask: .*; multiply by the mask"),
        (lambda x: tf.where(x > 0), "tf.where: .*; give x and y"),
        (lambda x: tf.unique(x), "tf.unique: .*; jnp.unique"),
        (lambda x: tf.py_func(np.sort, [x], tf.float32), "tf.py_func: .* jax.pure_callback"),
        (lambda x: tf.py_function(np.sort, [x], tf.float32), "tf.py_func: "),
    ],
    ids=["boolean_mask", "where", "unique", "py_func", "py_function"],
)
def test_shapes_that_would_depend_on_values(call, remedy):
    with pytest.raises(ValueError, match=remedy):
        jax.jit(call)(jnp.ones(3))


def test_constants_stay_constants_within_jit():
    def fn(x):
        height = tf.shape(x)[1]
        size = tf.cast(tf.ceil(tf.to_float(height) / 2.0), tf.int32)
        assert isinstance(size, np.ndarray)
        assert size.get_shape() == ()
        return tf.zeros(tf.stack([2, size]))

    assert jax.jit(fn)(jnp.ones([1, 5])).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tf.concat(1, [[1], [2]]), "tf.concat: values must be a list .*since TensorFlow"),
        (lambda: tf.where([True], [1]), "tf.where: give both x and y, or neither"),
        (lambda: tf.expand_dims([1]), "tf.expand_dims: axis is missing"),
        (lambda: tf.squeeze([1], 0, squeeze_dims=0), "tf.squeeze: axis and squeeze_dims mean the"),
        (lambda: tf.split([1, 2, 3], [1, 1]), "num_or_size_splits must be as long as the axis"),
        (lambda: tf.unstack([1, 2], 3), "tf.unstack: num must be the length of the axis"),
        (lambda: tf.constant([1, 2, 3], shape=[2]), "tf.constant: value must be of at most shape"),
        (lambda: tf.nn.dropout([1.0]), "tf.nn.dropout: give keep_prob, or rate"),
        (
            lambda: tf.nn.sigmoid_cross_entropy_with_logits([1.0], [1.0]),
            "tf.nn.sigmoid_cross_entropy_with_logits: give labels=... and logits=..., both by name",
        ),
        (
            lambda: tf.image.resize_bilinear(np.ones([2, 2, 3]), [4, 4]),
            r"images must be \[batch, height, width, channels\], got shape \(2, 2, 3\)",
        ),
        (
            lambda: tf.nn.conv2d(np.ones([1, 4, 4, 3]), np.ones([1, 1, 3, 2]), [2, 1, 1, 1], 0),
            "strides must be 1 for batch and channels",
        ),
        (
            lambda: tf.nn.conv2d_transpose(
                np.ones([1, 4, 4, 3]), np.ones([2, 2, 5, 3]), [1, 9, 8, 5], [1, 2, 2, 1]
            ),
            r"output_shape must be one whose convolution has the shape of the input, \(4, 4\)",
        ),
        (
            lambda: tf.image.pad_to_bounding_box(np.ones([4, 4, 3]), 1, 1, 4, 8),
            "the image must be inside of the target",
        ),
        (
            lambda: tf.losses.absolute_difference([[1.0, 2.0]], [[1.0, 2.0]], weights=[1.0, 2.0]),
            r"weights must be a number, or of shape \(1, 2\) with some lengths 1",
        ),
        (
            lambda: tf.losses.log_loss([1.0, 2.0], [1.0]),
            "tf.losses.log_loss: .*labels come first in tf.losses",
        ),
        (
            lambda: tf.train.piecewise_constant(3, [1, 2], [0.1]),
            "tf.train.piecewise_constant: values must be 3 of them, got 1",
        ),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
