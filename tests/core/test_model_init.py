"""`Model.init` computes initializers, and the function only where shapes are not enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim.core.model import recorded, shapes_of

KEY = jax.random.key(0)
IMAGES = np.ones((2, 4, 4, 2), np.float32)


def network(images):
    net = slim.conv2d(images, 4, 3, normalizer_fn=slim.batch_norm, scope="conv1")
    net = slim.dropout(net, 0.5, scope="dropout")
    return slim.fully_connected(slim.flatten(net), 3, scope="fc")


def runs_of(fn, *args, **kwargs):
    """The variables of `fn`, and what it was called with: JAX's tracers or values."""
    given = []

    def counted(*args, **kwargs):
        given.extend(jax.tree.leaves((args, kwargs)))
        return fn(*args, **kwargs)

    variables = slim.Model(counted).init(KEY, *args, **kwargs)
    assert not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(variables))
    return variables, [isinstance(x, jax.core.Tracer) for x in given]


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_init_under_jit_gives_the_same_variables():
    model = slim.Model(network)
    plain = model.init(KEY, IMAGES)
    jitted = jax.jit(model.init)(KEY, IMAGES)
    assert jax.tree.structure(plain) == jax.tree.structure(jitted)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_init_gives_the_variables_of_a_run_operation_by_operation():
    variables, are_traced = runs_of(network, IMAGES)
    assert are_traced == [True]
    assert_equal(variables, slim.Model(network).init_with_output(KEY, IMAGES)[1])


def test_init_needs_shapes_alone():
    shapes = jax.ShapeDtypeStruct(IMAGES.shape, IMAGES.dtype)
    assert_equal(slim.Model(network).init(KEY, shapes), slim.Model(network).init(KEY, IMAGES))


def test_numbers_and_texts_are_given_as_they_are():
    def fn(images, *, outputs, name):
        return slim.fully_connected(slim.flatten(images), outputs, scope=name)

    variables, are_traced = runs_of(fn, IMAGES, outputs=3, name="fc")
    assert variables["params"]["fc"]["weights"].shape == (32, 3)
    assert are_traced == [True, False, False]


def of_a_value(images):
    return slim.fully_connected(slim.flatten(images), int(images.sum()) // 16, scope="fc")


def of_numpy(images):
    return slim.fully_connected(np.asarray(images).reshape(2, 32), 4, scope="fc")


def made_of_the_input(images):
    mean = slim.variable("mean", initializer=jnp.mean(images, (0, 1, 2), keepdims=True))
    return slim.fully_connected(slim.flatten(images - mean), 4, scope="fc")


@pytest.mark.parametrize("fn", [of_a_value, of_numpy, made_of_the_input])
def test_a_function_that_looks_at_values_runs_operation_by_operation(fn):
    variables, are_traced = runs_of(fn, IMAGES)
    assert are_traced == [True, False]
    assert_equal(variables, slim.Model(fn).init_with_output(KEY, IMAGES)[1])
    assert variables["params"]["fc"]["weights"].shape == (32, 4)


def test_a_linen_module_within_is_initialized():
    import flax.linen as nn

    def fn(images):
        return slim.call_linen(nn.Dense(3), slim.flatten(images), scope="dense")

    variables, _ = runs_of(fn, IMAGES)
    assert_equal(variables, slim.Model(fn).init_with_output(KEY, IMAGES)[1])


def test_a_run_is_recorded_once_even_if_the_function_runs_twice():
    for fn in (network, of_a_value):
        with recorded() as runs:
            slim.Model(fn).init(KEY, IMAGES)
        assert len(runs) == 1


def test_an_error_of_the_function_is_its_own():
    def fn(images):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        slim.Model(fn).init(KEY, IMAGES)
    assert caught.value.__context__ is None


def test_within_a_transformation_init_is_part_of_it():
    seen = []

    def init(key):
        variables = slim.Model(network).init(key, IMAGES)
        seen.extend(jax.tree.leaves(variables))
        return variables

    jax.eval_shape(init, KEY)
    assert all(isinstance(leaf, jax.core.Tracer) for leaf in seen)


def test_each_key_and_shape_is_drawn_anew():
    variables = slim.Model(network).init(KEY, IMAGES)
    others = slim.Model(network).init(jax.random.key(1), IMAGES)
    weights = variables["params"]["conv1"]["weights"]
    assert (weights != others["params"]["conv1"]["weights"]).all()


@pytest.mark.parametrize(
    "first",
    [slim.zeros_initializer(), slim.ones_initializer(), slim.constant_initializer(3.0)],
    ids=repr,
)
def test_a_key_does_not_depend_on_how_the_variables_before_it_start(first):
    def second(initializer):
        def fn():
            slim.variable("first", [2], initializer=initializer)
            slim.variable("second", [3], initializer=slim.random_normal_initializer())

        return slim.Model(fn).init(KEY)["params"]["second"]

    np.testing.assert_array_equal(second(first), second(jax.nn.initializers.normal()))


def test_shapes_are_those_without_draws_and_later_draws_are_drawn():
    @jax.jit
    def drawn(key):  # JAX keeps its trace
        return slim.xavier_initializer()(key, (3,), jnp.float32)

    def fn(images):
        half = slim.random_normal_initializer()
        slim.variable("half", [2], dtype=jnp.bfloat16, initializer=half)
        slim.variable("own", [3], initializer=lambda key, shape, dtype: drawn(key))
        return network(images)

    model = slim.Model(fn)
    assert shapes_of(model.init, KEY, IMAGES) == jax.eval_shape(model.init, KEY, IMAGES)
    assert drawn(KEY).all()
    assert jax.jit(model.init)(KEY, IMAGES)["params"]["own"].all()
