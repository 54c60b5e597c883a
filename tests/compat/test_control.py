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
        (tf.assert_none_equal, (1, [2, 3]), (1, [1, 2])),
        (tf.assert_positive, ([1, 2],), ([1, 0],)),
        (tf.assert_negative, (-1.0,), (0.0,)),
        (tf.assert_non_negative, ([0, 1],), (-1,)),
        (tf.assert_non_positive, ([0, -1],), (1,)),
        (tf.assert_near, ([1.0], [1.0 + 1e-6]), ([1.0], [1.00001])),
        (tf.assert_near, (1.0, 1.4, 0.0, 0.5), (1.0, 1.6, 0.0, 0.5)),
        (tf.assert_rank, ([1], 1), ([1], 2)),
        (tf.assert_rank_at_least, ([1], 1), ([1], 2)),
        (tf.assert_rank_in, ([1], [1, 2]), ([1], (2, 3))),
        (tf.assert_scalar, (1,), ([1],)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_assertions_of_what_is_known(check, holds, fails):
    check(*holds)
    with pytest.raises(ValueError, match=f"tf.{check.__name__}"):
        check(*fails)


@pytest.mark.parametrize(
    ("check", "holds", "fails"),
    [
        (tf.assert_integer, ([1],), ([1.0],)),
        (tf.assert_type, ([1], tf.int32), ([1], tf.float32)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_assertions_of_types(check, holds, fails):
    check(*holds)
    with pytest.raises(TypeError, match=f"tf.{check.__name__}: .*, got"):
        check(*fails)


def test_an_assertion_has_its_own_message_and_checks_nothing_that_is_traced():
    with pytest.raises(ValueError, match=r"tf\.assert_positive: boxes are empty: 0"):
        tf.assert_positive(0, message="boxes are empty")
    jax.jit(lambda x: tf.assert_positive(x))(-1)


def test_arguments_in_the_order_before_tensorflow_1_are_taken_and_said_once(caplog):
    x = jnp.arange(6.0).reshape(2, 3)
    for _ in range(2):
        joined = tf.concat(1, [x, x])
    assert joined.tolist() == tf.concat([x, x], 1).tolist()
    assert tf.concat(tf.constant(0), [x, x]).shape == (4, 3)
    assert [part.tolist() for part in tf.split(1, 3, x)] == [[[0], [3]], [[1], [4]], [[2], [5]]]
    assert tf.reverse(x, [False, True])[0].tolist() == [2, 1, 0]
    assert tf.image.resize_images(x[None, :, :, None], 4, 6).shape == (1, 4, 6, 1)
    tf.nn.softmax_cross_entropy_with_logits(x, x)
    texts = [record.getMessage() for record in caplog.records]
    order = "is the order before TensorFlow 1.0; it is now tf."
    assert len(texts) == 6
    assert f"test_control.py:{texts[0].split(':')[1]}: tf.concat(axis, values) {order}" in texts[0]
    assert f"tf.split(axis, number, value) {order}split(value, number, axis)" in texts[2]
    assert f"tf.reverse(tensor, [False, True]) {order}reverse(tensor, [1])" in texts[3]
    assert f"(images, height, width) {order}image.resize_images(images, [height" in texts[4]
    assert f"(logits, labels) {order}nn.softmax_cross_entropy_with_logits(labels" in texts[5]


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
        (lambda x: tf.setdiff1d(x, [1]), "tf.setdiff1d: x must be known while tracing"),
        (lambda x: tf.dynamic_partition(x, x, 2), "tf.dynamic_partition: partitions must be known"),
        (lambda x: tf.nn.top_k(x, tf.to_int32(x[0])), "tf.nn.top_k: k must be known"),
        (lambda x: tf.confusion_matrix(x, x), "tf.confusion_matrix: labels .or give num_classes."),
        (lambda x: tf.parse_single_example(x, {}), "tf.parse_single_example: serialized must be"),
        (lambda x: tf.decode_raw(x, tf.uint8), "tf.decode_raw: serialized must be the bytes"),
        (lambda x: tf.py_func(np.sort, [x], tf.float32), "tf.py_func: .* jax.pure_callback"),
        (lambda x: tf.py_function(np.sort, [x], tf.float32), "tf.py_func: "),
    ],
    ids=[
        *("boolean_mask", "where", "unique", "setdiff1d", "dynamic_partition", "top_k"),
        "confusion_matrix",
        *("parse_single_example", "decode_raw", "py_func", "py_function"),
    ],
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
        (
            lambda: tf.dynamic_partition([1, 2], [0, 1, 1], 2),
            r"partitions must be of the first lengths of data, got shape \(3,",
        ),
        (lambda: tf.where([True], [1]), "tf.where: give both x and y, or neither"),
        (lambda: tf.expand_dims([1]), "tf.expand_dims: axis is missing"),
        (lambda: tf.squeeze([1], 0, squeeze_dims=0), "tf.squeeze: axis and squeeze_dims mean the"),
        (lambda: tf.concat([[1], [2]]), "tf.concat: axis is missing"),
        (lambda: tf.split([1, 2]), "tf.split: num_or_size_splits is missing"),
        (lambda: tf.split([1, 2, 3], [1, 1]), "num_or_size_splits must be as long as the axis"),
        (lambda: tf.unstack([1, 2], 3), "tf.unstack: num must be the length of the axis"),
        (lambda: tf.constant([1, 2, 3], shape=[2]), "tf.constant: value must be of at most shape"),
        (lambda: tf.nn.dropout([1.0]), "tf.nn.dropout: give keep_prob, or rate"),
        (
            lambda: tf.nn.sigmoid_cross_entropy_with_logits([1.0], logits=[1.0]),
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
