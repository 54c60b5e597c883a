"""`Model` as a Linen module like any other, and Models within a Model."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec
from model_functions import (
    KEY,
    NESTED_WEIGHTS,
    Wrapper,
    X,
    assert_trees_equal,
    dense,
    layer,
    nested,
    scan_layers,
    shapes,
    two_layers,
)

import jslim as slim
from jslim.core.access import collect, collected, regularization_losses
from jslim.core.model import recorded

# A Linen module among Linen modules ------------------------------------------------------------


def test_tabulate_lists_the_variables():
    table = slim.Model(two_layers).tabulate(
        KEY, X, console_kwargs={"width": 200, "force_terminal": False}
    )
    assert "Model" in table
    assert "weights:" in table
    # 3*4 + 4 + 4*3 + 3 parameters and 4 + 3 statistics, all float32.
    assert "31 (124 B)" in table
    assert "Total Parameters: 38 (152 B)" in table


def test_lifted_remat_has_the_same_variables_and_gradients():
    plain, remat = slim.Model(two_layers), nn.remat(slim.Model)(two_layers)
    variables = plain.init(KEY, X)
    assert_trees_equal(remat.init(KEY, X), variables)

    def gradient(model):
        return jax.grad(lambda v: jnp.sum(jnp.square(model.apply(v, X))))(variables)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), gradient(plain), gradient(remat)
    )
    jaxpr = jax.make_jaxpr(jax.grad(lambda v: jnp.sum(remat.apply(v, X))))(variables)
    assert "checkpoint" in str(jaxpr) or "remat" in str(jaxpr)


def test_lifted_scan_equals_a_loop_over_its_stacked_params():
    scanned = scan_layers(4)
    variables = scanned.init(KEY, X, None)
    assert shapes(variables["params"]) == {"layer": {"weights": (4, 3, 3), "biases": (4, 3)}}
    result, _ = scanned.apply(variables, X, None)
    net = X
    for index in range(4):
        at_index = jax.tree.map(lambda leaf, index=index: leaf[index], variables)
        net = slim.Model(layer).apply(at_index, net)
    np.testing.assert_allclose(result, net, rtol=1e-5)


def test_lifted_vmap_has_variables_for_each():
    mapped = nn.vmap(
        slim.Model,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
    )(two_layers)
    inputs = jnp.stack([X, X])
    variables = mapped.init(KEY, inputs)
    assert variables["params"]["one"]["weights"].shape == (2, 3, 4)
    second = jax.tree.map(lambda leaf: leaf[1], variables)
    np.testing.assert_allclose(
        mapped.apply(variables, inputs)[1], slim.Model(two_layers).apply(second, X), rtol=1e-5
    )


def test_nnx_bridge():
    bridged = nnx.bridge.ToNNX(slim.Model(two_layers), rngs=nnx.Rngs(0))
    bridged.lazy_init(X)
    params = nnx.to_pure_dict(nnx.state(bridged, nnx.Param))
    assert shapes(params)["one"] == {"weights": (3, 4), "biases": (4,)}
    statistics = nnx.to_pure_dict(nnx.state(bridged, nnx.BatchStat))
    expected = slim.Model(two_layers).apply({"params": params, "batch_stats": statistics}, X)
    np.testing.assert_allclose(bridged(X), expected, rtol=1e-5)


def test_model_inside_a_linen_module():
    variables = Wrapper().init(KEY, X)
    assert shapes(variables["params"]) == {
        "net": {
            "one": {"weights": (3, 4), "biases": (4,)},
            "two": {"weights": (4, 3), "biases": (3,)},
        },
        "stack": {"layer": {"weights": (2, 3, 3), "biases": (2, 3)}},
        "Dense_0": {"kernel": (3, 2), "bias": (2,)},
    }
    assert Wrapper().apply(variables, X).shape == (2, 2)
    assert list(slim.get_variables(variables, "net", "weights")) == [
        "net/one/weights",
        "net/two/weights",
    ]


def test_linen_layer_called_by_call_linen_lies_in_the_current_scope():
    def fn(x):
        with slim.variable_scope("head"):
            x = slim.call_linen(nn.Dense(4), x)
            x = slim.call_linen(nn.Dense(4), x)
            x = slim.call_linen(nn.Dense(2, name="logits"), x)
            x = slim.call_linen(nn.BatchNorm(use_running_average=False), x, scope="norm")
            scale = slim.model_variable("norm/scale2", shape=[], initializer=2.0)
        names.append(list(slim.get_model_variables()))
        trained.append(list(slim.get_trainable_variables()))
        return x * scale

    names, trained = [], []
    model = slim.Model(fn)
    variables = model.init(KEY, X)
    assert shapes(variables) == {
        "params": {
            "head": {
                "Dense": {"kernel": (3, 4), "bias": (4,)},
                "Dense_1": {"kernel": (4, 4), "bias": (4,)},
                "logits": {"kernel": (4, 2), "bias": (2,)},
                "norm": {"scale": (2,), "bias": (2,), "scale2": ()},
            }
        },
        "batch_stats": {"head": {"norm": {"mean": (2,), "var": (2,)}}},
    }
    result, updated = model.apply(variables, X, mutable=["batch_stats"])
    assert result.shape == (2, 2)
    assert np.any(updated["batch_stats"]["head"]["norm"]["mean"] != 0)
    assert names[0] == names[1]
    assert set(names[0]) == set(slim.get_variables(variables))
    assert set(trained[0]) == set(slim.get_variables(variables["params"]))


def test_linen_layer_that_is_called_twice_in_one_scope():
    def fn(x, reuse):
        x = slim.call_linen(nn.Dense(3), x, scope="shared")
        with slim.variable_scope(slim.get_variable_scope(), reuse=reuse):
            return slim.call_linen(nn.Dense(3), x, scope="shared")

    model = slim.Model(fn)
    message = (
        r"call_linen: a module was called in scope 'shared' at .*test_model_linen.py:\d+, and again"
    )
    with pytest.raises(slim.ScopeError, match=message):
        model.init(KEY, X, None)
    variables = model.init(KEY, X, True)
    kernel, bias = variables["params"]["shared"]["kernel"], variables["params"]["shared"]["bias"]
    twice = (X @ kernel + bias[None]) @ kernel + bias[None]
    np.testing.assert_allclose(model.apply(variables, X, True), twice, rtol=1e-5)


def test_linen_layer_that_is_reused_before_it_was_called():
    def fn(x):
        slim.call_linen(nn.Dense(3), x, scope="head")
        with slim.variable_scope(slim.get_variable_scope(), reuse=True):
            return slim.call_linen(nn.Dense(3), x, scope="heat")

    message = "no module was called in scope 'heat' yet.*reuse=True; did you mean 'head'"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY, X)


def test_linen_layer_called_directly_hangs_on_the_root():
    def fn(x):
        with slim.variable_scope("scope"):
            net = nn.Dense(2)(x)
        assert slim.get_variables() == {}
        return net

    with recorded() as runs:
        variables = slim.Model(fn).init(KEY, X)
    assert shapes(variables["params"]) == {"Dense_0": {"kernel": (3, 2), "bias": (2,)}}
    # Whoever asks what an optimizer may change has to hear of it all the same.
    assert {n for n, info in runs[0].variables.items() if info.trainable} == {
        "Dense_0/kernel",
        "Dense_0/bias",
    }


def partitioned(initializer):
    return nn.with_partitioning(initializer, ("in", "out"))


def test_initializer_that_names_the_axes_for_linen():
    def fn(x):
        x = x @ slim.model_variable(
            "w", shape=[3, 3], initializer=partitioned(nn.initializers.ones)
        )
        return slim.call_linen(nn.Dense(2, kernel_init=partitioned(nn.initializers.ones)), x)

    model = slim.Model(fn)
    variables = model.init(KEY, X)
    spec = nn.get_partition_spec(variables)["params"]
    assert spec["w"] == spec["Dense"]["kernel"] == PartitionSpec("in", "out")
    row_sums = np.asarray(X).sum(1)
    np.testing.assert_allclose(model.apply(variables, X)[:, 0], 3 * row_sums, rtol=1e-5)
    np.testing.assert_allclose(
        model.apply(nn.meta.unbox(variables), X)[:, 0], 3 * row_sums, rtol=1e-5
    )


# A Model within a Model -----------------------------------------------------------------------


def test_variables_and_regularizers_of_models_within_belong_to_the_model_around():
    seen = []

    def fn(x):
        net = nested(x)
        order.append(list(slim.get_variables()))
        seen.append((list(slim.get_variables("", "weights")), regularization_losses()))
        return net

    order = []
    model = slim.Model(fn)
    variables = model.init_with_output(KEY, X)[1]  # all in it are values
    model.apply(jax.tree.map(jnp.asarray, variables), X)  # a map sorts the tree
    made = [name.removesuffix("weights") for name in NESTED_WEIGHTS]
    assert order[0] == [path + leaf for path in made for leaf in ("weights", "biases", "mean")]
    assert order[0] == order[1]
    assert sorted(order[0]) == sorted(slim.get_variables(variables))
    held = slim.get_variables(variables)
    assert set(slim.get_variables(variables, "", "weights")) == set(NESTED_WEIGHTS)
    assert held["stack/layer/weights"].shape == (4, 3, 3)
    for names, losses in seen:
        assert names == NESTED_WEIGHTS
        assert list(losses) == [f"{name}/Regularizer" for name in NESTED_WEIGHTS]
        for name in NESTED_WEIGHTS:
            expected = np.sum(np.square(np.asarray(held[name])))  # 2.0 * sum(w^2) / 2
            np.testing.assert_allclose(losses[f"{name}/Regularizer"], expected, rtol=1e-5)


def test_regularization_losses_are_handed_out_once_each():
    model = slim.Model(nested)
    variables = model.init(KEY, X)
    _, state = model.apply(variables, X, mutable=["regularization_losses"])
    losses = state["regularization_losses"]
    assert list(losses) == [f"{name}/Regularizer" for name in NESTED_WEIGHTS]


def test_losses_of_a_model_within_count():
    def part(x):
        slim.losses.add_loss(jnp.float32(2.0))
        return x

    def fn(x):
        x = slim.call_linen(slim.Model(part), x, scope="a")
        x = slim.Model(part)(x)
        slim.losses.add_loss(jnp.float32(1.0))
        return slim.losses.get_total_loss(), collected("losses")

    (total, losses), state = slim.Model(fn).apply({}, X, mutable=["losses"])
    assert float(total) == 5.0
    assert losses == {"a/loss/value": 2, "Model_1/loss/value": 2, "loss/value": 1}
    assert state == {"losses": losses}


def test_end_points_of_a_lifted_model_within_come_out_below_its_scope():
    def part(x):
        collect("end_points", "layer", x)
        return layer(x)

    def fn(x):
        return slim.call_linen(nn.remat(slim.Model)(part), x, scope="block")

    model = slim.Model(fn)
    _, state = model.apply(model.init(KEY, X), X, mutable=["end_points"])
    np.testing.assert_array_equal(state["end_points"]["block"]["layer"], X)


def test_losses_of_a_lifted_model_within_cannot_leave_it():
    def part(x):
        slim.losses.add_loss(jnp.sum(x))
        return dense(x, 3)

    def fn(x):
        slim.call_linen(nn.remat(slim.Model)(part), x, scope="block")
        return slim.losses.get_total_loss()

    message = (
        "loss 'loss/value' was added inside a Model at 'block' that runs under a lifted "
        r"transformation .*; return it from that Model and add it outside"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY, X)


class Teacher(nn.Module):
    @nn.compact
    def __call__(self, x):
        return slim.Model(lambda x: (slim.losses.add_loss(jnp.sum(x)), layer(x))[1])(x)


def test_model_that_a_linen_module_applies_stays_on_its_own():
    # Its path looks as if it were a part of the model around, but its variables are not there.
    variables = Teacher().init(KEY, X)

    def fn(x):
        target = Teacher().apply(variables, x)
        assert slim.get_variables() == {}
        assert regularization_losses() == {}
        assert collected("losses") == {}
        return target

    with recorded() as runs:
        assert slim.Model(fn).apply({}, X).shape == (2, 3)
    assert [run.variables for run in runs] == [{}]
