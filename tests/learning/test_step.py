import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jslim as slim
from jslim import learning, optimizers

RNG = np.random.default_rng(0)
BATCH = {
    "x": RNG.normal(size=(16, 3)).astype(np.float32),
    "y": RNG.normal(size=(16, 2)).astype(np.float32),
}


def linear_loss(batch):
    """Mean squared error of y = x w + b: the gradients are easy to write down."""
    with slim.variable_scope("linear"):
        w = slim.model_variable("weights", [3, 2])
        b = slim.model_variable("biases", [2], initializer=slim.zeros_initializer())
    error = batch["x"] @ w + b[None] - batch["y"]
    return jnp.mean(error**2)


def hand_gradients(w, b, batch=BATCH):
    error = batch["x"] @ w + b - batch["y"]
    scale = 2 / error.size
    return scale * batch["x"].T @ error, scale * error.sum(0)


def start(train_op, batch=BATCH):
    return train_op.init(jax.random.key(1), batch)


def linear(state):
    leaves = state.params["linear"]
    return np.asarray(leaves["weights"]), np.asarray(leaves["biases"])


def test_step_returns_the_loss_before_the_update_and_applies_sgd():
    train_op = learning.create_train_op(linear_loss, optax.sgd(0.1))
    state = start(train_op)
    w, b = linear(state)
    loss = np.mean((BATCH["x"] @ w + b - BATCH["y"]) ** 2)
    gw, gb = hand_gradients(w, b)
    state, outputs = train_op(state, BATCH)
    np.testing.assert_allclose(outputs["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(linear(state)[0], w - 0.1 * gw, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(linear(state)[1], b - 0.1 * gb, rtol=1e-5, atol=1e-7)
    assert int(state.step) == 1


def test_step_donates_the_state():
    train_op = learning.create_train_op(linear_loss, optax.sgd(0.1))
    before = start(train_op)
    train_op(before, BATCH)
    assert before.params["linear"]["weights"].is_deleted()


def test_clip_gradient_norm_clips_each_variable_by_itself():
    train_op = learning.create_train_op(linear_loss, optax.sgd(1.0), clip_gradient_norm=0.05)
    state = start(train_op)
    w, b = linear(state)
    gw, gb = hand_gradients(w, b)
    assert np.linalg.norm(gw) > 0.05
    state, _ = train_op(state, BATCH)
    np.testing.assert_allclose(
        linear(state)[0], w - gw * 0.05 / np.linalg.norm(gw), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(
        linear(state)[1], b - gb * min(1, 0.05 / np.linalg.norm(gb)), rtol=1e-5, atol=1e-7
    )


def test_gradient_multipliers_come_before_clipping():
    train_op = learning.create_train_op(
        linear_loss,
        optax.sgd(1.0),
        clip_gradient_norm=0.5,
        gradient_multipliers={"linear/weights": 100.0, "linear/bia": 0.5},
    )
    state = start(train_op)
    w, b = linear(state)
    gw, gb = hand_gradients(w, b)
    state, _ = train_op(state, BATCH)
    np.testing.assert_allclose(linear(state)[0], w - 0.5 * gw / np.linalg.norm(gw), rtol=1e-5)
    clipped = 0.5 * gb * min(1, 0.5 / np.linalg.norm(0.5 * gb))
    np.testing.assert_allclose(linear(state)[1], b - clipped, rtol=1e-5, atol=1e-7)


def test_gradient_multipliers_with_an_unknown_name_say_which_are_near():
    train_op = learning.create_train_op(
        linear_loss, optax.sgd(1.0), gradient_multipliers={"weights": 2.0}
    )
    with pytest.raises(slim.ScopeError, match=r"gradient_multipliers: 'weights' matches none.*lin"):
        train_op(start(train_op), BATCH)


@pytest.mark.parametrize("multipliers", [{}, [("linear", 1.0)]])
def test_gradient_multipliers_must_be_a_dict(multipliers):
    with pytest.raises(ValueError, match="gradient_multipliers must be a non-empty dict"):
        learning.multiply_gradients({"a": jnp.ones(1)}, multipliers)


def test_functions_of_gradients_have_tf_slims_argument_names():
    gradients = {"a": jnp.array([3.0, 4.0]), "b": jnp.ones(1)}
    for module in (learning, slim.training):
        doubled = module.multiply_gradients(
            grads_and_vars=gradients, gradient_multipliers={"a": 2.0}
        )
        np.testing.assert_array_equal(doubled["a"], [6.0, 8.0])
        clipped = module.clip_gradient_norms(gradients_to_variables=gradients, max_norm=1.0)
        np.testing.assert_allclose(clipped["a"], [0.6, 0.8], rtol=1e-6)
        assert len(module.add_gradients_summaries(grads_and_vars=gradients)) == 4
    with pytest.raises(ValueError, match=r"are two names of one argument, and both were given; gi"):
        learning.multiply_gradients(gradients, {"a": 2.0}, multipliers={"a": 2.0})


def test_gradients_as_tf_slims_pairs_are_refused():
    for call in (
        lambda pairs: learning.multiply_gradients(pairs, {"a": 2.0}),
        lambda pairs: learning.clip_gradient_norms(pairs, 1.0),
        learning.add_gradients_summaries,
    ):
        with pytest.raises(
            TypeError, match=r"^\w+: \w+ must be a dict \{name: gradient\}, got a list"
        ):
            call([(jnp.ones(1), jnp.ones(1))])


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


def test_outputs_beside_the_loss_come_back_from_the_step():
    def loss(batch):
        return linear_loss(batch), {"examples": jnp.float32(batch["x"].shape[0])}

    train_op = learning.create_train_op(loss, optax.sgd(0.1))
    _, outputs = train_op(start(train_op), BATCH)
    assert float(outputs["examples"]) == 16


@pytest.mark.parametrize(
    ("bad", "given"),
    [
        (lambda batch: slim.model_variable("w", [2]), r"it gave shape \(2,\)"),
        (lambda batch: (slim.model_variable("w", []), 3), "it gave tuple"),
    ],
)
def test_a_loss_that_is_no_scalar_is_refused(bad, given):
    train_op = learning.create_train_op(bad, optax.sgd(0.1))
    state = start(train_op)
    with pytest.raises(slim.ScopeError, match=f"must end in a scalar.*{given}"):
        train_op(state, BATCH)


def test_the_loss_is_traced_under_the_scope_around_create_train_op():
    @slim.add_arg_scope
    def scale(x, factor=1.0):
        return x * factor

    def loss(batch):
        return scale(linear_loss(batch))

    with slim.arg_scope([scale], factor=3.0):
        train_op = learning.create_train_op(loss, optax.sgd(0.0))
    state = start(train_op)
    expected = 3 * np.mean((BATCH["x"] @ linear(state)[0] - BATCH["y"]) ** 2)
    state, outputs = train_op(state, BATCH)
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-6)
    with slim.arg_scope([scale], factor=7.0):
        state, outputs = train_op(state, BATCH)
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-6)


def test_the_global_step_is_that_of_the_state():
    def loss(batch):
        step = slim.get_or_create_global_step()
        return jnp.sum(slim.model_variable("w", [1])), {"step": step}

    train_op = learning.create_train_op(loss, optax.sgd(0.1))
    state = start(train_op)
    seen = []
    for _ in range(3):
        state, outputs = train_op(state, BATCH)
        seen.append(int(outputs["step"]))
    assert seen == [0, 1, 2]


def noisy_loss(batch):
    """Batch statistics and dropout: what would differ if devices disagreed."""
    keep = jax.random.bernoulli(slim.make_rng("dropout", "noise"), 0.5, batch["x"].shape)
    mean = slim.model_variable(
        "mean",
        [3],
        trainable=False,
        collections=["batch_stats"],
        initializer=slim.zeros_initializer(),
    )
    slim.assign("mean", 0.9 * mean + 0.1 * batch["x"].mean(0))
    return linear_loss({"x": batch["x"] * keep.astype(jnp.float32), "y": batch["y"]})


def test_eight_devices_give_the_parameters_of_one_after_twenty_steps():
    states = []
    for count in (1, 8):
        mesh = learning.data_mesh(count)
        train_op = learning.create_train_op(noisy_loss, optimizers.adam(0.05), mesh=mesh)
        state = start(train_op)
        for _ in range(20):
            state, _ = train_op(state, BATCH)
        assert len(state.params["linear"]["weights"].sharding.device_set) == count
        states.append(state)
    for one, eight in zip(*(jax.tree.leaves(s.variables) for s in states), strict=True):
        np.testing.assert_allclose(one, eight, rtol=2e-6, atol=1e-7)


@pytest.mark.long
@pytest.mark.parametrize("mapping", ["pmap", "shard_map", "unchecked shard_map"])
def test_the_pure_step_under_a_map_gives_the_parameters_of_jit(mapping):
    train_op = learning.create_train_op(linear_loss, optimizers.adam(0.05))
    state, mapped = start(train_op), start(train_op)
    mesh = learning.data_mesh(8)
    mapped = jax.device_put(mapped, NamedSharding(mesh, PartitionSpec()))

    def step(state, batch):
        return train_op.step(state, batch, axis_name="data")

    if mapping == "pmap":
        parts = jax.tree.map(lambda x: x.reshape(8, 2, *x.shape[1:]), BATCH)
        on_each = NamedSharding(mesh, PartitionSpec("data"))
        mapped = jax.tree.map(lambda x: jax.device_put(jnp.stack([x] * 8), on_each), mapped)
        run = jax.pmap(step, axis_name="data")
    else:
        parts = BATCH
        whole = PartitionSpec()
        run = jax.jit(
            jax.shard_map(
                step,
                mesh=mesh,
                in_specs=(whole, PartitionSpec("data")),
                out_specs=(whole, whole),
                check_vma=mapping == "shard_map",
            )
        )
    for _ in range(20):
        state, outputs = train_op(state, BATCH)
        # One at a time: eight devices in one CPU wait for each other.
        mapped, mapped_outputs = jax.block_until_ready(run(mapped, parts))
    if mapping == "pmap":
        found = jax.device_get((mapped.params, mapped_outputs))
        params, mapped_outputs = jax.tree.map(lambda x: x[0], found)
        mapped = mapped.replace(params=params)
    np.testing.assert_allclose(mapped_outputs["loss"], outputs["loss"], rtol=1e-5)
    for one, other in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(mapped.params), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_batch_that_does_not_divide_is_refused_by_name():
    mesh = learning.data_mesh(8)
    train_op = learning.create_train_op(linear_loss, optax.sgd(0.1), mesh=mesh)
    state = start(train_op)
    with pytest.raises(ValueError, match=r"batch\['x'\]: 12 examples cannot be divided among 8"):
        train_op(state, jax.tree.map(lambda x: x[:12], BATCH))


def test_data_mesh_refuses_more_devices_than_there_are():
    with pytest.raises(ValueError, match="9 devices were asked for, but there are 8"):
        learning.data_mesh(9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((jnp.zeros(()), optax.sgd(0.1)), TypeError, "total_loss must be a function of a batch"),
        ((linear_loss, 0.1), TypeError, "optimizer must be an optax GradientTransformation"),
    ],
)
def test_create_train_op_refuses_what_is_neither_function_nor_optimizer(arguments, error, message):
    with pytest.raises(error, match=message):
        learning.create_train_op(*arguments)


