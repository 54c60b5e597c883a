"""Learning rates: TF1's own values (tests/golden/optimizers.npz), exact drops, error texts."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim.optimizers import get_learning_rate

_GOLDEN = dict(np.load(pathlib.Path(__file__).parent / "golden" / "optimizers.npz"))
_INDEX = json.loads(str(_GOLDEN["index"]))


@pytest.mark.parametrize("name", _INDEX["schedules"])
def test_learning_rate_is_that_of_tf(name):
    schedule = get_learning_rate(**_INDEX["schedules"][name])
    steps, expected = _GOLDEN[f"steps/{name}"], _GOLDEN[f"rates/{name}"]
    rates = jax.jit(schedule)(jnp.asarray(steps, jnp.int32))
    assert rates.dtype == jnp.float32
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    for index in range(0, len(steps), 7):
        rate = schedule(int(steps[index]))
        assert (rate.shape, rate.dtype) == ((), jnp.float32)
        np.testing.assert_allclose(rate, expected[index], rtol=1e-6)


@pytest.mark.parametrize("decay_steps", [1, 3, 41, 80_073, 16_777_217])
def test_staircase_drops_exactly_at_multiples(decay_steps):
    schedule = get_learning_rate("exponential", 1.0, decay_steps=decay_steps, decay_factor=0.5)
    count = min(100, (2**31 - 1) // decay_steps)
    edges = jnp.arange(1, count + 1, dtype=jnp.int32) * decay_steps
    powers = 0.5 ** np.arange(count + 1, dtype=np.float64)
    np.testing.assert_allclose(jax.jit(schedule)(edges), powers[1:], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(schedule)(edges - 1), powers[:-1], rtol=1e-6)


def test_polynomial_ends_exactly():
    schedule = get_learning_rate("polynomial", 0.5, decay_steps=41, end_learning_rate=0.0)
    rates = jax.jit(schedule)(jnp.array([40, 41, 42, 2**31 - 1]))
    np.testing.assert_allclose(rates, [0.5 / 41, 0.0, 0.0, 0.0], rtol=1e-6)


def test_fixed_needs_no_decay_steps():
    for decay_steps in (None, 0):
        schedule = get_learning_rate("fixed", 0.25, decay_steps=decay_steps)
        np.testing.assert_array_equal(schedule(jnp.arange(3)), [0.25, 0.25, 0.25])


def test_unknown_decay_type_lists_all():
    with pytest.raises(ValueError) as error:
        get_learning_rate("exponentiel", 0.1, decay_steps=3)
    assert str(error.value) == (
        "get_learning_rate: decay_type must be one of 'cosine', 'exponential', 'fixed', "
        "'polynomial', 'step', got "
        "'exponentiel'; did you mean 'exponential'?"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": -0.1}, "learning_rate must be at least 0.0, got -0.1"),
        ({"decay_factor": 0.0}, "decay_factor must be above 0.0, got 0.0"),
        ({"end_learning_rate": -1.0}, "end_learning_rate must be at least 0.0, got -1.0"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0.0, got -1"),
    ],
)
@pytest.mark.parametrize("decay_type", ["exponential", "fixed", "polynomial"])
def test_learning_rate_argument_out_of_range(decay_type, arguments, message):
    with pytest.raises(ValueError) as error:
        get_learning_rate(decay_type, **{"learning_rate": 0.1, "decay_steps": 10, **arguments})
    assert str(error.value) == f"get_learning_rate: {message}"


@pytest.mark.parametrize("decay_steps", [None, 0, -1, 2.5])
@pytest.mark.parametrize("decay_type", ["exponential", "polynomial"])
def test_decay_steps_must_be_a_whole_number(decay_type, decay_steps):
    with pytest.raises(ValueError) as error:
        get_learning_rate(decay_type, 0.1, decay_steps=decay_steps)
    assert str(error.value) == (
        f"get_learning_rate: decay_steps must be a whole number of at least 1 for {decay_type!r}, "
        f"got {decay_steps!r}; it is epochs per decay * examples / batch size"
    )


def test_cosine_and_step_decay():
    steps = jnp.arange(0, 130)
    cosine = get_learning_rate(
        "cosine", 0.4, decay_steps=100, end_learning_rate=0.1, warmup_steps=10
    )
    share = np.minimum(np.arange(130), 100) / 100
    expected = 0.1 + 0.3 * 0.5 * (1 + np.cos(np.pi * share))
    expected = np.minimum(expected, 0.4 * np.arange(130) / 10)
    np.testing.assert_allclose(cosine(steps), expected, rtol=1e-6, atol=1e-8)
    step = get_learning_rate("step", 0.4, decay_factor=0.1, boundaries=[30, 60.5])
    expected = 0.4 * 0.1 ** ((np.arange(130) >= 30) * 1.0 + (np.arange(130) >= 60.5))
    np.testing.assert_allclose(step(steps), expected, rtol=1e-6)
    np.testing.assert_allclose(step(29), 0.4, rtol=1e-6)


@pytest.mark.parametrize(
    ("decay_type", "boundaries"), [("step", []), ("step", [5, 3]), ("fixed", [5])]
)
def test_boundaries_that_make_no_sense(decay_type, boundaries):
    with pytest.raises(ValueError, match=r"boundaries must be steps in rising order, and go with"):
        get_learning_rate(decay_type, 0.1, boundaries=boundaries)
