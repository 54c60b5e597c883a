"""Initializers that are written or called as TensorFlow does it, and seeds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim.initializers import (
    constant_initializer,
    glorot_uniform_initializer,
    ones_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    variance_scaling_initializer,
    xavier_initializer,
    zeros_initializer,
)

KEY = jax.random.key(3)


def made_by(initializer, shape=(2, 3), dtype=jnp.float32):
    model = slim.Model(lambda: slim.variable("v", shape, dtype, initializer))
    return model.init(KEY)["params"]["v"]


class Twos:
    def __call__(self, shape, dtype=None, partition_info=None):
        return np.full(shape, 2.0)


def with_keywords(shape, **keywords):
    assert list(keywords) == ["dtype"]
    return np.full(shape, 2.0)


def grown(shape, dtype, partition_info):
    assert partition_info is None
    assert isinstance(shape, list)  # as in TensorFlow
    return np.full(shape, 2.0, dtype)


@pytest.mark.parametrize(
    "initializer",
    [
        lambda shape, dtype=None, partition_info=None: 2.0 * jnp.ones(shape, dtype),
        lambda shape, dtype: 2.0 * jnp.ones(shape, dtype),
        lambda shape, kind: 2.0 * jnp.ones(shape, kind),
        lambda shape: 2.0 * np.ones(shape),
        lambda dims: 2.0 * np.ones(dims),
        lambda dims, dtype=None, partition_info=None: 2.0 * np.ones(dims),
        with_keywords,
        grown,
        Twos,
        Twos(),
        functools.partial(np.full, fill_value=2.0),
        lambda key, shape, dtype: 2.0 * jnp.ones(shape, dtype),
        lambda *args: 2.0 * jnp.ones(*args[1:]),
        jax.nn.initializers.constant(2.0),
    ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_functions_that_are_called_as_tensorflow_or_jax_does_it(initializer, dtype):
    value = made_by(initializer, dtype=dtype)
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, np.full((2, 3), 2.0))


def test_function_with_tensorflows_signature_may_stand_wherever_an_initializer_does():
    def fives(shape, dtype=None, partition_info=None):
        return 5.0 * jnp.ones(shape, dtype)

    def fn(x):
        with slim.arg_scope([slim.conv2d], weights_initializer=fives, biases_initializer=fives):
            slim.conv2d(x, 2, 1)
        slim.batch_norm(x, param_initializers={"moving_mean": fives}, is_training=False)
        with slim.variable_scope("a", initializer=fives):
            slim.variable("v", shape=[2])

    model = slim.Model(fn)
    variables = slim.get_variables(model.init(KEY, jnp.ones((1, 2, 2, 3))))
    fives_of = {name for name, value in variables.items() if float(value.ravel()[0]) == 5.0}
    assert fives_of == {"Conv/weights", "Conv/biases", "BatchNorm/moving_mean", "a/v"}


def test_function_with_tensorflows_signature_may_call_an_initializer_as_tensorflow_does():
    def halved(shape, dtype=None, partition_info=None):
        return 0.5 * random_normal_initializer()(shape, dtype, partition_info)

    np.testing.assert_array_equal(made_by(halved), 0.5 * made_by(random_normal_initializer()))
    with pytest.raises(TypeError, match="random_normal_initializer: there is no key to draw with"):
        halved([2])
    with pytest.raises(TypeError, match="zeros_initializer: shape is missing"):
        zeros_initializer()(KEY)


def test_shape_comes_first_where_there_is_no_key():
    assert zeros_initializer()([2, 3]).shape == (2, 3)
    assert ones_initializer(dtype=jnp.bfloat16)((2,)).dtype == jnp.bfloat16
    assert ones_initializer(jnp.bfloat16)((2,), jnp.float32).dtype == jnp.float32
    assert constant_initializer(3, jnp.int32)(4).tolist() == [3, 3, 3, 3]
    assert constant_initializer(3.0)(shape=[1], dtype=jnp.float16).dtype == jnp.float16
    assert ones_initializer(dtype=jnp.bfloat16)(None, (2,)).dtype == jnp.bfloat16
    assert made_by(zeros_initializer(dtype=jnp.int32)).dtype == jnp.float32  # the variable's own


SEEDED = [
    lambda seed: truncated_normal_initializer(0.0, 1.0, seed),
    lambda seed: random_normal_initializer(0.0, 1.0, seed, jnp.float32),
    lambda seed: random_uniform_initializer(-1.0, None, seed=seed),
    lambda seed: variance_scaling_initializer(2.0, "FAN_IN", False, seed),
    lambda seed: xavier_initializer(uniform=False, seed=seed, dtype=jnp.float32),
    lambda seed: glorot_uniform_initializer(seed=seed),
]


@pytest.mark.parametrize("seeded", SEEDED)
def test_seed_decides_the_values_in_place_of_the_key(seeded):
    values = seeded(3)(KEY, (4,))
    np.testing.assert_array_equal(values, seeded(3)([4]))
    np.testing.assert_array_equal(values, seeded(None)(jax.random.key(3), (4,)))
    assert not np.array_equal(values, seeded(4)(KEY, (4,)))
    assert seeded(3) == seeded(3) != seeded(4)
    assert "seed=3" in repr(seeded(3))
