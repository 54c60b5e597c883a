"""Scopes and variables of `jslim.compat.tf` in a model function."""

import jax
import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.compat import tf
from jslim.compat.tf import _internals


def names_of(fn, *args):
    """The names of the variables that a model function makes."""
    variables = jax.jit(slim.Model(fn).init)(jax.random.key(0), *args)
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {"/".join(part.key for part in path[1:]): path[0].key for path, _ in leaves}


def test_names_of_get_variable_and_variable():
    """The names are those that TensorFlow 2.15's compat.v1 gives for the same lines."""

    def fn():
        with tf.variable_scope("a"):
            tf.get_variable("v", [1])
            tf.Variable([1.0], name="v")
            with tf.name_scope("n") as scope:
                assert scope == "a/n/"
                tf.Variable([1.0], name="w")
                tf.get_variable("w", [1])
            with tf.name_scope("n"):
                tf.Variable([1.0])
        with tf.variable_scope("", reuse=None):
            tf.get_variable("outside", [1])
        with tf.variable_op_scope([], None, "default"), tf.op_scope([], "o"):
            tf.Variable(0, name="step")
        with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
            tf.get_variable("v", [1])
            assert tf.get_variable_scope().name == "a"

    assert names_of(fn) == {
        "a/v": "params",
        "a/v_1": "params",
        "a/n/w": "params",
        "a/w": "params",
        "a/n_1/Variable": "params",
        "outside": "params",
        "default/o/step": "batch_stats",
    }


def test_a_moving_average_that_began_with_zeros():
    """The numbers are those that TensorFlow 2.15 gives."""

    def fn(value):
        with tf.variable_scope("a"):
            mean = tf.get_variable("m", [2], initializer=tf.ones_initializer(), trainable=False)
            return _internals.assign_moving_average(mean, value, 0.9)

    model = slim.Model(fn)
    variables = model.init(jax.random.key(0), jnp.zeros(2))
    variables = jax.tree.map(jnp.zeros_like, variables)
    for value in ([3.0, 5.0], [1.0, 2.0]):
        result, changed = model.apply(variables, jnp.array(value), mutable=["batch_stats"])
        variables |= changed
    held = variables["batch_stats"]["a"]
    assert held["m"] is result or result.tolist() == held["m"].tolist()
    assert held["m"].tolist() == pytest.approx([1.947368, 3.421052], abs=1e-5)
    assert held["a"]["m"]["biased"].tolist() == pytest.approx([0.37, 0.65], abs=1e-5)
    assert held["a"]["m"]["local_step"] == 2


def test_names_of_templates():
    """The names are those that TensorFlow 2.15's compat.v1 gives for the same lines."""

    def function(x):
        with tf.name_scope("n"):
            pass
        return x * tf.get_variable("v", [1]) + tf.layers.dense(x, 1)

    first = tf.make_template("t", function)  # may be made outside

    def fn(x):
        second = tf.make_template("t", function)
        third = tf.make_template("w", function, unique_name_="w2")
        with tf.variable_scope("a"):
            first(x)
        first(x)
        second(x)
        third(x)
        third(x)
        fourth = tf.make_template("z", function, create_scope_now_=True)
        with tf.variable_scope("b"):
            fourth(x)

    x = jnp.zeros([2, 1])
    scopes = "a/t", "t", "w2", "z"
    names = {f"{s}/{n}" for s in scopes for n in ("v", "dense/kernel", "dense/bias")}
    assert set(names_of(fn, x)) == names
    assert set(names_of(fn, x)) == names  # each model begins anew
    with pytest.raises(slim.ScopeError, match=r"tf\.make_template"):
        first(x)


def test_a_scope_gives_defaults_and_a_custom_getter():
    def half(getter, name, *args, **kwargs):
        return 0.5 * getter(name, *args, **kwargs)

    def fn():
        ones = tf.ones_initializer()
        with tf.variable_scope("a", initializer=ones, regularizer=tf.nn.l2_loss, dtype=tf.float16):
            v = tf.get_variable("v", [2])
        with tf.variable_scope("b", custom_getter=half, auxiliary_name_scope=False) as scope:
            w = tf.get_variable("w", [2], initializer=ones)
        assert isinstance(scope, tf.VariableScope)
        return v, w, tf.losses.get_regularization_loss()

    (v, w, loss), _ = slim.Model(fn).init_with_output(jax.random.key(0))
    assert (v.dtype, w.tolist(), float(loss)) == (jnp.float16, [0.5, 0.5], 1.0)


