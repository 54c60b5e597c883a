"""Pools: the largest value or the mean of each window."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from jslim.core.arg_scope import add_arg_scope
from jslim.layers import _common, _lowering, utils
from jslim.layers._common import Padding, Pair, Windows


def _pool(
    name: str,
    default_scope: str,
    pooling_type: str,
    dims: int | None,
    inputs: Any,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    data_format: str | None,
    outputs_collections: str | Sequence[str] | None,
    scope: str | None,
    dilation_rate: Pair = 1,
) -> jax.Array:
    """The body of all pools; without `dims` the rank of the inputs decides."""
    alias = _common.op_name(scope, default_scope)
    where = f"{name} at {alias!r}"
    images, windows, channels_first = _common.images_and_windows(
        where,
        inputs,
        None,
        kernel_size,
        stride,
        padding,
        dilation_rate,
        data_format,
        dims,
        "dilation_rate",
    )
    spatial = images.shape[2:] if channels_first else images.shape[1:-1]
    counts = _window_counts(windows, spatial)
    if not counts.all():
        raise ValueError(
            f"{where}: some windows of {windows.size} (rate {windows.rate}) would see nothing of "
            f"inputs of {spatial} but their padding {windows.padding}; use less padding or a "
            "larger window"
        )
    if pooling_type == "MAX":
        outputs = _lowering.pool_max(images, windows, channels_first)
    else:
        exact = _common.cast(images, _common.at_least_float32(images.dtype))
        total = _lowering.pool_sum(exact, windows, channels_first)
        axes = range(2, images.ndim) if channels_first else range(1, images.ndim - 1)
        divisor = lax.broadcast_in_dim(np.asarray(counts, total.dtype), total.shape, axes)
        outputs = _common.cast(lax.div(total, divisor), images.dtype)
    return utils.collect_named_outputs(outputs_collections, alias, outputs)


@functools.lru_cache(maxsize=128)  # a model is traced several times, with the same pools
def _window_counts(windows: Windows, spatial: tuple[int, ...]) -> np.ndarray:
    """How many real pixels each window holds, in the spatial shape of the output."""
    lines = []
    for i, length in enumerate(spatial):
        starts = np.arange(windows.count[i]) * windows.stride[i] - windows.padding[i][0]
        pixels = starts[:, None] + np.arange(windows.size[i]) * windows.rate[i]
        lines.append(((pixels >= 0) & (pixels < length)).sum(1))
    return functools.reduce(np.multiply.outer, lines)


@add_arg_scope
def max_pool2d(
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: Padding = "VALID",
    data_format: str = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The largest value of each window of an image.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      kernel_size: Height and width of the window, in pixels; one number for both.
      stride: Step from window to window in pixels. Note the default of 2.
      padding: 'VALID' (default), 'SAME', or how many pixels to add: `[(above, below),
        (left, right)]`. Padding never wins.
      data_format: 'NHWC' or 'NCHW'.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `MaxPool2D`.

    Returns:
      `[batch, new_height, new_width, channels]`, or with channels second if NCHW.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not images, an argument is not one of the above, the window does not
        fit, or a window lies in the padding alone.
    """
    return _pool(
        "max_pool2d",
        "MaxPool2D",
        "MAX",
        2,
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
    )


@add_arg_scope
def max_pool3d(
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: Padding = "VALID",
    data_format: str = "NDHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The largest value of each window of a volume.

    Args: those of `max_pool2d`, where
      inputs: `[batch, depth, height, width, channels]`, or with channels second if NCDHW.
      kernel_size, stride: One number, or depth, height and width.
      padding: 'VALID' (default), 'SAME' or three pairs `(before, after)`.
      data_format: 'NDHWC' or 'NCDHW'.
      scope: Name of the op, default `MaxPool3D`.

    Returns:
      `[batch, new_depth, new_height, new_width, channels]`, or with channels second if NCDHW.

    Raises:
      TypeError, ValueError: As `max_pool2d`.
    """
    return _pool(
        "max_pool3d",
        "MaxPool3D",
        "MAX",
        3,
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
    )


@add_arg_scope
def avg_pool2d(
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: Padding = "VALID",
    data_format: str = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The mean of each window of an image, of the pixels that are there.

    Half precision is summed in float32.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      kernel_size: Height and width of the window, in pixels; one number for both.
      stride: Step from window to window in pixels. Note the default of 2.
      padding: 'VALID' (default), 'SAME', or how many pixels to add: `[(above, below),
        (left, right)]`. Padding does not count: neither in the sum nor in what it is divided by.
      data_format: 'NHWC' or 'NCHW'.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `AvgPool2D`.

    Returns:
      `[batch, new_height, new_width, channels]`, or with channels second if NCHW.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not images, an argument is not one of the above, the window does not
        fit, or a window lies in the padding alone.
    """
    return _pool(
        "avg_pool2d",
        "AvgPool2D",
        "AVG",
        2,
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
    )


@add_arg_scope
def avg_pool3d(
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: Padding = "VALID",
    data_format: str = "NDHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The mean of each window of a volume, of the pixels that are there.

    Half precision is summed in float32.

    Args: those of `avg_pool2d`, where
      inputs: `[batch, depth, height, width, channels]`, or with channels second if NCDHW.
      kernel_size, stride: One number, or depth, height and width.
      padding: 'VALID' (default), 'SAME' or three pairs `(before, after)`.
      data_format: 'NDHWC' or 'NCDHW'.
      scope: Name of the op, default `AvgPool3D`.

    Returns:
      `[batch, new_depth, new_height, new_width, channels]`, or with channels second if NCDHW.

    Raises:
      TypeError, ValueError: As `avg_pool2d`.
    """
    return _pool(
        "avg_pool3d",
        "AvgPool3D",
        "AVG",
        3,
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
    )


@add_arg_scope
def pool(
    inputs: jax.Array,
    kernel_size: Pair,
    pooling_type: str,
    padding: Padding = "VALID",
    data_format: str | None = None,
    dilation_rate: Pair = 1,
    stride: Pair = 1,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The largest value or the mean of each window, over 1, 2 or 3 spatial dimensions.

    Differs from TF-Slim: 'SAME' and `dilation_rate` go together.

    Args:
      inputs: `[batch, *spatial, channels]`, or `[batch, channels, *spatial]` if `data_format`
        says so; the spatial dimensions are width; height and width; or depth, height and width.
      kernel_size: Size of the window in each spatial dimension, in pixels; one number for all.
      pooling_type: 'MAX', or 'AVG' for the mean of the pixels that are there.
      padding: 'VALID' (default), 'SAME', or how many pixels to add: a pair `(before, after)` for
        each spatial dimension. Padding never wins, and does not count.
      data_format: 'NWC', 'NHWC', 'NDHWC' (default) or 'NCW', 'NCHW', 'NCDHW', by rank.
      dilation_rate: Step between the pixels of a window; not together with `stride`.
      stride: Step from window to window in pixels. Note the default of 1.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `max_pool` or `avg_pool`.

    Returns:
      `[batch, *new_spatial, channels]`, or with channels second.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: Their rank is wrong; an argument is not one of the above; the window does not
        fit; a window sees padding alone; `stride` and `dilation_rate` are both above 1.
    """
    if pooling_type not in ("AVG", "MAX"):
        raise ValueError(f"pool: pooling_type must be 'AVG' or 'MAX', got {pooling_type!r}")
    return _pool(
        "pool",
        f"{pooling_type.lower()}_pool",
        pooling_type,
        None,
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
        dilation_rate,
    )
