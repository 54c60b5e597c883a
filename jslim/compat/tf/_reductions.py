"""Sums, means, extremes and their places, over axes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jslim.compat.tf._op import Axis, Values, array, axes_of, dtype_of, either, op


def _mean(values: jax.Array, **over: Any) -> jax.Array:
    """The mean; of whole numbers it is rounded towards 0, as in TensorFlow."""
    mean = jnp.mean(values, **over)
    return mean.astype(values.dtype) if jnp.issubdtype(values.dtype, jnp.integer) else mean


def _sum(values: jax.Array, **over: Any) -> jax.Array:
    return jnp.sum(values, dtype=values.dtype, **over)


def _reduction(name: str, formula: Callable[..., jax.Array], doc: str) -> Callable[..., jax.Array]:
    where = f"tf.{name}"

    @op
    def function(
        input_tensor: Values,
        axis: Axis = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: Axis = None,
        keep_dims: bool | None = None,
    ) -> jax.Array:
        over = axes_of(where, either(where, axis=axis, reduction_indices=reduction_indices))
        keeps = bool(either(where, keepdims=keepdims, keep_dims=keep_dims))
        return formula(array(input_tensor), axis=over, keepdims=keeps)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{doc}

    Over all axes, or over `axis` (formerly `reduction_indices`); `keepdims` (formerly `keep_dims`)
    leaves them with length 1.
    """
    return function


reduce_sum = _reduction("reduce_sum", _sum, "The sum.")
reduce_mean = _reduction("reduce_mean", _mean, _mean.__doc__ or "")
reduce_prod = _reduction("reduce_prod", jnp.prod, "The product.")
reduce_max = _reduction("reduce_max", jnp.max, "The largest element.")
reduce_min = _reduction("reduce_min", jnp.min, "The smallest element.")
reduce_any = _reduction("reduce_any", jnp.any, "Whether one element is True.")
reduce_all = _reduction("reduce_all", jnp.all, "Whether all elements are True.")
reduce_logsumexp = _reduction(
    "reduce_logsumexp", jax.nn.logsumexp, "The logarithm of the sum of the powers of e."
)


@op
def count_nonzero(
    input_tensor: Values | None = None,
    axis: Axis = None,
    keepdims: bool | None = None,
    dtype: DTypeLike = jnp.int32,
    name: str | None = None,
    reduction_indices: Axis = None,
    keep_dims: bool | None = None,
    input: Values | None = None,
) -> jax.Array:
    """The number of elements that are not 0."""
    where = "tf.count_nonzero"
    values = array(either(where, input_tensor=input_tensor, input=input))
    over = axes_of(where, either(where, axis=axis, reduction_indices=reduction_indices))
    keeps = bool(either(where, keepdims=keepdims, keep_dims=keep_dims))
    return jnp.sum(values != 0, axis=over, keepdims=keeps).astype(dtype_of(dtype))


@op
def argmax(
    input: Values,
    axis: int | None = None,
    name: str | None = None,
    dimension: int | None = None,
    output_type: DTypeLike = jnp.int32,
) -> jax.Array:
    """The place of the largest element of an axis, by default the first one.

    Differs from TensorFlow: int32 and not int64 by default, which JAX does not have.
    """
    chosen = either("tf.argmax", axis=axis, dimension=dimension)
    return jnp.argmax(array(input), 0 if chosen is None else int(chosen)).astype(
        dtype_of(output_type)
    )


@op
def argmin(
    input: Values,
    axis: int | None = None,
    name: str | None = None,
    dimension: int | None = None,
    output_type: DTypeLike = jnp.int32,
) -> jax.Array:
    """The place of the smallest element of an axis, by default the first one."""
    chosen = either("tf.argmin", axis=axis, dimension=dimension)
    return jnp.argmin(array(input), 0 if chosen is None else int(chosen)).astype(
        dtype_of(output_type)
    )
