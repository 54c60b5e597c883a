"""Pools: the largest value or the mean of each window."""

import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.layers import _common, _lowering
from jslim.layers._common import ANY_RANK, IMAGES, VOLUMES, Padding, Pair, Rank, Windows
from jslim.layers._frame import Call, layer


def _pool(
    call: Call,
    inputs: jax.Array,
    kernel_size: Pair,
    stride: Pair = 2,
    padding: Padding = "VALID",
    data_format: str = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> jax.Array:
    """{result} of {things}.

    Args:
      inputs: `[batch, {space}, channels]`, or `[batch, channels, {space}]`
        if {first}.
      kernel_size: Size of the window in pixels: {space}; one number for all.
      stride: Step from window to window in pixels, in the same form. Note the default of 2.
      padding: 'VALID' (default), 'SAME', or how many pixels to add: a list of one pair `(before,
        after)` for each spatial dimension. {of_padding}
      data_format: {last} (default) or {first}.
      outputs_collections: Collections to add the result to.
      scope: Name of the op, default `{default_scope}`.

    Returns:
      `[batch, {new_space}, channels]`, or with channels second if {first}.

    Raises:
      TypeError: `inputs` are not floating point.
      ValueError: They are not {things}, an argument is not one of the above, the window does not
        fit, or a window lies in the padding alone.
    """
    images = call.images(call.floating(inputs))
    windows = call.windows(images, kernel_size, stride, padding, rate_name="dilation_rate")
    return _pooled(call, call.member, images, windows)


def _pooled(call: Call, pooling_type: str, images: jax.Array, windows: Windows) -> jax.Array:
    """What all pools compute."""
    spatial = call.spatial(images)
    counts = _window_counts(windows, spatial)
    if not counts.all():
        raise ValueError(
            f"{call.where}: some windows of {windows.size} (rate {windows.rate}) would see "
            f"nothing of inputs of {spatial} but their padding {windows.padding}; use less padding "
            "or a larger window"
        )
    if pooling_type == "MAX":
        return _lowering.pool_max(images, windows, call.channels_first)
    total = _lowering.pool_sum(call.exact(images), windows, call.channels_first)
    axes = range(2, images.ndim) if call.channels_first else range(1, images.ndim - 1)
    divisor = lax.broadcast_in_dim(np.asarray(counts, total.dtype), total.shape, axes)
    return lax.div(total, divisor)


@functools.lru_cache(maxsize=128)  # a model is traced several times, with the same pools
def _window_counts(windows: Windows, spatial: tuple[int, ...]) -> np.ndarray:
    """How many real pixels each window holds, in the spatial shape of the output."""
    lines = []
    for i, length in enumerate(spatial):
        starts = np.arange(windows.count[i]) * windows.stride[i] - windows.padding[i][0]
        pixels = starts[:, None] + np.arange(windows.size[i]) * windows.rate[i]
        lines.append(((pixels >= 0) & (pixels < length)).sum(1))
    return functools.reduce(np.multiply.outer, lines)


_RESULTS = {
    "MAX": ("The largest value of each window", "Padding never wins."),
    "AVG": (
        "The mean of each window",
        "Padding does not\n        count: neither in the sum nor in what it is divided by.",
    ),
}


def _op(pooling_type: str, rank: Rank) -> layer:
    result, of_padding = _RESULTS[pooling_type]
    scope = f"{pooling_type.capitalize()}Pool{rank.dims}D"
    return layer(
        scope,
        f"{pooling_type.lower()}_pool{rank.dims}d",
        rank=rank,
        member=pooling_type,
        names=_common.op_name,
        words={"result": result, "of_padding": of_padding, "default_scope": scope},
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
    images = call.images(call.floating(inputs))
    windows = call.windows(
        images, kernel_size, stride, padding, dilation_rate, rate_name="dilation_rate"
    )
    return _pooled(call, pooling_type, images, windows)
