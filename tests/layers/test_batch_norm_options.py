"""batch_norm's options beyond single steps of TF-Slim: several steps, devices, derivatives."""

import functools
import json
import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from layer_checks import jit, make_up_variables

import jslim as slim

STEPS = json.loads(
    (pathlib.Path(__file__).parent.parent / "golden" / "batch_norm_steps.json").read_text()
)
X = jnp.asarray(np.random.default_rng(2).uniform(-1, 2, (16, 3, 2)), jnp.float32)
WEIGHTS = jnp.asarray(np.random.default_rng(3).uniform(0, 2, 16), jnp.float32)
LIMITS = {"rmax": 3.0, "rmin": 0.2, "dmax": 5.0}


def adjust(shape):
    return jnp.linspace(0.8, 1.2, shape[-1]), jnp.linspace(-0.1, 0.1, shape[-1])


OPTIONS = {
    "plain": {},
    "not_fused": {"fused": False},
    "zero_debias": {"zero_debias_moving_mean": True},
    "weights": {"batch_weights": WEIGHTS},
    "renorm": {"renorm": True, "renorm_clipping": LIMITS},
    "renorm_fixed": {"renorm": True, "renorm_clipping": {"rmin": 2, "rmax": 2, "dmax": 0}},
    "adjustment": {"adjustment": adjust},
    "all": {"adjustment": adjust, "batch_weights": WEIGHTS, "zero_debias_moving_mean": True},
}


def model_of(name, **kwargs):
    """A model of inputs and, where there are any, weights."""
    options = dict(OPTIONS[name], decay=0.5, scale=True, **kwargs)
    has_weights = options.pop("batch_weights", None) is not None

    def run(x, weights):
        given = {"batch_weights": weights} if has_weights else {}
        return slim.batch_norm(x, **options, **given)

    return slim.Model(run)


@pytest.mark.parametrize("case", STEPS, ids=[case["arguments"] for case in STEPS])
def test_several_steps_equal_tf_slims(case):
    names = {"slim": slim}
    model = slim.Model(eval(f"lambda x: slim.batch_norm(x, {case['arguments']})", names))
    batches = [np.reshape(b, case["shape"]).astype(np.float32) for b in case["batches"]]
    variables = jit(model.init)(jax.random.key(0), batches[0])
    step = jit(functools.partial(model.apply, mutable=["batch_stats"]))
    for batch, expected in zip(batches, case["steps"], strict=True):
        output, updates = step(variables, batch)
        variables = {**variables, **updates}
        np.testing.assert_allclose(output.ravel(), expected["output"], rtol=1e-5, atol=1e-5)
        moving = flax.traverse_util.flatten_dict(variables["batch_stats"], sep="/")
        assert moving.keys() == expected["variables"].keys()
        for name, value in expected["variables"].items():
            assert moving[name].dtype == np.float32
            assert moving[name].shape == np.shape(value)
            np.testing.assert_allclose(moving[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def value_and_gradients(model, variables, x, weights, axis_name=None):
    def loss(params, x, weights):
        given = {**variables, "params": params}
        output, updates = model.apply(given, x, weights, mutable=["batch_stats"])
        total = jnp.mean(jnp.sin(output) * x)
        return (jax.lax.pmean(total, axis_name) if axis_name else total), (output, updates)

    by = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    return by(variables["params"], x, weights)


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIONS)
def test_eight_devices_equal_one(name):
    variables = make_up_variables(model_of(name), X, WEIGHTS)
    expected = jax.device_get(
        jit(functools.partial(value_and_gradients, model_of(name)))(variables, X, WEIGHTS)
    )
    everywhere, batch = PartitionSpec(), PartitionSpec("data")
    model = model_of(name, axis_name="data")
    sharded = jax.shard_map(
        functools.partial(value_and_gradients, model, axis_name="data"),
        mesh=Mesh(np.array(jax.devices()), ("data",)),
        in_specs=(everywhere, batch, batch),
        out_specs=((everywhere, (batch, everywhere)), (everywhere, batch, batch)),
    )
    actual = jax.device_get(jit(sharded)(variables, X, WEIGHTS))
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIONS)
def test_eager_remat_and_vmap_equal_jit(name):
    model = model_of(name)
    variables = make_up_variables(model, X, WEIGHTS)
    run = functools.partial(value_and_gradients, model)
    expected = jit(run)(variables, X, WEIGHTS)
    (_, (_, updates)), _ = expected

    @jax.checkpoint
    def kept(params, x, weights):
        given = {**variables, "params": params}
        output, _ = model.apply(given, x, weights, mutable=["batch_stats"])
        return jnp.mean(jnp.sin(output) * x)

    remat = jit(jax.grad(kept, argnums=(0, 1, 2)))(variables["params"], X, WEIGHTS)
    pairs = [(run(variables, X, WEIGHTS), expected), (remat, expected[1])]
    two = jnp.stack([X, X * 2.0]), jnp.stack([WEIGHTS, WEIGHTS])
    both = jit(jax.vmap(run, in_axes=(None, 0, 0)))(variables, *two)
    pairs.append((jax.tree.map(lambda leaf: leaf[0], both), expected))
    for actual, wanted in pairs:
        for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)
    assert jax.tree.leaves(updates)


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIONS)
def test_second_derivatives_equal_finite_differences(name):
    # Of renorm the factor and the term are constants, which finite differences do not see.
    with jax.enable_x64(True):
        rng = np.random.default_rng(5)
        x = jnp.asarray(rng.uniform(-1, 2, (6, 3)))
        weights = jnp.asarray(rng.uniform(0.5, 2, 6))
        model = model_of(name)
        variables = make_up_variables(model, x, weights)
        towards = jnp.asarray(rng.uniform(-1, 1, x.shape))

        def loss(x):
            output, _ = model.apply(variables, x, weights, mutable=["batch_stats"])
            return jnp.sum(jnp.sin(output))

        forward = jit(lambda x: jax.jvp(jax.grad(loss), (x,), (towards,))[1])(x)
        reverse = jit(jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) * towards)))(x)
        assert np.isfinite(forward).all()
        assert np.abs(forward).max() > 1e-3
        np.testing.assert_allclose(forward, reverse, rtol=1e-7, atol=1e-9)
        if name != "renorm":
            gradient, step = jit(jax.grad(loss)), 1e-5
            above, below = gradient(x + step * towards), gradient(x - step * towards)
            difference = (above - below) / (2 * step)
            np.testing.assert_allclose(forward, difference, rtol=1e-6, atol=1e-7)


