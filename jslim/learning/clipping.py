"""Clipping by the statistics of past gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jslim.core import checks
from jslim.learning.gradients import global_norm, scaled
from jslim.learning.state import PyTree


class AdaptiveClippingState(NamedTuple):
    """The state of `adaptive_clipping_fn`.

    Attributes:
      num_updates: The number of updates, an int32 scalar.
      mean: The moving average of the logarithm of the gradients' common norm, a float32 scalar that
        starts at 0.
      sq_mean: The moving average of the square of that logarithm.
      max_norm: The norm above which the last update was clipped; None unless it is reported.
    """

    num_updates: jax.Array
    mean: jax.Array
    sq_mean: jax.Array
    max_norm: jax.Array | None = None


def adaptive_clipping_fn(
    std_factor: float = 2.0,
    decay: float = 0.95,
    static_max_norm: float | None = None,
    global_step: bool | None = None,
    report_summary: bool = False,
    epsilon: float = 1e-8,
    name: str | None = None,
) -> optax.GradientTransformation:
    """Clips gradients by the statistics of their common norm (Hochreiter et al., 2014, 3.2.1).

    With the moving mean and standard deviation std of `log(norm)`, gradients whose norm is not
    below `exp(mean + std_factor * std)` are scaled to the norm `exp(mean)`.

    Differs from TF-Slim: the result is an optax transformation, for
    `optimize_loss(clip_gradients=...)` or any `optax.chain`; its state holds the averages.

    Args:
      std_factor: The factor in the formula, at least 0.
      decay: The weight of the old averages, in [0, 1).
      static_max_norm: A greatest norm that does not depend on the averages; None for none.
      global_step: True for averages that move faster at first, with decay `min(decay, n / (n + 1))`
        after n updates (TF-Slim takes the step itself); None or False for `decay` from the start.
      report_summary: Whether `optimize_loss` records the greatest norm, in the state's `max_norm`.
      epsilon: A number above 0 that keeps logarithm and standard deviation finite.
      name: Ignored.

    Returns:
      An optax transformation with an `AdaptiveClippingState`.

    Raises:
      ValueError: A number is out of range.
      TypeError: `global_step` is not a bool, or another argument is not a number.

    Example:
      >>> clipping = adaptive_clipping_fn(std_factor=0.0, decay=0.5)
      >>> gradients = {"w": jnp.array([3.0, 4.0])}
      >>> clipped, state = clipping.update(gradients, clipping.init(gradients))
      >>> round(float(global_norm(clipped)), 4)  # from 5, since mean = log(5) / 2
      2.2361
    """
    op = "adaptive_clipping_fn"
    if global_step is not None and not isinstance(global_step, bool):
        raise TypeError(
            f"{op}: global_step must be True, False or None, got {global_step!r}; updates are "
            "counted in the state"
        )
    checks.number(op, "std_factor", std_factor, at_least=0)
    checks.number(op, "decay", decay, at_least=0, below=1)
    checks.number(op, "epsilon", epsilon, above=0)
    if static_max_norm is not None:
        checks.number(op, "static_max_norm", static_max_norm, above=0)

    def init(params: PyTree) -> AdaptiveClippingState:
        zero = jnp.zeros((), jnp.float32)
        return AdaptiveClippingState(
            jnp.zeros((), jnp.int32), zero, zero, zero if report_summary else None
        )

    def update(
        gradients: PyTree, state: AdaptiveClippingState, params: PyTree = None
    ) -> tuple[PyTree, AdaptiveClippingState]:
        norm = global_norm(gradients)
        log_norm = jnp.log(norm + epsilon)
        weight = jnp.float32(1 - decay)
        if global_step:
            n = state.num_updates.astype(jnp.float32)
            weight = jnp.maximum(weight, 1.0 / (n + 1.0))
        mean = state.mean - (state.mean - log_norm) * weight
        sq_mean = state.sq_mean - (state.sq_mean - jnp.square(log_norm)) * weight
        deviation = jnp.sqrt(jnp.maximum(epsilon, sq_mean - jnp.square(mean)))
        max_norm = jnp.exp(mean + std_factor * deviation)
        factor = jnp.where(norm < max_norm, 1.0, jnp.exp(mean) / norm)
        if static_max_norm is not None:
            factor = jnp.minimum(factor, static_max_norm / norm)
        clipped = jax.tree.map(lambda gradient: scaled(gradient, factor), gradients)
        reported = max_norm if report_summary else None
        return clipped, AdaptiveClippingState(state.num_updates + 1, mean, sq_mean, reported)

    return optax.GradientTransformation(init, update)
