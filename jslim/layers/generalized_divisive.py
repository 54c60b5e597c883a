"""Generalized divisive normalization (GDN)."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.access import collect
from jslim.core.names import REGULARIZATION_LOSSES, Reuse
from jslim.layers import _common
from jslim.layers._frame import Call, layer


@layer("gdn", is_arg_scoped=False)
def gdn(
    call: Call,
    inputs: jax.Array,
    inverse: bool = False,
    beta_min: float = 1e-6,
    gamma_init: float = 0.1,
    reparam_offset: float = 2**-18,
    data_format: str = "channels_last",
    activity_regularizer: Callable[[jax.Array], jax.Array] | None = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Reuse = None,
    *,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Divides each channel by a norm of all: `x[i] / sqrt(beta[i] + sum_j(gamma[j, i] x[j]^2))`.

    `beta` and `gamma` are trained as their square roots, which have a lower bound. Below the bound
    only gradients pass that lead up again; so there is no forward-mode derivative. Half precision
    is computed in float32. As in TF-Slim no `arg_scope` can set its arguments.

    Ballé, Laparra and Simoncelli (2015), https://arxiv.org/abs/1511.06281, and (2016),
    https://arxiv.org/abs/1611.01704.

    Args:
      inputs: `[batch, ..., channels]` of rank 3 to 5, or `[batch, channels, ...]` if
        channels_first.
      inverse: True multiplies instead of dividing: a step of an iteration that inverts GDN.
      beta_min: Lower bound of `beta`.
      gamma_init: `gamma` starts as this times the identity; 0 starts with the inputs unchanged.
      reparam_offset: Keeps the gradient of a square root away from zero.
      data_format: 'channels_last' or 'channels_first'.
      activity_regularizer: Penalty on the outputs: its value divided by the number of examples is
        added to the regularization losses.
      trainable: Whether the variables are trained.
      name: Name of the variable scope, default `gdn`, made unique.
      reuse: True reads the variables that an earlier layer of this `name` made.
      dtype: Dtype of the result, default that of `inputs`.
      param_dtype: Dtype of the variables, default at least float32.

    Returns:
      An array of the shape of `inputs`. The variables are `reparam_beta`, `[channels]`, and
      `reparam_gamma`, `[channels, channels]`.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` are not of rank 3 to 5; `data_format` is unknown; `beta_min`,
        `gamma_init` or `reparam_offset` is negative.

    >>> import jslim as slim
    >>> model = slim.Model(lambda x: gdn(x, gamma_init=3.0))
    >>> waves = jnp.array([[[0.0, 1.0]]])
    >>> model.init_with_output(jax.random.key(0), waves)[0].round(3).tolist()
    [[[0.0, 0.5]]]
    """
    array = call.exact(inputs)
    formats = ("channels_last", "channels_first")
    checks.one_of(call.where, "data_format", data_format, formats)
    if not 3 <= array.ndim <= 5:
        accepted = "[batch, ..., channels] of rank 3 to 5"
        raise checks.refusal(call.where, "inputs", accepted, f"shape {array.shape}")
    checks.not_negative(call.where, "beta_min", beta_min)
    checks.not_negative(call.where, "gamma_init", gamma_init)
    checks.not_negative(call.where, "reparam_offset", reparam_offset)
    axis = 1 if data_format == "channels_first" else array.ndim - 1
    channels = array.shape[axis]
    pedestal = reparam_offset**2

    def beta_roots(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        return jnp.sqrt(jnp.full(shape, 1 + pedestal, dtype))

    def gamma_roots(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        return jnp.sqrt(gamma_init * jnp.eye(shape[0], dtype=dtype) + pedestal)

    roots = call.parameter("reparam_beta", (channels,), beta_roots)
    beta = _squared(roots, (beta_min + pedestal) ** 0.5, pedestal)
    roots = call.parameter("reparam_gamma", (channels, channels), gamma_roots)
    gamma = _squared(roots, reparam_offset, pedestal)

    pool = lax.dot_general(lax.square(array), gamma, (((axis,), (0,)), ((), ())))
    if axis == 1:
        pool = lax.transpose(pool, (0, pool.ndim - 1, *range(1, pool.ndim - 1)))
    norm = lax.sqrt(_common.add_biases(pool, beta, axis))
    outputs = lax.mul(array, norm) if inverse else lax.div(array, norm)
    if activity_regularizer is not None:
        outputs = call.rounded(outputs)
        penalty = activity_regularizer(outputs) / max(outputs.shape[0], 1)
        collect(REGULARIZATION_LOSSES, f"{call.scope}/ActivityRegularizer", penalty)
    return outputs


@dataclass(frozen=True)
class GDN:
    """`gdn` with its arguments, to be called on inputs: for example as an `activation_fn`.

    Differs from TF-Slim: it holds no variables. Each call is a layer with variables of its own, so
    a second call with the same `name` needs `reuse=True`, as with `gdn`.

    Args:
      inverse, beta_min, gamma_init, reparam_offset, data_format, activity_regularizer, trainable,
        name, reuse, dtype, param_dtype: As for `gdn`.
    """

    inverse: bool = False
    beta_min: float = 1e-6
    gamma_init: float = 0.1
    reparam_offset: float = 2**-18
    data_format: str = "channels_last"
    activity_regularizer: Callable[[jax.Array], jax.Array] | None = None
    trainable: bool = True
    name: str | None = None
    reuse: Reuse = None
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return gdn(inputs, **vars(self))


def _squared(root: jax.Array, bound: float, pedestal: float) -> jax.Array:
    bounded = _lower_bound(root, bound)
    return lax.sub(lax.square(bounded), lax.full_like(bounded, pedestal))


@jax.custom_vjp
def _lower_bound(array: jax.Array, bound: float) -> jax.Array:
    """The greater of both. Below the bound the gradient passes only if it leads up."""
    return lax.max(array, lax.full_like(array, bound))


def _lower_bound_forward(array: jax.Array, bound: float) -> tuple[jax.Array, jax.Array]:
    return _lower_bound(array, bound), lax.ge(array, lax.full_like(array, bound))


def _lower_bound_backward(is_kept: jax.Array, ct: jax.Array) -> tuple[jax.Array, None]:
    passes = lax.bitwise_or(is_kept, lax.lt(ct, lax.full_like(ct, 0.0)))
    return lax.select(passes, ct, lax.full_like(ct, 0.0)), None


_lower_bound.defvjp(_lower_bound_forward, _lower_bound_backward)
