"""find_learning_rate: the losses against those of gradient descent by hand; the suggestion."""

import itertools
import re

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim.learning import find_learning_rate
from jslim.learning.rate_finder import _evaluated

CURVATURE = 4.0


def loss_fn(batch):
    weight = slim.model_variable("w", [], initializer=3.0)
    return jnp.mean(CURVATURE / 2 * weight**2 * batch)


def train_op_fn(schedule):
    mesh = slim.learning.data_mesh(1)
    return slim.learning.create_train_op(loss_fn, optax.sgd(schedule), mesh=mesh)


def ones():
    return itertools.repeat(np.ones(2, np.float32))


def by_hand(rates, weight=3.0):
    losses = []
    for rate in rates:
        losses.append(CURVATURE / 2 * weight**2)
        weight -= rate * CURVATURE * weight
    return losses


def test_losses_are_those_of_gradient_descent_with_rising_rates():
    found = find_learning_rate(train_op_fn, ones(), lowest=1e-3, highest=0.1, number_of_steps=30)
    np.testing.assert_allclose(found.learning_rates, 1e-3 * 100 ** (np.arange(30) / 29))
    np.testing.assert_allclose(found.losses, by_hand(found.learning_rates), rtol=1e-5)
    assert found.smoothed.min() >= found.losses.min()
    assert found.smoothed.max() <= found.losses.max()
    # The least is the last: the losses fall all the time.
    assert found.least == found.learning_rates[-1]
    half = (found.losses[:3].mean() + found.smoothed[-1]) / 2
    crossing = np.flatnonzero(found.smoothed > half)[-1] + 1
    assert found.suggestion == found.learning_rates[crossing]


def test_the_test_ends_where_the_loss_diverges():
    found = find_learning_rate(train_op_fn, ones())
    assert len(found.losses) < 100
    # Beyond 2 / curvature each step makes the loss larger.
    assert found.suggestion < found.least < 2 / CURVATURE < found.learning_rates[-1] < 10
    assert found.losses[-1] > 4 * found.losses.min()
    np.testing.assert_array_equal(
        found.learning_rates, np.geomspace(1e-6, 10, 100)[: len(found.losses)]
    )


def test_training_starts_from_what_init_fn_gives():
    def init_fn(state):
        return {"params": {"w": jnp.asarray(2.0)}, "batch_stats": {}}

    found = find_learning_rate(
        train_op_fn, ones(), lowest=1e-3, highest=1e-2, number_of_steps=10, init_fn=init_fn
    )
    np.testing.assert_allclose(found.losses, by_hand(found.learning_rates, 2.0), rtol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_noise_moves_the_suggestion_little(seed):
    rates = np.geomspace(1e-6, 1, 90)
    centre = 1e-3
    falls = 2 / (1 + (rates / centre) ** 1.5) + 0.3
    noisy = falls * np.random.default_rng(seed).lognormal(sigma=0.25, size=90)
    found = _evaluated(rates, noisy)
    assert centre / 3 < found.suggestion < 3 * centre


def test_there_is_no_suggestion_where_the_loss_does_not_fall():
    rates = np.geomspace(1e-6, 1, 50)
    for losses in (np.ones(50), np.linspace(1, 2, 50), np.linspace(1, 0.95, 50), np.ones(1)):
        assert _evaluated(rates[: len(losses)], losses).suggestion is None


def test_the_table_shows_rates_and_losses():
    found = _evaluated(np.array([0.001, 0.01, 0.1]), np.array([2.5, 1.25, 100]))
    lines = found.table(2).splitlines()
    assert lines[0] == "learning rate      loss  smoothed"
    assert re.fullmatch(r" +0\.001 +2\.5 +[\d.]+", lines[1])
    assert re.fullmatch(r" +0\.1 +100 +[\d.]+", lines[2])
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert len(found.table().splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "batches", "message"),
    [
        ({"lowest": 0}, ones(), "lowest must be above 0, got 0"),
        ({"lowest": 1, "highest": 1}, ones(), "highest must be in (1, inf), got 1"),
        ({"number_of_steps": 9}, ones(), "number_of_steps must be at least 10, got 9"),
        ({}, [], "the batches are empty; there is nothing to train on"),
        ({}, [np.ones(2, np.float32)] * 4, "the batches ended after 4 of 100 steps; give batches "
         "that repeat, as by is_training=True, or a smaller number_of_steps"),
        ({}, [np.full(2, np.nan, np.float32)] * 4, "the loss of the first step is NaN or infinite, "
         "before anything is learnt; look for what is wrong with the data or the network"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options, batches, message):
    with pytest.raises(ValueError) as error:
        find_learning_rate(train_op_fn, batches, **options)
    assert str(error.value) == f"find_learning_rate: {message}"
