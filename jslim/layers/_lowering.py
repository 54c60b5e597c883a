"""How convolutions and pools are computed, chosen per backend: the one place that does so.

XLA's CPU backend has a fast path for ordinary convolutions only. Measured on two cores, batch 8
to 128, jax 0.10.2; `python -m benchmarks.lowerings` prints how many times as fast these are:

                                              forward      with gradients
    depthwise convolution by shifts           8 to 28      1.4 to 30
    1x1 convolution as a matrix product       0.9 to 3.7   1.9 to 6
    max pool by shifts, rows then columns     0.7 to 24    1.2 to 15
    average pool up to 3x3 by shifts          0.7 to 2.3   1.2 to 8

For larger windows the gradient of an average pool by shifts costs more than it saves, and shifts
by the dozen take long to trace. Other backends get XLA's operations. The backend is
`jax.default_backend()`: asking for the platform that a trace is lowered for would trace every
layer once per platform, and either way the numbers are equal.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows

_MOST_SHIFTS_OF_A_MAX = 32
_MOST_SHIFTS_OF_A_SUM = 9


def _is_cpu(backend: str | None) -> bool:
    return (backend or jax.default_backend()) == "cpu"


def _spec(channels_first: bool, kernel: str = "HWIO") -> tuple[str, str, str]:
    layout = "NCHW" if channels_first else "NHWC"
    return layout, kernel, layout


def _spatial_axes(channels_first: bool) -> tuple[int, int]:
    return (2, 3) if channels_first else (1, 2)


def _pad(inputs: jax.Array, windows: Windows, channels_first: bool, value: float) -> jax.Array:
    if not any(map(any, windows.padding)):
        return inputs
    config = [(0, 0, 0)] * inputs.ndim
    for axis, (before, after) in zip(_spatial_axes(channels_first), windows.padding, strict=True):
        config[axis] = (before, after, 0)
    return lax.pad(inputs, np.asarray(value, inputs.dtype), config)


def _shifts(inputs: jax.Array, windows: Windows, channels_first: bool) -> Iterator[jax.Array]:
    """What all windows see, for each position in the window in row-major order."""
    axes = _spatial_axes(channels_first)
    for position in itertools.product(*map(range, windows.size)):
        start, limit, stride = [0] * inputs.ndim, list(inputs.shape), [1] * inputs.ndim
        for i, axis in enumerate(axes):
            start[axis] = position[i] * windows.rate[i]
            stride[axis] = windows.stride[i]
            limit[axis] = start[axis] + (windows.count[i] - 1) * stride[axis] + 1
        yield lax.slice(inputs, start, limit, stride)


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Cross-correlation with a kernel `[height, width, in, out]`."""
    if windows.size == (1, 1) and not channels_first and _is_cpu(backend):
        # A 1x1 window never needs padding, so a stride only leaves pixels out.
        (pixels,) = _shifts(inputs, windows, channels_first)
        matrix = lax.reshape(kernel, kernel.shape[2:])
        return lax.dot_general(pixels, matrix, (((3,), (0,)), ((), ())))
    return lax.conv_general_dilated(
        inputs,
        kernel,
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=_spec(channels_first),
    )


