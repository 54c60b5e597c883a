"""layer_norm, instance_norm, group_norm and gdn beyond TF-Slim's stored numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layer_checks import jit, leaves_of, make_up_variables

import jslim as slim
from jslim.layers.generalized_divisive import _lower_bound

RNG = np.random.default_rng(4)
FAR = RNG.normal(300.0, 1.0, (2, 40, 30, 4))
LAYERS = {
    "layer_norm": (slim.layer_norm, (1, 2, 3)),
    "instance_norm": (slim.instance_norm, (1, 2)),
    "group_norm": (functools.partial(slim.group_norm, groups=1), (1, 2, 3)),
}


def plain(layer, x, **kwargs):
    """The layer without parameters, which needs no variables."""
    model = slim.Model(functools.partial(layer, center=False, scale=False, **kwargs))
    return jit(model.apply)({}, x)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_variance_is_exact_far_from_zero(name, dtype):
    layer, axes = LAYERS[name]
    x = jnp.asarray(FAR, dtype)
    exact = np.asarray(x, np.float64)
    expected = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    output = plain(layer, x)
    assert output.dtype == dtype
    # The mean is rounded to float32, 2**-24 of 300; the result to the dtype.
    rounding = 2**-8 if dtype == jnp.bfloat16 else 1e-5
    np.testing.assert_allclose(np.asarray(output, np.float64), expected, rtol=rounding, atol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_has_float32_statistics(name):
    # A bfloat16 sum of numbers near 3 would stop growing at 512.
    layer, axes = LAYERS[name]
    x = jnp.asarray(RNG.uniform(2, 4, (2, 40, 40, 4)), jnp.bfloat16)
    exact = np.asarray(x, np.float64)
    expected = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    output = plain(layer, x, dtype=jnp.float32)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_layer_norm_adds_more_to_the_variance_of_float16():
    x = jnp.asarray(RNG.normal(0, 0.01, (3, 50)), jnp.float16)
    exact = np.asarray(x, np.float64)
    deviations = exact - exact.mean(1, keepdims=True)
    expected = deviations / np.sqrt(exact.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(plain(slim.layer_norm, x), expected, rtol=2e-3, atol=1e-4)
    expected = deviations / exact.std(1, keepdims=True)
    output = plain(slim.layer_norm, x, dtype=jnp.float32)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name", LAYERS)
def test_equal_inputs_give_zeros_and_finite_gradients(name):
    layer, _ = LAYERS[name]
    model = slim.Model(functools.partial(layer, center=False, scale=False))
    x = jnp.full((2, 4, 4, 4), 0.5)  # which sums up without rounding
    np.testing.assert_array_equal(model.apply({}, x), np.zeros(x.shape))
    assert np.isfinite(jax.grad(lambda x: jnp.sum(model.apply({}, x) ** 3))(x)).all()


def test_group_norm_of_one_and_all_groups_is_layer_and_instance_norm():
    x = jnp.asarray(RNG.normal(1, 2, (2, 5, 6, 4)), jnp.float32)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(plain(slim.group_norm, x, groups=1), plain(slim.layer_norm, x))
    close(plain(slim.group_norm, x, groups=4), plain(slim.instance_norm, x))


def test_group_norm_without_a_batch_axis():
    x = jnp.asarray(RNG.normal(1, 2, (2, 5, 6, 4)), jnp.float32)
    one = plain(slim.group_norm, x[0], groups=2)
    np.testing.assert_allclose(one, plain(slim.group_norm, x, groups=2)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["instance_norm", "group_norm"])
def test_param_initializers_are_used_by_name(layer):
    initializers = {
        "beta": slim.constant_initializer(2.0),
        "gamma": slim.constant_initializer(3.0),
    }
    function, _ = LAYERS[layer]
    model = slim.Model(functools.partial(function, param_initializers=initializers))
    variables = model.init(jax.random.key(0), jnp.ones((1, 2, 2, 4)))
    made = {name.rpartition("/")[2]: leaf for name, leaf in leaves_of(variables).items()}
    np.testing.assert_array_equal(made["beta"], np.full(4, 2.0))
    np.testing.assert_array_equal(made["gamma"], np.full(4, 3.0))


def test_gdn_starts_from_its_arguments():
    x = jnp.asarray(RNG.uniform(-1, 1, (2, 3, 3)), jnp.float32)
    model = slim.Model(functools.partial(slim.gdn, gamma_init=0.2))
    output, _ = jit(model.init_with_output)(jax.random.key(0), x)
    np.testing.assert_allclose(output, x / np.sqrt(1 + 0.2 * np.square(x)), rtol=1e-5)
    model = slim.Model(functools.partial(slim.gdn, gamma_init=0.0))
    output, _ = jit(model.init_with_output)(jax.random.key(0), x)
    np.testing.assert_allclose(output, x, rtol=1e-5)


def test_gdn_channels_first_is_the_same_of_moved_axes():
    x = jnp.asarray(RNG.uniform(-1, 1, (2, 3, 2, 4, 5)), jnp.float32)
    model = slim.Model(slim.gdn)
    variables = make_up_variables(model, x)
    expected = jit(model.apply)(variables, x)
    first = slim.Model(functools.partial(slim.gdn, data_format="channels_first"))
    output = jit(first.apply)(variables, jnp.moveaxis(x, -1, 1))
    np.testing.assert_allclose(jnp.moveaxis(output, 1, -1), expected, rtol=1e-5)


def test_lower_bound_lets_pass_what_leads_up():
    x = jnp.array([0.5, 1.0, 2.0, 0.5, 1.0, 2.0])
    value, backward = jax.vjp(lambda x: _lower_bound(x, 1.0), x)
    np.testing.assert_array_equal(value, [1, 1, 2, 1, 1, 2])
    (gradient,) = backward(jnp.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]))
    np.testing.assert_array_equal(gradient, [0, 1, 1, -1, -1, -1])


def test_gdn_object_is_the_function_with_its_arguments():
    x = jnp.asarray(RNG.uniform(-1, 1, (2, 3, 3)), jnp.float32)
    layer = slim.GDN(inverse=True, name="g")
    assert layer == slim.GDN(True, name="g")
    assert hash(layer) == hash(slim.GDN(True, name="g"))
    model = slim.Model(lambda x: slim.gdn(x, True, name="g"))
    variables = make_up_variables(model, x)
    np.testing.assert_array_equal(slim.Model(layer).apply(variables, x), model.apply(variables, x))

    def twice(x):
        return slim.GDN(True, name="g", reuse=True)(layer(x))

    assert jax.tree.structure(make_up_variables(slim.Model(twice), x)) == jax.tree.structure(
        variables
    )
    with pytest.raises(slim.ScopeError, match="'g/reparam_beta' already exists"):
        slim.Model(lambda x: layer(layer(x))).init(jax.random.key(0), x)
    normalized = slim.Model(lambda x: slim.conv2d(x, 2, 1, activation_fn=slim.GDN()))
    variables = make_up_variables(normalized, x[None])
    assert sorted(variables["params"]["Conv"]["gdn"]) == ["reparam_beta", "reparam_gamma"]
