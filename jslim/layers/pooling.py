"""Pooling over windows of an image."""

from collections.abc import Sequence

import jax
import numpy as np
from jax import lax

from jslim._arg_scope import add_arg_scope
from jslim.layers import _common, _lowering, utils
from jslim.layers._common import Pair, Windows


@add_arg_scope
def max_pool2d(
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: str = "VALID",
    data_format: str = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The largest value of each window.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      kernel_size: Height and width of the window, in pixels; one number for both.
      stride: Step from window to window in pixels. Note the default of 2.
      padding: 'VALID' (default) or 'SAME'; padding never wins.
      data_format: 'NHWC' or 'NCHW'.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `MaxPool2D`.

    Returns:
      `[batch, new_height, new_width, channels]`, or with channels second if NCHW.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not images, an argument is not one of the above, or the window does
        not fit.
    """
    name = _common.op_name(scope, "MaxPool2D")
    where = f"max_pool2d at {name!r}"
    channels_first = _common.is_channels_first(where, data_format)
    images, windows = _common.images_and_windows(
        where, inputs, None, kernel_size, stride, padding, 1, channels_first
    )
    outputs = _lowering.pool_max(images, windows, channels_first)
    return utils.collect_named_outputs(outputs_collections, name, outputs)


@add_arg_scope
def avg_pool2d(
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: str = "VALID",
    data_format: str = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """The mean of each window; with 'SAME' the mean of the pixels that are there.

    Half precision is summed in float32.

    Args:
      inputs: `[batch, height, width, channels]`, or `[batch, channels, height, width]` if NCHW.
      kernel_size: Height and width of the window, in pixels; one number for both.
      stride: Step from window to window in pixels. Note the default of 2.
      padding: 'VALID' (default) or 'SAME'; padding does not count.
      data_format: 'NHWC' or 'NCHW'.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `AvgPool2D`.

    Returns:
      `[batch, new_height, new_width, channels]`, or with channels second if NCHW.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not images, an argument is not one of the above, or the window does
        not fit.
    """
    name = _common.op_name(scope, "AvgPool2D")
    where = f"avg_pool2d at {name!r}"
    channels_first = _common.is_channels_first(where, data_format)
    images, windows = _common.images_and_windows(
        where, inputs, None, kernel_size, stride, padding, 1, channels_first
    )
    exact = _common.cast(images, _common.at_least_float32(images.dtype))
    total = _lowering.pool_sum(exact, windows, channels_first)
    mean = lax.div(total, _window_counts(windows, exact, total.shape, channels_first))
    outputs = _common.cast(mean, images.dtype)
    return utils.collect_named_outputs(outputs_collections, name, outputs)


def _window_counts(
    windows: Windows, inputs: jax.Array, shape: tuple[int, ...], channels_first: bool
) -> jax.Array:
    """How many real pixels each window holds, in the shape of the output."""
    axes = (2, 3) if channels_first else (1, 2)
    counts = []
    for i, axis in enumerate(axes):
        start = np.arange(windows.count[i]) * windows.stride[i] - windows.padding[i][0]
        end = np.minimum(start + windows.size[i], inputs.shape[axis])
        counts.append(end - np.maximum(start, 0))
    image = np.asarray(np.outer(*counts), inputs.dtype)
    return lax.broadcast_in_dim(image, shape, axes)
