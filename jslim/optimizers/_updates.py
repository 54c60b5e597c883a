"""Updates of TF's optimizers that optax lacks, or computes with fewer digits."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from optax import GradientTransformation
from optax import ScalarOrSchedule as Rate

from jslim.core.trees import PyTree

Updated = tuple[PyTree, PyTree]  # the updates and the next state


def scale_by_adam(
    beta1: float,
    beta2: float,
    update_of: Callable[..., jax.Array],
    momentum_dtype: DTypeLike | None,
) -> GradientTransformation:
    """Adam's m and v; the update is `update_of(m, v, 1 - beta1^t, 1 - beta2^t)`."""

    def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> Updated:
        count = optax.safe_increment(state.count)
        mu = optax.tree.update_moment(gradients, state.mu, beta1, 1)
        nu = optax.tree.update_moment(gradients, state.nu, beta2, 2)
        # 1 - beta^t; the plain difference is off by 1e-5 in float32 at the first step.
        biases = [-jnp.expm1(jnp.float32(count) * jnp.log1p(b - 1.0)) for b in (beta1, beta2)]

        def update_one(m: jax.Array, v: jax.Array) -> jax.Array:
            return update_of(m, v, *(bias.astype(m.dtype) for bias in biases))

        updates = jax.tree.map(update_one, mu, nu)
        kept = optax.tree.cast(mu, momentum_dtype)
        return updates, optax.ScaleByAdamState(count, kept, nu)

    return GradientTransformation(optax.scale_by_adam(mu_dtype=momentum_dtype).init, update)


def decoupled(
    learning_rate: Rate,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    momentum_dtype: DTypeLike | None,
    *more: GradientTransformation,
) -> GradientTransformation:
    """Adam's update plus the decay of kernels, then `more`.

    optax.adamw and optax.lamb subtract powers of the betas from 1 in float32, so that their first
    updates have relative errors of 1e-5.
    """

    def update_of(m: jax.Array, v: jax.Array, bias1: jax.Array, bias2: jax.Array) -> jax.Array:
        return m / bias1 / (jnp.sqrt(v / bias2) + epsilon)

    rescale = scale_by_adam(beta1, beta2, update_of, momentum_dtype)

    def is_kernel(params: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x.ndim > 1, params)

    decayed = optax.chain(rescale, optax.add_decayed_weights(weight_decay, is_kernel))
    return optax.chain(decayed, *more, optax.scale_by_learning_rate(learning_rate))


class FtrlState(NamedTuple):
    """The number of steps, and for each variable its sum of squared gradients and linear term."""

    step: jax.Array
    accumulator: PyTree
    linear: PyTree


def scale_by_ftrl(
    learning_rate: Rate, p: float, initial_accumulator_value: float, l1: float, l2: float
) -> GradientTransformation:
    """The update of `ftrl`, whose docstring has the formula."""

    def init(params: PyTree) -> FtrlState:
        accumulator = optax.tree.full_like(params, initial_accumulator_value)
        return FtrlState(jnp.zeros([], jnp.int32), accumulator, optax.tree.zeros_like(params))

    def update(gradients: PyTree, state: FtrlState, params: PyTree = None) -> Updated:
        if params is None:
            raise ValueError("ftrl: update needs the parameters: update(gradients, state, params)")
        rate = jnp.float32(learning_rate(state.step) if callable(learning_rate) else learning_rate)
        divisor = jnp.where(rate > 0, rate, 1.0)

        def next_linear(
            z: jax.Array, g: jax.Array, new: jax.Array, old: jax.Array, w: jax.Array
        ) -> jax.Array:
            return z + g - (new**p - old**p) / divisor.astype(w.dtype) * w

        def next_weights(z: jax.Array, s: jax.Array) -> jax.Array:
            quadratic = s**p / divisor.astype(s.dtype) + 2 * l2
            return jnp.where(jnp.abs(z) > l1, (jnp.sign(z) * l1 - z) / quadratic, 0.0)

        sums = jax.tree.map(lambda s, g: s + g * g, state.accumulator, gradients)
        linear = jax.tree.map(next_linear, state.linear, gradients, sums, state.accumulator, params)
        updates = optax.tree.sub(jax.tree.map(next_weights, linear, sums), params)
        unmoved = (optax.tree.zeros_like(params), state.accumulator, state.linear)
        updates, sums, linear = optax.tree.where(rate > 0, (updates, sums, linear), unmoved)
        return updates, FtrlState(optax.safe_increment(state.step), sums, linear)

    return GradientTransformation(init, update)
