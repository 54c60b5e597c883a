"""batch_norm beyond TF-Slim's numbers: devices, precision, derivatives, freezing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from layer_checks import jit, make_up_variables

import jslim as slim
from jslim.layers._normalizing import Over, normalize

X = jnp.asarray(np.random.default_rng(2).uniform(-1, 2, (16, 3, 3, 4)), jnp.float32)


def train(x, variables=None, **kwargs):
    """Output and new statistics in training."""
    model = slim.Model(functools.partial(slim.batch_norm, **kwargs))
    variables = make_up_variables(model, x) if variables is None else variables
    return jit(functools.partial(model.apply, mutable=["batch_stats"]))(variables, x)


def statistics(updates):
    moving = updates["batch_stats"]["BatchNorm"]
    return np.asarray(moving["moving_mean"]), np.asarray(moving["moving_variance"])


def test_init_gives_the_initial_statistics():
    model = slim.Model(functools.partial(slim.batch_norm, scale=True))
    variables = jax.jit(model.init)(jax.random.key(0), X)
    for name, value in [("moving_mean", 0.0), ("moving_variance", 1.0)]:
        leaf = variables["batch_stats"]["BatchNorm"][name]
        np.testing.assert_array_equal(leaf, np.full(4, value, np.float32))
    np.testing.assert_array_equal(variables["params"]["BatchNorm"]["gamma"], np.ones(4))
    np.testing.assert_array_equal(variables["params"]["BatchNorm"]["beta"], np.zeros(4))


def test_param_initializers_are_used_by_name():
    values = {"beta": 1.0, "gamma": 2.0, "moving_mean": 3.0, "moving_variance": 4.0}
    initializers = {name: slim.constant_initializer(value) for name, value in values.items()}
    model = slim.Model(
        functools.partial(slim.batch_norm, scale=True, param_initializers=initializers)
    )
    variables = jax.jit(model.init)(jax.random.key(0), X)
    made = {**variables["params"]["BatchNorm"], **variables["batch_stats"]["BatchNorm"]}
    assert {name: leaf[0].item() for name, leaf in made.items()} == values


def test_statistics_move_by_one_minus_decay():
    _, updates = train(X, decay=0.75, fused=False)
    model = slim.Model(slim.batch_norm)
    old = make_up_variables(model, X)["batch_stats"]["BatchNorm"]
    x = np.asarray(X, np.float64)
    mean, variance = statistics(updates)
    axes = (0, 1, 2)
    np.testing.assert_allclose(mean, 0.75 * old["moving_mean"] + 0.25 * x.mean(axes), rtol=1e-6)
    np.testing.assert_allclose(
        variance, 0.75 * old["moving_variance"] + 0.25 * x.var(axes), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "fused", "divisor"),
    [
        ((8, 2), None, 7),
        ((8, 2), True, 7),
        ((8, 2), False, 8),
        ((4, 2, 2), None, 8),
        ((2, 2, 2, 2), None, 7),
        ((2, 2, 2, 2), False, 8),
        ((2, 2, 2, 1, 2), None, 7),
    ],
)
def test_moving_variance_divides_by_n_or_n_minus_1(shape, fused, divisor):
    x = jnp.asarray(np.random.default_rng(3).uniform(0, 1, shape), jnp.float32)
    _, updates = train(x, decay=0.0, fused=fused)
    rows = np.asarray(x, np.float64).reshape(-1, 2)
    expected = np.square(rows - rows.mean(0)).sum(0) / divisor
    np.testing.assert_allclose(statistics(updates)[1], expected, rtol=1e-5)


def test_not_trainable_leaves_the_statistics_alone():
    model = slim.Model(functools.partial(slim.batch_norm, trainable=False))
    variables = make_up_variables(model, X)
    output, updates = train(X, variables, trainable=False)
    jax.tree.map(np.testing.assert_array_equal, updates, {"batch_stats": variables["batch_stats"]})
    np.testing.assert_array_equal(output, train(X, variables)[0])


@pytest.mark.long
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_written_derivative_equals_the_automatic_one(scale, center, fused):
    """Forward and reverse mode, against autodiff in float64."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(4)
        x = jnp.asarray(rng.uniform(-1, 2, (5, 2, 3)))
        gamma = jnp.asarray(rng.uniform(0.5, 1.5, 3)) if scale else None
        beta = jnp.asarray(rng.uniform(-1, 1, 3)) if center else None

        def plain(x, gamma, beta):
            mean, variance = jnp.mean(x, (0, 1)), jnp.var(x, (0, 1))
            out = (x - mean[None, None]) / jnp.sqrt(variance + 0.01)[None, None]
            out = out if gamma is None else out * gamma[None, None]
            return out if beta is None else out + beta[None, None]

        over = Over((2,), has_one_pass=fused)

        def ours(*arguments):
            return normalize(over, 0.01, *arguments)[0]

        arguments = (x, gamma, beta)
        tangents = jax.tree.map(lambda a: jnp.asarray(rng.uniform(-1, 1, a.shape)), arguments)
        for one, other in zip(
            jax.tree.leaves(jit(functools.partial(jax.jvp, ours))(arguments, tangents)),
            jax.tree.leaves(jit(functools.partial(jax.jvp, plain))(arguments, tangents)),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)

        cotangent = jnp.asarray(rng.uniform(-1, 1, x.shape))

        def weighted(function):
            return jit(jax.grad(lambda a: jnp.sum(function(*a) * cotangent)))(arguments)

        for one, other in zip(
            jax.tree.leaves(weighted(ours)), jax.tree.leaves(weighted(plain)), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_half_precision_has_float32_statistics():
    # A bfloat16 sum of 4096 numbers near 3 would stop growing at 512.
    x = jnp.asarray(np.random.default_rng(5).uniform(2, 4, (4096, 2)), jnp.bfloat16)
    output, updates = train(x, decay=0.0)
    exact = np.asarray(x, np.float64)
    mean, variance = statistics(updates)
    assert mean.dtype == variance.dtype == np.float32
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0, ddof=1), rtol=1e-4)
    assert output.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(output, np.float64).std(0), 1.0, rtol=2e-3)


