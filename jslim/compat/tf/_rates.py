"""Learning rates that fall. Given a number as step they give a number, otherwise a schedule.

In TensorFlow the step is a variable of the graph. Here the train op counts it: outside of a step
`tf.train.get_or_create_global_step()` stands for it, and a rate made of it is a function of the
step, which `tf.train.AdamOptimizer` and every optimizer of optax take.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jslim.compat.tf._op import Values, array
from jslim.core import checks
from jslim.core.access import is_running
from jslim.core.errors import ScopeError
from jslim.core.global_step import get_global_step as _running_step


class GlobalStep:
    """Stands for the step of a training that is yet to run.

    In a model function that runs outside of a training step its value is 0, as that of
    `slim.get_or_create_global_step`.
    """

    def __jax_array__(self) -> jax.Array:
        if is_running():
            return jnp.zeros((), jnp.int32)
        raise ScopeError(
            "the global step is counted by the train op, and has no value here; give it to a decay "
            "of tf.train, or read it in the model function"
        )

    def __repr__(self) -> str:
        return "the global step, which the train op counts"


Rate: TypeAlias = jax.Array | Callable[[Any], jax.Array]
Step: TypeAlias = Values | GlobalStep | Callable[[], Values]


def get_global_step(graph: object = None) -> jax.Array | GlobalStep:
    """The number of the training step that runs; outside of one what stands for it."""
    step = _running_step()
    return GlobalStep() if step is None else step


get_or_create_global_step = create_global_step = get_global_step


def _rate(step: Step | None, rate_at: Callable[[jax.Array], jax.Array]) -> Rate:
    def schedule(count: Any) -> jax.Array:
        return rate_at(array(count).astype(jnp.float32))

    if isinstance(step, GlobalStep):
        return schedule
    given = checks.given("tf.train", "global_step", step() if callable(step) else step)
    return schedule(given)


def _power(step: jax.Array, decay_steps: Values, staircase: bool) -> jax.Array:
    """How many times the rate has decayed; `staircase` rounds down."""
    power = step / array(decay_steps)
    return jnp.floor(power) if staircase else power


def _half_wave(share: jax.Array) -> jax.Array:
    """From 1, at 0, to 0, at 1, along a cosine."""
    return 0.5 * (1 + jnp.cos(jnp.pi * share))


def _down_to(alpha: Values, learning_rate: Values, height: jax.Array) -> jax.Array:
    """From `alpha` times the rate, where `height` is 0, to the rate, where it is 1."""
    least = array(alpha)
    return array(learning_rate) * ((1 - least) * height + least)


def exponential_decay(
    learning_rate: Values,
    global_step: Step,
    decay_steps: Values,
    decay_rate: Values,
    staircase: bool = False,
    name: str | None = None,
) -> Rate:
    """`learning_rate * decay_rate ** (step / decay_steps)`; `staircase` rounds the power down."""

    def at(step: jax.Array) -> jax.Array:
        power = _power(step, decay_steps, staircase)
        return array(learning_rate) * jnp.power(array(decay_rate), power)

    return _rate(global_step, at)


def natural_exp_decay(
    learning_rate: Values,
    global_step: Step,
    decay_steps: Values,
    decay_rate: Values,
    staircase: bool = False,
    name: str | None = None,
) -> Rate:
    """`learning_rate * exp(-decay_rate * step / decay_steps)`."""

    def at(step: jax.Array) -> jax.Array:
        power = _power(step, decay_steps, staircase)
        return array(learning_rate) * jnp.exp(-array(decay_rate) * power)

    return _rate(global_step, at)


def inverse_time_decay(
    learning_rate: Values,
    global_step: Step,
    decay_steps: Values,
    decay_rate: Values,
    staircase: bool = False,
    name: str | None = None,
) -> Rate:
    """`learning_rate / (1 + decay_rate * step / decay_steps)`."""

    def at(step: jax.Array) -> jax.Array:
        power = _power(step, decay_steps, staircase)
        return array(learning_rate) / (1 + array(decay_rate) * power)

    return _rate(global_step, at)


def polynomial_decay(
    learning_rate: Values,
    global_step: Step,
    decay_steps: Values,
    end_learning_rate: Values = 0.0001,
    power: Values = 1.0,
    cycle: bool = False,
    name: str | None = None,
) -> Rate:
    """From `learning_rate` to `end_learning_rate` in `decay_steps`; `cycle` lengthens the way."""

    def at(step: jax.Array) -> jax.Array:
        steps = array(decay_steps).astype(jnp.float32)
        if cycle:
            steps = steps * jnp.maximum(jnp.ceil(step / steps), 1)
        else:
            step = jnp.minimum(step, steps)
        share = jnp.power(1 - step / steps, array(power))
        end = array(end_learning_rate)
        return (array(learning_rate) - end) * share + end

    return _rate(global_step, at)


def cosine_decay(
    learning_rate: Values,
    global_step: Step,
    decay_steps: Values,
    alpha: Values = 0.0,
    name: str | None = None,
) -> Rate:
    """Half a cosine wave from `learning_rate` to `alpha` times it."""

    def at(step: jax.Array) -> jax.Array:
        share = jnp.minimum(step / array(decay_steps), 1)
        return _down_to(alpha, learning_rate, _half_wave(share))

    return _rate(global_step, at)


def cosine_decay_restarts(
    learning_rate: Values,
    global_step: Step,
    first_decay_steps: Values,
    t_mul: float = 2.0,
    m_mul: Values = 1.0,
    alpha: Values = 0.0,
    name: str | None = None,
) -> Rate:
    """Half cosine waves one after another (Loshchilov and Hutter, "SGDR", 2017).

    Each wave is `t_mul` times as long as the one before, and `m_mul` times as high. A `t_mul` of 1
    repeats the first; it must be a Python number.
    """

    def at(step: jax.Array) -> jax.Array:
        waves = step / array(first_decay_steps)
        if t_mul == 1.0:
            restarts = jnp.floor(waves)
            share = waves - restarts
        else:
            restarts = jnp.floor(jnp.log(1 - waves * (1 - t_mul)) / jnp.log(t_mul))
            length = jnp.power(t_mul, restarts)
            share = (waves - (1 - length) / (1 - t_mul)) / length
        height = jnp.power(array(m_mul), restarts)
        return _down_to(alpha, learning_rate, height * _half_wave(share))

    return _rate(global_step, at)


def linear_cosine_decay(
    learning_rate: Values,
    global_step: Step,
    decay_steps: Values,
    num_periods: Values = 0.5,
    alpha: Values = 0.0,
    beta: Values = 0.001,
    name: str | None = None,
) -> Rate:
    """`learning_rate * ((alpha + 1 - share) * wave + beta)` (Bello et al., 2017).

    `share` is the share of `decay_steps` that is over, at most 1, and `wave` goes from 1 to 0 and
    back once in each of `num_periods` periods.
    """

    def at(step: jax.Array) -> jax.Array:
        share = jnp.minimum(step / array(decay_steps), 1)
        wave = _half_wave(2 * array(num_periods) * share)
        return array(learning_rate) * ((array(alpha) + 1 - share) * wave + array(beta))

    return _rate(global_step, at)


def piecewise_constant(
    x: Step, boundaries: Sequence[float], values: Sequence[float], name: str | None = None
) -> Rate:
    """A value for the steps up to each boundary, which is included, and one for those after.

    optax's `piecewise_constant_schedule` changes one step earlier, at the boundary.
    """
    if len(values) != len(boundaries) + 1:
        accepted, got = f"{len(boundaries) + 1} of them", str(len(values))
        raise checks.refusal("tf.train.piecewise_constant", "values", accepted, got)

    def at(step: jax.Array) -> jax.Array:
        passed = jnp.searchsorted(jnp.asarray(boundaries, jnp.float32), step, side="left")
        return jnp.asarray(values)[passed]

    return _rate(x, at)


piecewise_constant_decay = piecewise_constant
