"""What a run records and collects, assigned values, random keys, and making variables."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model_functions import (
    KEY,
    NESTED_WEIGHTS,
    Wrapper,
    X,
    dense,
    nested,
    shapes,
    two_layers,
)

import jslim as slim
from jslim.core.access import collect, collected, make_rng, regularization_losses
from jslim.core.model import recorded
from jslim.core.names import BATCH_STATS, GLOBAL, MODEL, PARAMS, TRAINABLE
from jslim.core.scopes import unique_op_name

# What a run records and collects --------------------------------------------------------------


def test_recorded_gives_the_facts_of_each_variable():
    with recorded() as runs:
        slim.Model(two_layers).init(KEY, X)
    (run,) = runs
    assert list(run.variables) == [
        *("one/weights", "one/biases", "one/mean"),
        *("two/weights", "two/biases", "two/mean"),
    ]
    info = run.variables["one/mean"]
    assert (info.name, info.shape, info.dtype) == ("one/mean", (4,), jnp.float32)
    assert (info.collection, info.trainable) == ("batch_stats", False)
    assert info.tags == {"variables", "model_variables", "batch_stats"}
    assert re.fullmatch(r".*/model_functions.py:\d+", info.site)
    assert run.variables["one/weights"].trainable


def test_recorded_names_are_those_of_the_whole_tree():
    with recorded() as runs:
        variables = Wrapper().init(KEY, X)
    names = {name for run in runs for name in run.variables}
    assert names == {n for n in slim.get_variables(variables) if not n.startswith("Dense_0")}
    assert all(info.name == name for run in runs for name, info in run.variables.items())


def test_recorded_knows_a_part_once():
    with recorded() as runs:
        slim.Model(nested).init(KEY, X)
    (run,) = runs
    shapes_by_name = {name: info.shape for name, info in run.variables.items()}
    assert [name for name in shapes_by_name if name.endswith("weights")] == NESTED_WEIGHTS
    assert shapes_by_name["stack/layer/weights"] == (4, 3, 3)


def test_nothing_is_recorded_outside():
    slim.Model(two_layers).init(KEY, X)
    with recorded() as runs:
        pass
    assert runs == []


def test_collections_come_out_where_they_are_asked_for():
    def fn(x):
        with slim.variable_scope("net"):
            net = dense(x, 2, regularizer=slim.l2_regularizer(1.0))
            collect("end_points", "net/fc", net)
            slim.losses.add_loss(jnp.sum(net), "losses")
        return net

    model = slim.Model(fn)
    variables = model.init(KEY, X)
    assert set(variables) == {"params", "batch_stats"}
    asked = ["end_points", "losses", "regularization_losses"]
    net, state = model.apply(variables, X, mutable=asked)
    np.testing.assert_array_equal(state["end_points"]["net/fc"], net)
    np.testing.assert_allclose(state["losses"]["net/loss/value"], np.sum(np.asarray(net)), 1e-5)
    weights = np.asarray(variables["params"]["net"]["fc"]["weights"])
    np.testing.assert_allclose(
        state["regularization_losses"]["net/fc/weights/Regularizer"],
        np.sum(weights**2) / 2,
        rtol=1e-5,
    )
    assert sorted(state) == sorted(asked)


def test_variables_come_out_under_the_names_of_their_collections():
    def fn():
        slim.variable("a", shape=[2], collections=["mine", "yours"])
        slim.model_variable("b", shape=[3], collections=["mine"])
        slim.model_variable("c", shape=[4])

    model = slim.Model(fn)
    variables = model.init(KEY)
    _, state = model.apply(variables, mutable=["mine", "yours"])
    assert shapes(state) == {"mine": {"a": (2,), "b": (3,)}, "yours": {"a": (2,)}}
    np.testing.assert_array_equal(state["mine"]["a"], variables["params"]["a"])


def test_everything_mutable_gives_no_second_copy_of_the_variables():
    model = slim.Model(two_layers)
    _, state = model.apply(model.init(KEY, X), X, mutable=True)
    assert set(state) == {"params", "batch_stats"}


def test_collected_value_is_never_lost_to_another_of_its_name():
    def fn():
        for value in (1.0, 2.0):
            with slim.variable_scope("net", reuse=slim.AUTO_REUSE):
                collect("losses", unique_op_name("loss"), value)
        collect("end_points", "a", 1.0)
        collect("end_points", "a", 2.0, replaces=True)
        return collected("losses"), collected("end_points"), collected("none")

    losses, end_points, nothing = slim.Model(fn).apply({})
    assert losses == {"net/loss": 1.0, "net_1/loss": 2.0}
    assert end_points == {"a": 2.0}
    assert nothing == {}


def test_collecting_outside_a_model_function():
    for call in (lambda: collect("losses", "a", 1.0), lambda: collected("losses")):
        with pytest.raises(slim.ScopeError, match="collection 'losses' only works inside a model"):
            call()
    with pytest.raises(slim.ScopeError, match="regularization_losses only works inside"):
        regularization_losses()


def test_regularizer_counts_once_however_often_the_variable_is_used():
    def fn(x):
        regularizer = slim.l2_regularizer(1.0)
        x = dense(x, 3, scope="shared", regularizer=regularizer)
        for _ in range(2):
            x = dense(x, 3, scope="shared", reuse=True, regularizer=regularizer)
        return regularization_losses()

    variables = slim.Model(fn).init(KEY, X)
    losses = slim.Model(fn).apply(variables, X)
    weights = np.asarray(variables["params"]["shared"]["weights"])
    assert list(losses) == ["shared/weights/Regularizer"]
    np.testing.assert_allclose(losses["shared/weights/Regularizer"], np.sum(weights**2) / 2, 1e-5)


def test_regularizer_that_gives_none_adds_nothing():
    def fn(x):
        dense(x, 3, regularizer=slim.l2_regularizer(0.0))
        return regularization_losses()

    variables = slim.Model(fn).init(KEY, X)
    assert slim.Model(fn).apply(variables, X) == {}


# assign ---------------------------------------------------------------------------------------


def counter():
    count = slim.variable("count", shape=[], dtype=jnp.int32, initializer=5, trainable=False)
    slim.assign("count", count + 1)
    with slim.variable_scope(slim.get_variable_scope(), reuse=True):
        return count, slim.variable("count", shape=[], dtype=jnp.int32, trainable=False)


def test_assigned_value_is_read_from_then_on_and_comes_back():
    model = slim.Model(counter)
    variables = model.init(KEY)
    (before, after), updated = model.apply(variables, mutable=["batch_stats"])
    assert (int(before), int(after)) == (5, 6)
    assert int(updated["batch_stats"]["count"]) == 6
    assert int(variables["batch_stats"]["count"]) == 5


def test_init_returns_initial_values_though_the_run_reads_what_it_assigned():
    (before, after), variables = slim.Model(counter).init_with_output(KEY)
    assert (int(before), int(after)) == (5, 6)
    assert int(variables["batch_stats"]["count"]) == 5


def test_assign_casts_to_the_type_of_the_variable():
    def fn():
        slim.variable("v", shape=[2], dtype=jnp.bfloat16, trainable=False)
        slim.assign("v", jnp.ones(2))

    model = slim.Model(fn)
    _, updated = model.apply(model.init(KEY), mutable=["params"])
    assert updated["params"]["v"].dtype == jnp.bfloat16


def test_assign_where_the_collection_is_not_mutable():
    model = slim.Model(counter)
    message = (
        r"variable 'count' is updated, but its collection 'batch_stats' is not mutable; call "
        r"apply\(..., mutable=\['batch_stats'\]\) and keep what it returns, or pass is_training"
    )
    with pytest.raises(slim.ScopeError, match=message):
        model.apply(model.init(KEY))


def test_assign_to_a_trained_variable():
    def fn():
        slim.variable("w", shape=[2])
        slim.assign("w", jnp.zeros(2))

    model = slim.Model(fn)
    message = "'params' is not mutable; create it with trainable=False, collections="
    with pytest.raises(slim.ScopeError, match=message):
        model.apply(model.init(KEY))


def test_assign_to_what_is_not_there():
    def fn():
        with slim.variable_scope("net"):
            slim.variable("mean", shape=[2])
            slim.assign("maen", jnp.zeros(2))

    message = "assign: there is no variable 'net/maen'; did you mean 'net/mean'.*create it first"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY)


def test_assign_of_another_shape():
    def fn():
        slim.variable("v", shape=[2])
        slim.assign("v", jnp.zeros(3))

    message = r"assign: variable 'v' has shape \(2,\), but the new value has shape \(3,\)"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY)


# make_rng -------------------------------------------------------------------------------------


def test_keys_differ_by_call_and_by_scope_and_repeat_by_run():
    def fn():
        keys = [make_rng("dropout"), make_rng("dropout")]
        for scope in ("a", "b"):
            with slim.variable_scope(scope):
                keys.append(make_rng("dropout"))
        return jax.random.key_data(jnp.stack(keys))

    first = slim.Model(fn).apply({}, rngs={"dropout": KEY})
    assert len(np.unique(first, axis=0)) == 4
    np.testing.assert_array_equal(first, slim.Model(fn).apply({}, rngs={"dropout": KEY}))


def test_missing_random_stream():
    def fn():
        with slim.variable_scope("net"):
            make_rng("dropout", "dropout")

    message = (
        r"dropout at 'net' needs randomness; call apply\(..., rngs=\{'dropout': key\}\), or pass "
        "is_training=False"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).apply({})


# Variables ------------------------------------------------------------------------------------


def test_initializer_that_gives_another_shape():
    def fn():
        slim.variable("w", (2, 3), initializer=lambda key, shape, dtype: jnp.ones(5))

    message = r"variable 'w': its initializer .*lambda.* has shape \(5,\), but shape \(2, 3\) was"
    with pytest.raises(slim.ScopeError, match=message):
        slim.Model(fn).init(KEY)


def test_variable_goes_where_it_is_placed():
    device = jax.devices()[3]
    sharding = jax.sharding.SingleDeviceSharding(device)

    def fn():
        return slim.variable("w", (2,), initializer=slim.ones_initializer(), device=sharding)

    variables = slim.Model(fn).init(KEY)
    assert variables["params"]["w"].devices() == {device}


def test_constants_are_those_that_flax_and_tensorflow_use():
    assert (PARAMS, BATCH_STATS) == ("params", "batch_stats")
    assert (GLOBAL, MODEL, TRAINABLE) == (
        "variables",
        "model_variables",
        "trainable_variables",
    )
