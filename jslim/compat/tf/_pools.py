"""Pools of `tf.nn`, computed as jslim's layers compute theirs."""

from typing import Any

import jax
import jax.numpy as jnp

from jslim.compat.tf._convolutions import Steps, channels_first, placed_windows, spatial
from jslim.compat.tf._op import Values, array, either, op
from jslim.core import checks
from jslim.layers import _lowering


def _pooled(
    where: str,
    value: Values,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
    kind: str,
    dims: int = 2,
    rate: Any = None,
) -> jax.Array:
    images = array(value)
    is_first = channels_first(where, data_format)
    size = spatial(where, "ksize", checks.given(where, "ksize", ksize), dims, is_first)
    placed = placed_windows(where, images, size, strides, padding, data_format, rate)
    if kind == "MAX":
        return _lowering.pool_max(images, placed)
    # Pixels of padding do not count in a mean.
    counted = jnp.ones((1, *images.shape[1:]), images.dtype)
    return _lowering.pool_sum(images, placed) / _lowering.pool_sum(counted, placed)


@op
def max_pool(
    value: Values | None,
    ksize: Steps,
    strides: Steps,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
    input: Values | None = None,
) -> jax.Array:
    """The largest pixel of each window."""
    given = either("tf.nn.max_pool", value=value, input=input)
    return _pooled("tf.nn.max_pool", given, ksize, strides, padding, data_format, "MAX")


@op
def avg_pool(
    value: Values | None,
    ksize: Steps,
    strides: Steps,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
    input: Values | None = None,
) -> jax.Array:
    """The mean of each window, without padding."""
    given = either("tf.nn.avg_pool", value=value, input=input)
    return _pooled("tf.nn.avg_pool", given, ksize, strides, padding, data_format, "AVG")


avg_pool2d = avg_pool


def max_pool2d(
    input: Values,
    ksize: Steps,
    strides: Steps,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
) -> jax.Array:
    return max_pool(input, ksize, strides, padding, data_format)


@op
def max_pool3d(
    input: Values,
    ksize: Steps,
    strides: Steps,
    padding: Any,
    data_format: str = "NDHWC",
    name: str | None = None,
) -> jax.Array:
    where = "tf.nn.max_pool3d"
    return _pooled(where, input, ksize, strides, padding, data_format, "MAX", 3)


@op
def avg_pool3d(
    input: Values,
    ksize: Steps,
    strides: Steps,
    padding: Any,
    data_format: str = "NDHWC",
    name: str | None = None,
) -> jax.Array:
    where = "tf.nn.avg_pool3d"
    return _pooled(where, input, ksize, strides, padding, data_format, "AVG", 3)


@op
def pool(
    input: Values,
    window_shape: Steps,
    pooling_type: str,
    padding: Any,
    dilation_rate: Steps = None,
    strides: Steps = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Steps = None,
) -> jax.Array:
    """A pool of type 'MAX' or 'AVG'."""
    where = "tf.nn.pool"
    checks.one_of(where, "pooling_type", pooling_type, ("MAX", "AVG"))
    rate = either(where, dilation_rate=dilation_rate, dilations=dilations)
    dims = array(input).ndim - 2
    return _pooled(
        where, input, window_shape, strides, padding, data_format, pooling_type, dims, rate
    )