def test_an_argument_of_get_variable_that_has_no_meaning():
    with pytest.raises(ValueError, match=r"tf\.get_variable: partitioner must be None, got 3"):
        names_of(lambda: tf.get_variable("v", [1], partitioner=3))


def test_local_and_moving_average_variables():
    def fn():
        count = tf.get_local_variable("count", [], initializer=tf.zeros_initializer())
        assert tf.local_variables()[0] is count
        v = tf.get_variable("v", [1])
        tf.add_to_collection(tf.GraphKeys.MOVING_AVERAGE_VARIABLES, v)
        assert tf.moving_average_variables()[0] is v

    assert names_of(fn) == {"count": "local_variables", "v": "params"}


def test_apply_needs_no_key_for_variables_that_start_at_random():
    def fn(images):
        w = tf.Variable(tf.truncated_normal([3, 2], stddev=0.1), name="w")
        b = tf.get_variable("b", initializer=tf.random_uniform([2]))
        return tf.matmul(images, w) + b

    model, images = slim.Model(fn), jnp.ones([1, 3])
    output, variables = model.init_with_output(jax.random.key(0), images)
    assert (model.apply(variables, images) == output).all()


def test_numbers_that_nobody_drew_are_refused_where_they_count():
    model = slim.Model(lambda x: x + tf.random_normal([2]))
    message = r"tf.random_normal needs randomness; call apply\(..., rngs={'dropout': key}\)"
    with pytest.raises(ValueError, match=message):
        model.apply({}, jnp.ones(2))
    assert model.apply({}, jnp.ones(2), rngs={"dropout": jax.random.key(1)}).shape == (2,)


def test_assign_moves_a_variable_once_for_each_apply():
    def fn():
        mean = tf.get_variable(
            "mean", [], initializer=tf.zeros_initializer(), trainable=False,
            collections=["variables", "batch_stats"],
        )  # fmt: skip
        return tf.assign_add(mean, 2.0)

    model = slim.Model(fn)
    variables = model.init(jax.random.key(0))
    output, updated = model.apply(variables, mutable=["batch_stats"])
    assert (float(output), float(updated["batch_stats"]["mean"])) == (2.0, 2.0)


def test_layers_have_tensorflows_names():
    def fn(images):
        net = tf.layers.conv2d(images, 2, 3)
        net = tf.layers.batch_normalization(net, training=True)
        net = tf.layers.conv2d(net, 2, 3, name="named")
        net = tf.layers.separable_conv2d(net, 2, 1)
        net = tf.layers.conv2d_transpose(net, 2, 2)
        net = tf.layers.dense(tf.layers.flatten(net), 3)
        return tf.layers.dense(net, 3)

    found = names_of(fn, jnp.ones([2, 6, 6, 3]))
    assert sorted(found) == [
        "batch_normalization/beta",
        "batch_normalization/gamma",
        "batch_normalization/moving_mean",
        "batch_normalization/moving_variance",
        "conv2d/bias",
        "conv2d/kernel",
        "conv2d_transpose/bias",
        "conv2d_transpose/kernel",
        "dense/bias",
        "dense/kernel",
        "dense_1/bias",
        "dense_1/kernel",
        "named/bias",
        "named/kernel",
        "separable_conv2d/bias",
        "separable_conv2d/depthwise_kernel",
        "separable_conv2d/pointwise_kernel",
    ]


def test_a_constraint_of_a_layer_is_refused():
    message = "tf.layers: constraint must be None, got one for kernel; project the parameters"
    with pytest.raises(ValueError, match=message):
        names_of(lambda: tf.layers.dense(jnp.ones([1, 2]), 3, kernel_constraint=abs))


def test_what_is_not_trained_can_be_assigned():
    """As the moving statistics of a normalization by hand."""

    def fn(x):
        ones = tf.ones_initializer()
        first = tf.get_variable("a", [], initializer=ones, trainable=False)
        second = tf.Variable(1.0, trainable=False, name="b")
        tf.get_variable("c", [], regularizer=lambda v: v * 3, initializer=ones, trainable=False)
        tf.assign(first, first + x)
        tf.assign_add(second, x)
        return tf.losses.get_regularization_loss()

    model = slim.Model(fn)
    variables = model.init(jax.random.key(0), 2.0)
    assert list(variables) == ["batch_stats"]
    loss, updated = model.apply(variables, 2.0, mutable=["batch_stats"])
    assert {name: float(v) for name, v in updated["batch_stats"].items()} == {
        "a": 3,
        "b": 3,
        "c": 1,
    }
    assert loss == 3
