"""The largest value and the sum of each window."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._choices import choices
from jslim.layers._lowering._windows import pad, shifts, spatial_axes


def _reduce_windows(
    inputs: jax.Array,
    windows: Windows,
    channels_first: bool,
    start: float,
    combine: Callable[[Any, Any], Any],
) -> jax.Array:
    rank = inputs.ndim
    size, stride, rate, padding = [1] * rank, [1] * rank, [1] * rank, [(0, 0)] * rank
    for i, axis in enumerate(spatial_axes(rank - 2, channels_first)):
        size[axis], stride[axis] = windows.size[i], windows.stride[i]
        rate[axis], padding[axis] = windows.rate[i], windows.padding[i]
    return lax.reduce_window(
        inputs,
        np.asarray(start, inputs.dtype)[()],
        combine,
        size,
        stride,
        padding,
        window_dilation=rate,
    )


def _line_shifts(inputs: jax.Array, windows: Windows, i: int, axis: int) -> list[jax.Array]:
    """What all windows see along the spatial dimension `i`, for each position in the window."""
    extent = (windows.count[i] - 1) * windows.stride[i] + 1
    starts = range(0, windows.size[i] * windows.rate[i], windows.rate[i])
    return [
        lax.slice_in_dim(inputs, start, start + extent, windows.stride[i], axis) for start in starts
    ]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _largest(inputs: jax.Array, windows: Windows, axes: tuple[int, ...]) -> jax.Array:
    """The largest value of each window: along its last dimension, of those the next, and so on."""
    for i in reversed(range(len(axes))):
        inputs = functools.reduce(lax.max, _line_shifts(inputs, windows, i, axes[i]))
    return inputs


# The whole gradient goes to the first of equals in row-major order, as in TensorFlow; lax.max
# would divide it. Written for the pool as a whole, since that is traced in half the time.
@_largest.defjvp
def _largest_jvp(
    windows: Windows, axes: tuple[int, ...], primals: tuple[Any], tangents: tuple[Any]
) -> tuple[jax.Array, jax.Array]:
    (best,), (best_dot,) = primals, tangents
    for i in reversed(range(len(axes))):
        best, *others = _line_shifts(best, windows, i, axes[i])
        best_dot, *others_dot = _line_shifts(best_dot, windows, i, axes[i])
        for other, other_dot in zip(others, others_dot, strict=True):
            # `other != other` is its NaN, which must win too.
            is_larger = lax.bitwise_or(lax.gt(other, best), lax.ne(other, other))
            best = lax.select(is_larger, other, best)
            best_dot = lax.select(is_larger, other_dot, best_dot)
    return best, best_dot


def pool_max(
    inputs: jax.Array, windows: Windows, channels_first: bool, backend: str | None = None
) -> jax.Array:
    """The largest value of each window; padding never wins."""
    is_small = sum(windows.size) <= choices(backend).most_shifts_for_max
    # JAX has no gradient of a window reduction with a rate.
    if max(windows.rate) == 1 and not is_small:
        return _reduce_windows(inputs, windows, channels_first, -np.inf, lax.max)
    padded = pad(inputs, windows, channels_first, -np.inf)
    return _largest(padded, windows, spatial_axes(inputs.ndim - 2, channels_first))


def pool_sum(
    inputs: jax.Array, windows: Windows, channels_first: bool, backend: str | None = None
) -> jax.Array:
    """The sum of each window."""
    if math.prod(windows.size) > choices(backend).most_shifts_for_sum:
        return _reduce_windows(inputs, windows, channels_first, 0.0, lax.add)
    padded = pad(inputs, windows, channels_first, 0.0)
    return functools.reduce(lax.add, shifts(padded, windows, channels_first))
