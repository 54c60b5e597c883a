"""What the tests of losses share."""

import json
import pathlib

import jax.numpy as jnp

import jslim as slim

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "losses.json").read_text())
TWO_LOSSES = ["losses", "regularization_losses"]

LOGITS = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
ONE_HOT = jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
# The squares of PREDICTIONS - 1 are [[0, 1, 4], [9, 16, 25]], with sum 55.
PREDICTIONS = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
ONES = jnp.ones((2, 3))


def run(function, *args, mutable=TWO_LOSSES):
    """What a model function without variables returns, and what it collected."""
    return slim.Model(function).apply({}, *args, mutable=mutable)
