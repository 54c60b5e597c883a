"""`optimize_loss`, adaptive clipping and `slim.training`: TF-Slim's traces, properties, errors."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import learning, training
from jslim.learning import AdaptiveClippingState
from jslim.learning.gradients import check_transformed

GOLDEN = dict(np.load(pathlib.Path(__file__).parents[1] / "golden" / "optimize_loss.npz"))
CASES = json.loads(str(GOLDEN["index"]))
ONE = np.ones(1)
BATCHES = [{"x": x, "y": y} for x, y in zip(GOLDEN["x"], GOLDEN["y"], strict=True)]


def loss_fn(batch):
    with slim.variable_scope("linear"):
        w = slim.model_variable("weights", [3, 2], initializer=GOLDEN["w"])
        b = slim.model_variable("biases", [2], initializer=GOLDEN["b"])
    return jnp.mean(jnp.square(batch["x"] @ w + b[None] - batch["y"]))


def staircase(factor, rate, step):
    return rate * factor ** jnp.floor(step.astype(jnp.float32) / 2)


def make(case):
    arguments = dict(case["arguments"])
    if "decay" in arguments:
        decay_fn = functools.partial(staircase, arguments.pop("decay"))
        arguments["learning_rate_decay_fn"] = decay_fn
    if "adaptive" in arguments:
        arguments["clip_gradients"] = slim.adaptive_clipping_fn(**arguments.pop("adaptive"))
    return slim.optimize_loss(loss_fn, None, **arguments)


def adaptive_states(state):
    is_one = lambda node: isinstance(node, AdaptiveClippingState)  # noqa: E731
    return [node for node in jax.tree.leaves(state.opt_state, is_leaf=is_one) if is_one(node)]


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_every_step_is_that_of_tf_slim(name):
    train_op = make(CASES[name])
    state = train_op.init(jax.random.key(0), BATCHES[0])
    check = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)
    for index, batch in enumerate(BATCHES):
        state, outputs, summaries = train_op.summarize(state, batch)
        check(outputs["loss"], GOLDEN[f"{name}/loss"][index])
        check(state.params["linear"]["weights"], GOLDEN[f"{name}/w"][index])
        check(state.params["linear"]["biases"], GOLDEN[f"{name}/b"][index])
        for clipping in adaptive_states(state):
            check(clipping.mean, GOLDEN[f"{name}/mean"][index])
            check(clipping.sq_mean, GOLDEN[f"{name}/sq_mean"][index])
        tags = sorted(key.partition("/")[2] for key in summaries)
        assert tags == CASES[name]["tags"]
        for key, value in summaries.items():
            kind, _, tag = key.partition("/")
            if kind == "scalar":
                check(value, GOLDEN[f"{name}/summary/{tag}"][index], err_msg=tag)
    assert int(state.step) == len(BATCHES)
    assert len(adaptive_states(state)) == ("adaptive" in name)


def test_traces_cover_every_name_and_summary():
    assert set(slim.OPTIMIZER_CLS_NAMES) <= set(CASES)
    assert CASES["every_summary"]["arguments"]["summaries"] == slim.OPTIMIZER_SUMMARIES


def run(train_op, steps=3):
    state = train_op.init(jax.random.key(0), BATCHES[0])
    for batch in BATCHES[:steps]:
        state, _ = train_op(state, batch)
    return jax.device_get(state.params["linear"])


def assert_same(first, second):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), first, second)


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 0.1, "optimizer": slim.optimizers.adam},
        {"learning_rate": 0.1, "optimizer": lambda rate: slim.optimizers.adam(rate)},
        {"learning_rate": None, "optimizer": lambda: slim.optimizers.adam(0.1)},
        {"learning_rate": None, "optimizer": slim.optimizers.adam(0.1)},
        {"learning_rate": np.float32(0.1), "optimizer": "Adam"},
        {"learning_rate": jnp.float32(0.1), "optimizer": "Adam"},
        {"learning_rate": lambda step: 0.1, "optimizer": "Adam"},
        {"learning_rate": 0.1, "optimizer": "Adam", "gradient_multipliers": {"linear": 1}},
        {"learning_rate": 0.1, "optimizer": "Adam", "clip_gradients": lambda g: g},
        {"learning_rate": 0.1, "optimizer": "Adam", "clip_gradients": optax.identity()},
        {"learning_rate": 0.1, "optimizer": "Adam", "summaries": []},
    ],
)
def test_an_optimizer_can_be_given_in_many_ways(arguments):
    expected = run(slim.optimize_loss(loss_fn, None, 0.1, "Adam"))
    assert_same(run(slim.optimize_loss(loss_fn, **arguments)), expected)


def test_a_function_that_clips_sees_names():
    seen = []

    def clip(gradients):
        seen.append(sorted(gradients))
        return {name: 0 * gradient for name, gradient in gradients.items()}

    end = run(slim.optimize_loss(loss_fn, None, 0.1, "SGD", clip_gradients=clip))
    assert seen[0] == ["linear/biases", "linear/weights"]
    np.testing.assert_array_equal(end["weights"], GOLDEN["w"])


def test_noise_is_a_truncated_normal_that_differs_by_step_seed_and_variable():
    def flat(batch):
        a = slim.model_variable("a", [100, 100], initializer=0.0)
        b = slim.model_variable("b", [100, 100], initializer=0.0)
        return jnp.sum(a + b) * 0.0 * batch[0]

    def updates(seed):
        train_op = slim.optimize_loss(flat, None, 1.0, "SGD", 0.5, seed=seed)
        state = train_op.init(0, jnp.ones(1))
        before, found = {"a": 0.0, "b": 0.0}, []
        for _ in range(2):
            state, _ = train_op(state, jnp.ones(1))
            now = jax.device_get(state.params)
            found += [before[name] - now[name] for name in ("a", "b")]
            before = now
        return found

    noise = updates(0)
    for one in noise:
        # A standard normal cut off at 2: standard deviation 0.8796.
        assert abs(one.mean()) < 0.02
        np.testing.assert_allclose(one.std(), 0.5 * 0.87962566, rtol=0.03)
        assert np.abs(one).max() <= 1.0 + 1e-5
        assert np.abs(one).max() > 0.95
    several = [*noise, *updates(1)]
    for i, one in enumerate(several):
        for other in several[:i]:
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05
    for one, again in zip(noise, updates(0), strict=True):
        np.testing.assert_array_equal(one, again)


def test_adaptive_clipping_is_an_optax_transformation():
    clipping = slim.adaptive_clipping_fn(std_factor=0.0, decay=0.5)
    chain = optax.chain(clipping, optax.sgd(1.0))
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    gradient = {"w": jnp.array([3.0, 4.0], jnp.bfloat16)}
    updates, state = jax.jit(chain.update)(gradient, chain.init(params), params)
    # From 0 the mean goes half way to log(5), and the norm to its exponential, the root of 5.
    assert updates["w"].dtype == jnp.bfloat16
    length = np.linalg.norm(np.asarray(updates["w"], np.float32))
    np.testing.assert_allclose(length, np.sqrt(5), rtol=1e-2)
    np.testing.assert_allclose(state[0].mean, np.log(5) / 2, rtol=1e-6)
    np.testing.assert_allclose(state[0].sq_mean, np.log(5) ** 2 / 2, rtol=1e-6)


def test_learning_train_runs_and_resumes_it(tmp_path):
    make_op = lambda: make(CASES["adaptive_options"])  # noqa: E731
    whole = learning.train(make_op(), BATCHES[:4], tmp_path / "whole", number_of_steps=4)
    learning.train(make_op(), BATCHES[:2], tmp_path / "parts", number_of_steps=2)
    parts = learning.train(make_op(), BATCHES[2:4], tmp_path / "parts", number_of_steps=4)
    for a, b in zip(
        jax.tree.leaves((whole.params, whole.opt_state)),
        jax.tree.leaves((parts.params, parts.opt_state)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert int(adaptive_states(parts)[0].num_updates) == 4


def optimize(**arguments):
    given = {"learning_rate": 0.1, "optimizer": "SGD", **arguments}
    return lambda: slim.optimize_loss(loss_fn, **given)


ERRORS = [
    (optimize(optimizer="adam"), ValueError, r"must be one of 'Adagrad', .* did you mean 'Adam'"),
    (optimize(learning_rate=None), ValueError, "the optimizer 'SGD' needs a learning_rate, got N"),
    (optimize(learning_rate=-0.1), ValueError, "learning_rate must be at least 0, got -0.1"),
    (optimize(learning_rate="0.1"), TypeError, "learning_rate must be a number, .* got '0.1'"),
    (optimize(learning_rate=jnp.ones(2)), TypeError, "learning_rate must be a number"),
    (optimize(learning_rate_decay_fn=0.9), TypeError, "learning_rate_decay_fn must be a function"),
    (optimize(learning_rate=lambda s: 0.1, learning_rate_decay_fn=lambda r, s: r), ValueError,
     "learning_rate is a schedule already"),
    (optimize(optimizer=3), TypeError, "optimizer must be a name such as 'Adam', .* got 3"),
    (optimize(optimizer=lambda rate: rate), TypeError, "must give an optax transformation, got fl"),
    (optimize(clip_gradients="1"), TypeError, "clip_gradients must be a number, .* got '1'"),
    (optimize(clip_gradients=0.0), ValueError, "clip_gradients must be above 0, got 0.0"),
    (optimize(gradient_noise_scale=-1.0), ValueError, "gradient_noise_scale must be a number"),
    (optimize(gradient_multipliers={}), ValueError, "gradient_multipliers must be a non-empty"),
    (optimize(summaries=["los"]), ValueError, r"summaries must be among .* did you mean 'loss'"),
    (optimize(global_step=3), ValueError, "global_step must be None, got 3; the train op counts"),
    (optimize(update_ops=["bn"]), TypeError, "update_ops can be None, for all, or empty, to leave"),
    (optimize(colocate_gradients_with_ops=True), ValueError, "colocate_gradients_with_ops must be"),
    (optimize(increment_global_step=False), ValueError, "increment_global_step must be True"),
    (lambda: run(optimize(gradient_multipliers={"nothing": 2.0})()), slim.ScopeError,
     "gradient_multipliers: 'nothing' matches none"),
    (lambda: run(optimize(clip_gradients=lambda g: {})()), ValueError,
     r"clip_gradients must give back \{name: gradient\} .* 2 gradients .*; it lacks 'linear/"),
    (lambda: run(optimize(variables=["nothing"])()), slim.ScopeError, "variables_to_train: 'noth"),
    (lambda: slim.adaptive_clipping_fn(decay=1.0), ValueError, "decay must be at least 0 and"),
    (lambda: slim.adaptive_clipping_fn(-1.0), ValueError, "std_factor must be at least 0, got"),
    (lambda: slim.adaptive_clipping_fn(static_max_norm=0.0), ValueError, "static_max_norm must"),
    (lambda: slim.adaptive_clipping_fn(epsilon=0.0), ValueError, "epsilon must be above 0, got"),
    (lambda: slim.adaptive_clipping_fn(global_step=3), TypeError, "global_step must be True,"),
    (lambda: training.clip_gradient_norms_fn(0.0), ValueError, "max_norm must be above 0, got 0.0"),
    (lambda: training.create_train_op(loss_fn, optax.sgd(0.1), transform_grads_fn=3.0), TypeError,
     "transform_grads_fn must be a function of .* got 3.0"),
    (lambda: run(training.create_train_op(loss_fn, optax.sgd(0.1), transform_grads_fn=list)),
     slim.ScopeError, "transform_grads_fn must give back .* got list"),
    (lambda: check_transformed("f: g", {"a": np.ones(2), "c": ONE}, {"a": np.ones(3), "b": ONE}),
     slim.ScopeError, r"^f: g must give back \{name: gradient\} "
     r"with the names, shapes and types of the 2 gradients that it was given; a is float64 \(2,\) "
     r"and was float64 \(3,\); it lacks 'b'; it has beside them 'c'$"),
    (lambda: check_transformed("f: g", {}, {str(i): ONE for i in range(9)}), slim.ScopeError,
     "of the 9 gradients that it was given; it lacks '0', '1', '2', and 6 more$"),
    (lambda: training.train(optimize()(), BATCHES, None), ValueError,
     "logdir is None, so save_checkpoint_secs must be None too, got 600.0; give a directory"),
    (lambda: training.train(optimize()(), BATCHES, None, save_checkpoint_secs=None), ValueError,
     "logdir is None, so save_summaries_steps must be None too, got 100"),
    (lambda: training.train(optimize()(), BATCHES, "x", save_summaries_steps=0), ValueError,
     "save_summaries_steps must be at least 1, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_errors_say_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()


# slim.training ---------------------------------------------------------------------------------


def test_transform_grads_fn_clips_as_clip_gradient_norm_does():
    optimizer = optax.sgd(0.1)
    clip = training.clip_gradient_norms_fn(0.5)
    first = training.create_train_op(loss_fn, optimizer, transform_grads_fn=clip)
    second = learning.create_train_op(loss_fn, optimizer, clip_gradient_norm=0.5)
    assert_same(run(first), run(second))
    double = functools.partial(training.multiply_gradients, multipliers={"linear/biases:0": 2.0})
    first = training.create_train_op(loss_fn, optimizer, transform_grads_fn=double)
    second = learning.create_train_op(
        loss_fn, optimizer, gradient_multipliers={"linear/biases": 2.0}
    )
    assert_same(run(first), run(second))


def test_gradients_are_summarized_after_the_function():
    op = training.create_train_op(
        loss_fn,
        optax.sgd(0.1),
        transform_grads_fn=training.clip_gradient_norms_fn(0.5),
        summarize_gradients=True,
    )
    _, _, summaries = op.summarize(op.init(0, BATCHES[0]), BATCHES[0])
    np.testing.assert_allclose(summaries["scalar/linear/weights/gradient_norm"], 0.5, rtol=1e-5)
    gradients = {"a": jnp.array([3.0, 4.0])}
    found = learning.add_gradients_summaries(gradients)
    assert sorted(found) == ["histogram/a/gradient", "scalar/a/gradient_norm"]
    assert float(found["scalar/a/gradient_norm"]) == 5.0


def test_training_train_writes_summaries_by_steps(tmp_path):
    train_op = slim.optimize_loss(loss_fn, None, 0.1, "SGD", summaries=["loss"])
    state = training.train(train_op, BATCHES, tmp_path, number_of_steps=5, save_summaries_steps=2)
    assert int(state.step) == 5
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("OptimizeLoss/loss")] == [1, 3, 5]
    assert_same(jax.device_get(state.params["linear"]), run(train_op, 5))
    alone = training.train(
        train_op, BATCHES, None, save_checkpoint_secs=None, save_summaries_steps=None
    )
    assert int(alone.step) == len(BATCHES)