def test_axis_name_may_be_of_vmap():
    variables = make_up_variables(model_of("renorm"), X, WEIGHTS)
    apply = functools.partial(model_of("renorm").apply, mutable=["batch_stats"])
    expected, expected_updates = jit(apply)(variables, X, WEIGHTS)
    apply = functools.partial(model_of("renorm", axis_name="i").apply, mutable=["batch_stats"])
    in_two = jax.vmap(apply, axis_name="i", in_axes=(None, 0, 0))
    output, updates = jit(in_two)(variables, X.reshape(2, 8, 3, 2), WEIGHTS.reshape(2, 8))
    np.testing.assert_allclose(output.reshape(X.shape), expected, rtol=1e-5, atol=1e-6)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda one, other: close(one[1], other), updates, expected_updates)


def test_renorm_without_room_is_plain_batch_norm():
    given = {"renorm": True, "renorm_clipping": {"rmin": 1, "rmax": jnp.float32(1), "dmax": 0}}
    model = slim.Model(functools.partial(slim.batch_norm, **given))
    variables = make_up_variables(model, X)
    output, _ = jit(functools.partial(model.apply, mutable=["batch_stats"]))(variables, X)
    plain = slim.Model(slim.batch_norm)
    expected, _ = jit(functools.partial(plain.apply, mutable=["batch_stats"]))(variables, X)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_adjustment_may_be_random_and_is_of_channels_in_nchw():
    def random(shape):
        return jax.random.uniform(slim.make_rng("dropout"), (shape[1],)) + 1.0, 0.0

    model = slim.Model(
        functools.partial(slim.batch_norm, adjustment=random, data_format="NCHW", center=False)
    )
    variables = make_up_variables(model, X)
    apply = jit(functools.partial(model.apply, mutable=["batch_stats"]))
    first, _ = apply(variables, X, rngs={"dropout": jax.random.key(0)})
    second, _ = apply(variables, X, rngs={"dropout": jax.random.key(1)})
    ratio = np.asarray(second / first)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1, :, :1], X.shape), rtol=1e-5)
    assert (np.abs(ratio[0, :, 0] - 1) > 1e-3).all()


@pytest.mark.parametrize("ratio", [1, 10, 30])
@pytest.mark.parametrize("fused", [True, False])
def test_bfloat16_statistics_are_exact_within_the_documented_limits(fused, ratio):
    rng = np.random.default_rng(8)
    x = jnp.asarray(rng.normal(ratio, 1.0, (64, 9, 7, 2)), jnp.bfloat16)
    model = slim.Model(functools.partial(slim.batch_norm, decay=0.0, fused=fused))
    variables = make_up_variables(model, x)
    _, updates = jit(functools.partial(model.apply, mutable=["batch_stats"]))(variables, x)
    exact = np.asarray(x, np.float64).reshape(-1, 2)
    moving = updates["batch_stats"]["BatchNorm"]
    assert moving["moving_mean"].dtype == moving["moving_variance"].dtype == np.float32
    np.testing.assert_allclose(moving["moving_mean"], exact.mean(0), rtol=1e-6)
    variance = exact.var(0, ddof=1 if fused else 0)
    limit = 1e-6 + (3e-7 * (1 + (exact.mean(0) ** 2 / variance).max()) if fused else 0.0)
    np.testing.assert_allclose(moving["moving_variance"], variance, rtol=limit)
