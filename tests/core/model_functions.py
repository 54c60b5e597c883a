"""Model functions for the tests of `Model`, alone, among Linen modules and within each other."""

import inspect

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim

KEY = jax.random.key(0)
X = jnp.arange(6.0).reshape(2, 3) / 5


def dense(x, num_outputs, scope=None, reuse=None, regularizer=None):
    """A layer with two trained variables and one moving statistic."""
    with slim.variable_scope(scope, "fc", [x], reuse=reuse):
        weights = slim.model_variable(
            "weights", shape=[x.shape[-1], num_outputs], regularizer=regularizer
        )
        biases = slim.model_variable(
            "biases", shape=[num_outputs], initializer=slim.ones_initializer()
        )
        mean = slim.model_variable(
            "mean",
            shape=[num_outputs],
            initializer=slim.zeros_initializer(),
            trainable=False,
            collections=["batch_stats"],
        )
        return x @ weights + jnp.expand_dims(biases - mean, 0)


def two_layers(x):
    return dense(jnp.tanh(dense(x, 4, scope="one")), 3, scope="two")


def layer(x):
    """Keeps the shape, so that it can be repeated."""
    return jnp.tanh(dense(x, 3, scope="layer", regularizer=slim.l2_regularizer(2.0)))


def shapes(tree):
    return jax.tree.map(jnp.shape, tree)


def assert_trees_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def scan_layers(length):
    return nn.scan(
        slim.Model,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
        length=length,
    )(lambda carry, _: (layer(carry), None))


class Wrapper(nn.Module):
    """A Linen module that calls two Models, one of them twice as long by a lifted scan."""

    @nn.compact
    def __call__(self, x):
        x = slim.Model(two_layers, name="net")(x)
        x, _ = scan_layers(2).copy(name="stack")(x, None)
        return nn.Dense(2)(x)


class Holder(nn.Module):
    @nn.compact
    def __call__(self, x):
        return slim.Model(layer, name="inner")(x)


def nested(x):
    x = dense(x, 3, scope="first", regularizer=slim.l2_regularizer(2.0))
    x = slim.call_linen(Holder(), x, scope="linen")
    x = slim.call_linen(nn.remat(slim.Model)(layer), x, scope="again")
    x, _ = slim.call_linen(scan_layers(4), x, None, scope="stack")
    x = slim.Model(layer, name="direct")(x)
    return x


NESTED_WEIGHTS = [
    "first/weights",
    "linen/inner/layer/weights",
    "again/layer/weights",
    "stack/layer/weights",
    "direct/layer/weights",
]


def in_model(fn):
    """Runs `fn()` as a model function and gives what it returns."""
    returned = []
    model = slim.Model(lambda: returned.append(fn()))
    jax.eval_shape(model.init, jax.random.key(0))
    return returned[0]


def make(name="w", shape=(2,)):
    return slim.variable(name, shape=shape)


def name_of_new(name="w"):
    return slim.get_variable_full_name(make(name))


def in_model_values(fn):
    return slim.Model(fn).init_with_output(jax.random.key(0))[0]


def line_of_next():
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + 1}"
