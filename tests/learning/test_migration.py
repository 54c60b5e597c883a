"""What docs/migration.md says about the numbers of training: TF-Slim's own (migration.json)."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim

MADE = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "migration.json").read_text())
X, Y, Z, W = (np.array(MADE["data"][name], np.float32) for name in "xyzw")


def loss_of(decay=0.5, is_training=True, regularizer=None):
    def total_loss(batch):
        net = slim.fully_connected(
            batch["x"], 2, activation_fn=None, scope="fc", biases_initializer=None,
            weights_initializer=slim.constant_initializer(W), weights_regularizer=regularizer,
        )  # fmt: skip
        net = slim.batch_norm(net, decay=decay, is_training=is_training, scope="bn")
        slim.losses.mean_squared_error(net, batch["y"])
        return slim.losses.get_total_loss()

    return total_loss


def batch_of(step):
    return {"x": X[step], "y": Y[step]}


def steps_of(train_op, read=lambda state: None, change=lambda state, step: state):
    """The loss of each step, and what `read` makes of the state after it."""
    state = train_op.init(0, batch_of(0))
    rows = []
    for step in range(len(X)):
        state, outputs = train_op(change(state, step), batch_of(step))
        rows.append((float(outputs["loss"]), read(state)))
    return rows


@pytest.mark.parametrize(
    ("case", "model", "options"),
    [
        ("all", {}, {}),
        ("no_update_ops", {}, {"update_ops": []}),
        ("decay_1", {"decay": 1.0}, {}),
        ("not_training", {"is_training": False}, {}),
    ],
)
@pytest.mark.parametrize("by", ["create_train_op", "optimize_loss"])
def test_which_statistics_batch_norm_uses(case, model, options, by):
    if by == "create_train_op":
        train_op = slim.learning.create_train_op(loss_of(**model), optax.sgd(0.1), **options)
    else:
        train_op = slim.optimize_loss(loss_of(**model), None, 0.1, "SGD", **options)
    rows = steps_of(train_op, lambda state: np.asarray(state.batch_stats["bn"]["moving_mean"]))
    losses, means = zip(*MADE["batch_norm"][case], strict=True)
    np.testing.assert_allclose([row[0] for row in rows], losses, rtol=1e-5)
    np.testing.assert_allclose([row[1] for row in rows], means, rtol=1e-5, atol=1e-6)


def test_no_update_ops_and_decay_1_are_one_thing_and_not_training_is_another():
    losses = {name: [row[0] for row in rows] for name, rows in MADE["batch_norm"].items()}
    assert losses["no_update_ops"] == losses["decay_1"]
    assert losses["not_training"][0] > 2 * losses["no_update_ops"][0]


@pytest.mark.parametrize(("case", "warmup"), [("before", True), ("none", False)])
def test_moving_averages(case, warmup):
    def total_loss(batch):
        return slim.model_variable("w", [], initializer=slim.ones_initializer()) ** 2

    train_op = slim.learning.create_train_op(
        total_loss, optax.sgd(0.1), moving_average_decay=0.99, moving_average_warmup=warmup
    )
    rows = steps_of(train_op, lambda state: float(state.ema_params["params"]["w"]))
    np.testing.assert_allclose([row[1] for row in rows], MADE["averages"][case], rtol=1e-6)


def test_warmup_needs_a_decay():
    with pytest.raises(ValueError, match="moving_average_warmup=False needs moving_average_decay"):
        slim.learning.create_train_op(loss_of(), optax.sgd(0.1), moving_average_warmup=False)


def test_a_learning_rate_that_the_host_sets():
    optimizer = optax.inject_hyperparams(slim.optimizers.momentum)(0.0, momentum=0.9)
    train_op = slim.learning.create_train_op(loss_of(), optimizer)

    def change(state, step):
        state.opt_state.hyperparams["learning_rate"] = jnp.float32(MADE["rates"][step])
        return state

    losses = [loss for loss, _ in steps_of(train_op, change=change)]
    np.testing.assert_allclose(losses, MADE["inject"], rtol=1e-5)


def test_losses_and_regularization():
    model = slim.Model(loss_of(regularizer=slim.l2_regularizer(0.1)))
    variables = model.init(jax.random.key(0), batch_of(0))
    for step, (losses, regularization, total) in enumerate(MADE["regularization"]):
        got, collections = model.apply(
            variables, batch_of(step), mutable=["batch_stats", "losses", "regularization_losses"]
        )
        sums = [
            sum(jnp.sum(v) for v in collections[name].values())
            for name in ("losses", "regularization_losses")
        ]
        np.testing.assert_allclose([*sums, got], [losses, regularization, total], rtol=1e-5)


def test_two_optimizers_on_one_model():
    fill = slim.constant_initializer

    def draw(noise):
        return slim.fully_connected(
            noise, 3, activation_fn=None, scope="generator", weights_initializer=fill(0.3)
        )

    def judge(images, reuse=None):
        return slim.fully_connected(
            images, 1, activation_fn=None, scope="discriminator", reuse=reuse,
            weights_initializer=fill(0.2),
        )  # fmt: skip

    def entropy(logits, labels):
        return optax.sigmoid_binary_cross_entropy(logits, jnp.full(logits.shape, labels)).mean()

    def judging_loss(batch):
        drawn = judge(draw(batch["z"]))
        return entropy(judge(batch["x"], reuse=True), 1.0) + entropy(drawn, 0.0)

    def drawing_loss(batch):
        return entropy(judge(draw(batch["z"])), 1.0)

    judging, drawing = (
        slim.learning.create_train_op(loss, slim.optimizers.adam(0.05), variables_to_train=[scope])
        for loss, scope in ((judging_loss, "discriminator"), (drawing_loss, "generator"))
    )
    batch = {"x": X[0], "z": Z[0]}
    discriminator, generator = judging.init(0, batch), drawing.init(0, batch)
    rows = []
    for step in range(len(X)):
        batch = {"x": X[step], "z": Z[step]}
        discriminator, judged = judging(discriminator, batch)
        generator, drawn = drawing(generator.replace_variables(discriminator.variables), batch)
        discriminator = discriminator.replace_variables(generator.variables)
        rows.append([float(judged["loss"]), float(drawn["loss"])])
    np.testing.assert_allclose(rows, MADE["two_optimizers"], rtol=1e-5)