def test_dtype_rounds_the_result_alone():
    output, updates = train(X, dtype=jnp.bfloat16)
    exact, exact_updates = train(X)
    np.testing.assert_array_equal(output, exact.astype(jnp.bfloat16))
    jax.tree.map(np.testing.assert_array_equal, updates, exact_updates)


def test_not_fused_is_exact_far_from_zero():
    x = jnp.asarray(np.random.default_rng(6).normal(1000.0, 1.0, (512, 3)), jnp.float32)
    _, updates = train(x, decay=0.0, fused=False)
    expected = np.asarray(x, np.float64).var(0)
    np.testing.assert_allclose(statistics(updates)[1], expected, rtol=1e-4)


@pytest.mark.long
def test_variance_is_never_negative():
    # 0.1 has no exact square, and the difference of E[x^2] and E[x]^2 can fall below zero.
    for value in np.linspace(0.1, 3.0, 30):
        _, updates = train(jnp.full((7, 64), value, jnp.float32), decay=0.0)
        variance = statistics(updates)[1]
        assert (variance >= 0).all()
        assert variance.max() < 1e-5


def loss_and_gradient(x, variables, **kwargs):
    model = slim.Model(functools.partial(slim.batch_norm, decay=0.5, scale=True, **kwargs))

    def loss(params, x):
        variables_ = {**variables, "params": params}
        output, updates = model.apply(variables_, x, mutable=["batch_stats"])
        total = jnp.mean(jnp.sin(output) * x)
        axis = kwargs.get("axis_name")
        return (jax.lax.pmean(total, axis) if axis else total), (output, updates)

    return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(variables["params"], x)


@pytest.mark.parametrize("fused", [False, True])
def test_axis_name_takes_statistics_over_devices(fused):
    variables = make_up_variables(slim.Model(functools.partial(slim.batch_norm, scale=True)), X)
    (loss, (output, updates)), (by_params, by_x) = jit(
        functools.partial(loss_and_gradient, fused=fused)
    )(X, variables)
    everywhere, batch = PartitionSpec(), PartitionSpec("data")
    sharded = jit(
        jax.shard_map(
            functools.partial(loss_and_gradient, fused=fused, axis_name="data"),
            mesh=Mesh(np.array(jax.devices()), ("data",)),
            in_specs=(batch, everywhere),
            out_specs=((everywhere, (batch, everywhere)), (everywhere, batch)),
        )
    )
    (loss_8, (output_8, updates_8)), (by_params_8, by_x_8) = sharded(X, variables)
    np.testing.assert_allclose(loss_8, loss, rtol=1e-5)
    np.testing.assert_allclose(output_8, output, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_x_8, by_x, rtol=1e-4, atol=1e-6)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, updates_8, updates)
    jax.tree.map(close, by_params_8, by_params)


def test_axis_name_works_under_pmap():
    variables = make_up_variables(slim.Model(functools.partial(slim.batch_norm, scale=True)), X)
    model = slim.Model(functools.partial(slim.batch_norm, scale=True, axis_name="data"))
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    output, updates = jax.pmap(apply, axis_name="data", in_axes=(None, 0))(
        variables, X.reshape(8, 2, 3, 3, 4)
    )
    expected, expected_updates = train(X, variables, scale=True)
    np.testing.assert_allclose(output.reshape(X.shape), expected, rtol=1e-5, atol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(lambda a, b: close(a[3], b), updates, expected_updates)


def test_statistics_under_jit_are_those_of_the_whole_sharded_batch():
    model = slim.Model(slim.batch_norm)
    variables = make_up_variables(model, X)
    sharding = jax.sharding.NamedSharding(
        Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data")
    )
    output, updates = train(jax.device_put(X, sharding), variables)
    expected, expected_updates = train(X, variables)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(close, updates, expected_updates)


def test_axis_name_is_not_needed_to_make_the_variables():
    model = slim.Model(functools.partial(slim.batch_norm, axis_name="data"))
    shapes = jax.eval_shape(model.init, jax.random.key(0), X)
    assert shapes["batch_stats"]["BatchNorm"]["moving_mean"].shape == (4,)