def test_create_train_op_refuses_numbers_out_of_range():
    with pytest.raises(ValueError, match="clip_gradient_norm must be at least 0"):
        learning.create_train_op(linear_loss, optax.sgd(0.1), clip_gradient_norm=-1.0)
    with pytest.raises(ValueError, match="moving_average_decay must lie between 0 and 1"):
        learning.create_train_op(linear_loss, optax.sgd(0.1), moving_average_decay=1.0)


def test_a_step_before_init_says_so():
    train_op = learning.create_train_op(linear_loss, optax.sgd(0.1))
    state = start(learning.create_train_op(linear_loss, optax.sgd(0.1)))
    with pytest.raises(slim.ScopeError, match=r"call train_op.init\(rng, batch\)"):
        train_op(state, BATCH)


def test_init_takes_a_seed_for_a_key():
    train_op = learning.create_train_op(linear_loss, optimizers.sgd(0.1))
    by_seed, by_key = train_op.init(1, BATCH), start(train_op)
    np.testing.assert_array_equal(linear(by_seed)[0], linear(by_key)[0])


def test_init_shapes_are_those_of_init_and_name_the_devices():
    train_op = learning.create_train_op(
        linear_loss, optimizers.adam(0.1), mesh=learning.data_mesh(8)
    )
    shapes = train_op.init_shapes(jax.random.key(0), BATCH)
    state = start(train_op)
    assert jax.tree.structure(shapes) == jax.tree.structure(state)
    for shape, leaf in zip(jax.tree.leaves(shapes), jax.tree.leaves(state), strict=True):
        assert (shape.shape, shape.dtype, shape.sharding) == (leaf.shape, leaf.dtype, leaf.sharding)


def test_two_train_ops_in_one_process_do_not_meet():
    one = learning.create_train_op(linear_loss, optax.sgd(0.1))
    other = learning.create_train_op(noisy_loss, optimizers.adam(0.1))
    state, other_state = start(one), start(other)
    alone = start(one)
    for _ in range(3):
        state, _ = one(state, BATCH)
        other_state, _ = other(other_state, BATCH)
    for _ in range(3):
        alone, _ = one(alone, BATCH)
    np.testing.assert_array_equal(linear(state)[0], linear(alone)[0])
