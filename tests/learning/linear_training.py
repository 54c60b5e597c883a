"""A linear model whose gradients are easy to write down: used by the tests of the step."""

import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim

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