def convolve_depthwise(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Each channel by filters of its own, `[height, width, channels, multiplier]`.

    Output channel `c * multiplier + m` is input channel `c` by its filter `m`.
    """
    height, width, channels, multiplier = kernel.shape
    if not _is_cpu(backend):
        return lax.conv_general_dilated(
            inputs,
            lax.reshape(kernel, (height, width, 1, channels * multiplier)),
            windows.stride,
            windows.padding,
            rhs_dilation=windows.rate,
            dimension_numbers=_spec(channels_first),
            feature_group_count=channels,
        )
    # Sums of half precision products are kept in float32, as convolutions keep them.
    dtype = inputs.dtype if inputs.dtype.itemsize >= 4 else np.dtype(np.float32)
    seen = lax.convert_element_type(_pad(inputs, windows, channels_first, 0), dtype)
    axis = 1 if channels_first else 3
    if multiplier > 1:
        # Each channel next to itself: an axis of its own for the multiplier takes twice as long.
        shape = list(seen.shape)
        shape.insert(axis + 1, multiplier)
        seen = lax.broadcast_in_dim(seen, shape, [i for i in range(5) if i != axis + 1])
        shape[axis : axis + 2] = [channels * multiplier]
        seen = lax.reshape(seen, shape)
    taps = lax.reshape(kernel, (height * width, channels * multiplier))
    taps = lax.convert_element_type(taps, dtype)
    products = []
    for index, pixels in enumerate(_shifts(seen, windows, channels_first)):
        tap = lax.slice_in_dim(taps, index, index + 1)
        products.append(lax.mul(pixels, lax.broadcast_in_dim(tap, pixels.shape, (0, axis))))
    return lax.convert_element_type(functools.reduce(lax.add, products), inputs.dtype)


def convolve_transposed(
    inputs: jax.Array,
    kernel: jax.Array,
    stride: tuple[int, int],
    is_same: bool,
    channels_first: bool,
) -> jax.Array:
    """The gradient of a convolution by its inputs, kernel `[height, width, out, in]`."""
    padding = []
    for axis, size, step in zip(
        _spatial_axes(channels_first), kernel.shape[:2], stride, strict=True
    ):
        # What the convolution would have padded before and after, SAME at length * step.
        overlap = max(size - step, 0)
        before = overlap // 2 if is_same else 0
        length = inputs.shape[axis] * step + (0 if is_same else overlap)
        spread_length = (inputs.shape[axis] - 1) * step + 1
        padding.append((size - 1 - before, length - spread_length + before))
    return lax.conv_general_dilated(
        inputs,
        lax.rev(kernel, (0, 1)),
        (1, 1),
        padding,
        lhs_dilation=stride,
        dimension_numbers=_spec(channels_first, "HWOI"),
    )


def _reduce_windows(
    inputs: jax.Array,
    windows: Windows,
    channels_first: bool,
    start: float,
    combine: Callable[[Any, Any], Any],
) -> jax.Array:
    size, stride, padding = [1] * 4, [1] * 4, [(0, 0)] * 4
    for i, axis in enumerate(_spatial_axes(channels_first)):
        size[axis], stride[axis] = windows.size[i], windows.stride[i]
        padding[axis] = windows.padding[i]
    return lax.reduce_window(
        inputs, np.asarray(start, inputs.dtype)[()], combine, size, stride, padding
    )


def _line_shifts(inputs: jax.Array, windows: Windows, i: int, axis: int) -> list[jax.Array]:
    """What all windows see along the spatial dimension `i`, for each position in the window."""
    extent = (windows.count[i] - 1) * windows.stride[i] + 1
    return [
        lax.slice_in_dim(inputs, start, start + extent, windows.stride[i], axis)
        for start in range(windows.size[i])
    ]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _largest(inputs: jax.Array, windows: Windows, axes: tuple[int, int]) -> jax.Array:
    """The largest value of each window: of its rows, and then of those."""
    for i in (1, 0):
        inputs = functools.reduce(lax.max, _line_shifts(inputs, windows, i, axes[i]))
    return inputs


# The whole gradient goes to the first of equals in row-major order, as in TensorFlow; lax.max
# would divide it. Written for the pool as a whole, since that is traced in half the time.
@_largest.defjvp
def _largest_jvp(
    windows: Windows, axes: tuple[int, int], primals: tuple[Any], tangents: tuple[Any]
) -> tuple[jax.Array, jax.Array]:
    (best,), (best_dot,) = primals, tangents
    for i in (1, 0):
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
    if sum(windows.size) > _MOST_SHIFTS_OF_A_MAX or not _is_cpu(backend):
        return _reduce_windows(inputs, windows, channels_first, -np.inf, lax.max)
    padded = _pad(inputs, windows, channels_first, -np.inf)
    return _largest(padded, windows, _spatial_axes(channels_first))


def pool_sum(
    inputs: jax.Array, windows: Windows, channels_first: bool, backend: str | None = None
) -> jax.Array:
    """The sum of each window."""
    if math.prod(windows.size) > _MOST_SHIFTS_OF_A_SUM or not _is_cpu(backend):
        return _reduce_windows(inputs, windows, channels_first, 0.0, lax.add)
    padded = _pad(inputs, windows, channels_first, 0.0)
    return functools.reduce(lax.add, _shifts(padded, windows, channels_first))
