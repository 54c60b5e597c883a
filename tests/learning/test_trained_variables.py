"""The variables that a step trains, and their moving averages."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_training import BATCH, linear, linear_loss, start

import jslim as slim
from jslim import learning, optimizers


@pytest.mark.parametrize("chosen", [["linear/weights"], ["linear/w"], {"linear/weights": None}])
def test_variables_to_train_leaves_the_others_alone_and_without_optimizer_memory(chosen):
    train_op = learning.create_train_op(
        linear_loss, optimizers.adam(0.1), variables_to_train=chosen
    )
    state = start(train_op)
    w, b = linear(state)
    shapes = {leaf.shape for leaf in jax.tree.leaves(state.opt_state)}
    assert shapes == {(), (3, 2)}
    state, _ = train_op(state, BATCH)
    assert not np.array_equal(linear(state)[0], w)
    np.testing.assert_array_equal(linear(state)[1], b)


def test_a_variable_that_is_not_trainable_stays():
    def loss(batch):
        w = slim.model_variable("w", [3, 1], trainable=False)
        v = slim.model_variable("v", [1])
        return jnp.mean(batch["x"] @ w * v[None])

    train_op = learning.create_train_op(loss, optax.sgd(0.1))
    state = start(train_op)
    w = np.asarray(state.params["w"])
    state, _ = train_op(state, BATCH)
    np.testing.assert_array_equal(state.params["w"], w)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["nothing"], "variables_to_train: 'nothing' matches none of the 2 variables"),
        ([], "nothing is left to train"),
    ],
)
def test_variables_to_train_that_name_nothing_are_refused(chosen, message):
    train_op = learning.create_train_op(linear_loss, optax.sgd(0.1), variables_to_train=chosen)
    with pytest.raises(slim.ScopeError, match=message):
        start(train_op)


def test_variables_to_train_takes_what_get_variables_gives_with_its_statistics():
    def loss(batch):
        slim.model_variable("mean", [3], trainable=False, collections=["batch_stats"])
        return linear_loss(batch)

    variables = slim.Model(loss).init(jax.random.key(0), BATCH)
    chosen = slim.get_variables(variables)
    assert "mean" in chosen
    train_op = learning.create_train_op(loss, optimizers.sgd(0.1), variables_to_train=chosen)
    state = start(train_op)
    w, _ = linear(state)
    state, _ = train_op(state, BATCH)
    assert not np.array_equal(linear(state)[0], w)


def test_variables_to_train_refuses_a_frozen_variable():
    def loss(batch):
        slim.model_variable("w", [1], trainable=False)
        return jnp.sum(slim.model_variable("v", [1]))

    train_op = learning.create_train_op(loss, optax.sgd(0.1), variables_to_train=["w"])
    with pytest.raises(slim.ScopeError, match="'w' was made with trainable=False"):
        start(train_op)


def test_moving_averages_follow_tf_and_hold_statistics_too():
    def loss(batch):
        with slim.variable_scope("linear"):
            m = slim.model_variable(
                "mean",
                [3],
                trainable=False,
                collections=["batch_stats"],
                initializer=slim.zeros_initializer(),
            )
            slim.assign("mean", m + 1.0)
        return linear_loss(batch)

    train_op = learning.create_train_op(loss, optax.sgd(0.1), moving_average_decay=0.5)
    state = start(train_op)
    average = linear(state)[0]
    mean_average = np.zeros(3)
    for step in range(12):
        state, _ = train_op(state, BATCH)
        decay = min(0.5, (1 + step) / (10 + step))
        average = average - (1 - decay) * (average - linear(state)[0])
        mean_average = mean_average - (1 - decay) * (mean_average - (step + 1.0))
    averages = state.ema_params
    np.testing.assert_allclose(averages["params"]["linear"]["weights"], average, rtol=1e-5)
    np.testing.assert_allclose(averages["batch_stats"]["linear"]["mean"], mean_average, rtol=1e-5)
    np.testing.assert_array_equal(state.batch_stats["linear"]["mean"], np.full(3, 12.0))


def test_init_makes_the_statistics_but_does_not_move_them():
    def loss(batch):
        m = slim.model_variable(
            "mean",
            [3],
            trainable=False,
            collections=["batch_stats"],
            initializer=slim.zeros_initializer(),
        )
        w = slim.model_variable("w", [3])
        if not slim.is_initializing():
            slim.assign("mean", m + batch["x"].mean(0))
        return jnp.sum(w)

    train_op = learning.create_train_op(loss, optax.sgd(0.1))
    state = start(train_op)
    np.testing.assert_array_equal(state.batch_stats["mean"], np.zeros(3))
    state, _ = train_op(state, BATCH)
    np.testing.assert_allclose(state.batch_stats["mean"], BATCH["x"].mean(0), rtol=1e-6)
