"""Pools: the largest value or the mean of each window."""

import functools
from collections.abc import Mapping

import jax
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.layers import _common, _lowering
from jslim.layers._frame import Call, layer
from jslim.layers._ranks import ANY_RANK, IMAGES, VOLUMES, Rank
from jslim.layers._types import Names
from jslim.layers._windows import Padding, Pair, Windows


def _pool(
    call: Call,
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: Padding = "VALID",
    data_format: str = "NHWC",
    outputs_collections: Names = None,
    scope: str | None = None,
) -> jax.Array:
    """{result} of {things}.

    Args:
      inputs: `[batch, {space}, channels]`, or `[batch, channels, {space}]`
        if {first}.
      kernel_size: Size of the window in pixels: {space}; one number for all.
      stride: Step from one window to the next in pixels, in the same form. Note the default of 2.
      padding: 'VALID' (default), 'SAME', or how many pixels to add: a list with a pair `(before,
        after)` for each spatial dimension. {of_padding}
      data_format: {last} (default) or {first}.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `{default_scope}`.

    Returns:
      `[batch, {new_space}, channels]`, or with channels second if {first}.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` are not {things}, an argument is not as above, the window does not fit,
        or a window lies in the padding alone.{example}
    """
    images = call.images(call.floating(inputs))
    windows = call.windows(images, kernel_size, stride, padding)
    return _pooled(call, call.member, images, windows)


def _pooled(call: Call, pooling_type: str, images: jax.Array, windows: Windows) -> jax.Array:
    """The result of any pool."""
    spatial = tuple(images.shape[axis] for axis in windows.axes)
    counts = _window_counts(windows, spatial)
    if not counts.all():
        raise ValueError(
            f"{call.where}: some windows of {windows.size} (rate {windows.rate}) would see "
            f"nothing of inputs of {spatial} but their padding {windows.padding}; use less padding "
            "or a larger window"
        )
    if pooling_type == "MAX":
        return _lowering.pool_max(images, windows)
    total = _lowering.pool_sum(call.exact(images), windows)
    counts = np.asarray(counts, total.dtype)
    return lax.div(total, lax.broadcast_in_dim(counts, total.shape, windows.axes))


@functools.lru_cache(maxsize=128)  # a model is traced several times, with the same pools
def _window_counts(windows: Windows, spatial: tuple[int, ...]) -> np.ndarray:
    """The number of pixels, without padding, in each window: of the spatial shape of the output."""
    lines = []
    for i, length in enumerate(spatial):
        starts = np.arange(windows.count[i]) * windows.stride[i] - windows.padding[i][0]
        pixels = starts[:, None] + np.arange(windows.size[i]) * windows.rate[i]
        lines.append(((pixels >= 0) & (pixels < length)).sum(1))
    return functools.reduce(np.multiply.outer, lines)


_RESULTS = {
    "MAX": (
        "The largest value of each window",
        "Padding never wins.",
        """

    >>> max_pool2d(np.arange(8.0).reshape(1, 2, 4, 1), 2).ravel().tolist()
    [5.0, 7.0]""",
    ),
    "AVG": (
        "The mean of each window",
        "Padding does not\n        count, neither in the sum nor in its divisor.",
        """

    >>> avg_pool2d(np.arange(8.0).reshape(1, 2, 4, 1), 2).ravel().tolist()
    [2.5, 4.5]""",
    ),
}


def _op(pooling_type: str, rank: Rank) -> layer:
    result, of_padding, example = _RESULTS[pooling_type]
    scope = f"{pooling_type.capitalize()}Pool{rank.dims}D"
    return layer(
        scope,
        f"{pooling_type.lower()}_pool{rank.dims}d",
        rank=rank,
        names=_common.op_name,
        member=pooling_type,
        words={
            "result": result,
            "of_padding": of_padding,
            "default_scope": scope,
            "example": example if rank is IMAGES else "",
        },
    )


max_pool2d = _op("MAX", IMAGES)(_pool)
max_pool3d = _op("MAX", VOLUMES)(_pool)
avg_pool2d = _op("AVG", IMAGES)(_pool)
avg_pool3d = _op("AVG", VOLUMES)(_pool)


def _scope_by_type(given: Mapping[str, object]) -> str:
    pooling_type = given.get("pooling_type", "MAX")
    checks.one_of("pool", "pooling_type", pooling_type, ("AVG", "MAX"))
    return "max_pool" if pooling_type == "MAX" else "avg_pool"


@layer(_scope_by_type, rank=ANY_RANK, names=_common.op_name)
def pool(
    call: Call,
    inputs: jax.Array,
    kernel_size: Pair,
    pooling_type: str,
    padding: Padding = "VALID",
    data_format: str | None = None,
    dilation_rate: Pair = 1,
    stride: Pair = 1,
    outputs_collections: Names = None,
    scope: str | None = None,
) -> jax.Array:
    """The largest value or the mean of each window, over 1, 2 or 3 spatial dimensions.

    Differs from TF-Slim: 'SAME' and `dilation_rate` go together.

    Args:
      inputs: `[batch, *spatial, channels]`, or `[batch, channels, *spatial]` by `data_format`;
        the spatial dimensions are width; height and width; or depth, height and width.
      kernel_size: Size of the window in each spatial dimension, in pixels; one number for all.
      pooling_type: 'MAX', or 'AVG' for the mean without padding.
      padding: 'VALID' (default), 'SAME', or how many pixels to add: a pair `(before, after)` for
        each spatial dimension. Padding never wins, and does not count.
      data_format: 'NWC', 'NHWC', 'NDHWC' (default) or 'NCW', 'NCHW', 'NCDHW', by rank.
      dilation_rate: Step between the pixels of a window; not together with `stride`.
      stride: Step from one window to the next in pixels. Note the default of 1.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `max_pool` or `avg_pool`.

    Returns:
      `[batch, *new_spatial, channels]`, or with channels second.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: `inputs` have a wrong rank; an argument is not as above; the window does not fit;
        a window lies in the padding alone; `stride` and `dilation_rate` are both above 1.

    >>> pool(np.array([[[1.0], [2.0], [3.0], [9.0]]]), 2, "AVG", stride=2).ravel().tolist()
    [1.5, 6.0]
    """
    images = call.images(call.floating(inputs))
    windows = call.windows(
        images, kernel_size, stride, padding, dilation_rate, rate_name="dilation_rate"
    )
    return _pooled(call, pooling_type, images, windows)
