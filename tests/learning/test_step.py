"""The step: loss, gradients, update, errors."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_training import BATCH, hand_gradients, linear, linear_loss, noisy_loss, start

import jslim as slim
from jslim import learning, optimizers
from jslim.learning import compiling


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
            TypeError, match=r"^\w+: \w+ must be a dict \{name: gradient\}, got list"
        ):
            call([(jnp.ones(1), jnp.ones(1))])


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


@pytest.mark.parametrize("where", ["nowhere", "loss", "gradients"])
def test_a_train_op_knows_whether_summaries_are_recorded(where):
    def loss_fn(batch):
        loss = linear_loss(batch)
        if where == "loss":
            slim.summary.scalar("loss", loss)
        return loss

    options = {"summarize_gradients": where == "gradients"}
    train_op = learning.create_train_op(loss_fn, optax.sgd(0.1), **options)
    assert not train_op.records_summaries
    state = start(train_op)
    assert train_op.records_summaries == (where == "loss")
    train_op(state, BATCH)
    assert train_op.records_summaries == (where != "nowhere")


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
    with pytest.raises(ValueError, match=r"moving_average_decay must be in \(0, 1\)"):
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


@pytest.mark.parametrize(
    ("platform", "flags", "options"),
    [
        ("cpu", "", {"xla_backend_optimization_level": 1}),
        ("cpu", "--xla_backend_optimization_level=0", None),
        ("gpu", "", None),
    ],
)
def test_first_values_are_compiled_at_the_level_that_is_given(
    monkeypatch, platform, flags, options
):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert compiling.options_of_one_run(platform) == options
