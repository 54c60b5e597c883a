"""Learning rates by the flags of TF-Slim's training script."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jslim.optimizers._arguments import check, check_known

_DECAY_TYPES = ("cosine", "exponential", "fixed", "polynomial", "step")


def get_learning_rate(
    decay_type: str,
    learning_rate: float,
    *,
    decay_steps: int | None = None,
    decay_factor: float = 0.94,
    end_learning_rate: float = 0.0001,
    warmup_steps: float = 0,
    boundaries: Sequence[float] = (),
) -> optax.Schedule:
    """The learning rate of TF-Slim's training script.

    Differs from TF-Slim: the rate drops exactly at multiples of `decay_steps`. TF divides floats,
    so that some drops are one step late (24 of the first 59 multiples of 41).

    Args:
      decay_type: "exponential" is `learning_rate * decay_factor ** (step // decay_steps)`;
        "polynomial" is a line from `learning_rate` at step 0 to `end_learning_rate` at
        `decay_steps` and after; "fixed" is `learning_rate`. TF-Slim lacks "cosine", half a cosine
        wave in place of the line (Loshchilov and Hutter, 2017), and "step",
        `learning_rate * decay_factor ** n` after n of the `boundaries`.
      learning_rate: At least 0.0.
      decay_steps: A whole number of at least 1; not needed for "fixed" and "step".
      decay_factor: Above 0.0.
      end_learning_rate: At least 0.0.
      warmup_steps: Until this step the rate is at most `learning_rate * step / warmup_steps`. A
        number of at least 0, not always whole: warm-up epochs * examples / batch size.
      boundaries: For "step", at least one step, in rising order.

    Returns:
      A function of the step, an integer or an array of them, to float32 of its shape.

    Raises:
      TypeError: An argument is not a number.
      ValueError: A number is out of range, or `decay_type` is unknown.

    >>> print(get_learning_rate("exponential", 0.01, decay_steps=100)(jnp.array([99, 100])))
    [0.01   0.0094]
    """
    where = "get_learning_rate"
    check_known(where, "decay_type", decay_type, _DECAY_TYPES)
    check(where, learning_rate=learning_rate, end_learning_rate=end_learning_rate)
    check(where, decay_factor=decay_factor, warmup_steps=warmup_steps)
    if (decay_type == "step") != bool(boundaries) or list(boundaries) != sorted(boundaries):
        raise ValueError(
            f"{where}: boundaries must be steps in rising order, and go with the decay_type 'step' "
            f"alone; got {list(boundaries)} for {decay_type!r}"
        )
    period = 1 if decay_type in ("fixed", "step") else decay_steps
    if not (isinstance(period, int) and period > 0):
        raise ValueError(
            f"{where}: decay_steps must be a whole number of at least 1 for {decay_type!r}, got "
            f"{decay_steps!r}; it is epochs per decay * examples / batch size"
        )

    def from_start_to_end(share_left: jax.Array) -> jax.Array:
        return (learning_rate - end_learning_rate) * share_left + end_learning_rate

    def schedule(step: ArrayLike) -> jax.Array:
        step = jnp.asarray(step)
        # optax's schedules divide floats as TF's do; with integers the boundaries are exact.
        if decay_type == "exponential":
            rate = learning_rate * decay_factor ** jnp.float32(step // period)
        elif decay_type == "step":
            passed = [jnp.float32(jnp.float32(step) >= boundary) for boundary in boundaries]
            rate = learning_rate * decay_factor ** sum(passed, jnp.float32(0))
        elif decay_type == "cosine":
            share = jnp.float32(jnp.minimum(step, period)) / period
            rate = from_start_to_end(0.5 * (1.0 + jnp.cos(jnp.pi * share)))
        elif decay_type == "polynomial":
            rate = from_start_to_end(jnp.float32(period - jnp.minimum(step, period)) / period)
        else:
            rate = jnp.full_like(step, learning_rate, jnp.float32)
        if warmup_steps:
            rate = jnp.minimum(learning_rate * jnp.float32(step) / warmup_steps, rate)
        return rate

    return schedule
