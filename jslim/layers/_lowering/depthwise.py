"""Depthwise convolutions: each channel by filters of its own."""

import functools
import itertools
import math
from typing import Any

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._bilinear import bilinear
from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._primitives import Shape, transpose, vary_alike
from jslim.layers._lowering._windows import (
    output_shape,
    pad,
    shifts,
    spatial_axes,
    spec,
    transposed_shifts,
)

_ROWS_AT_ONCE = 4


def convolve_depthwise(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Each channel by filters of its own, `[*window, channels, multiplier]`.

    Output channel `c * multiplier + m` is input channel `c` by its filter `m`.
    """
    return _convolve.forward(
        inputs, kernel, backend, windows=windows, channels_first=channels_first
    )


def _compute(
    choices: Choices, inputs: jax.Array, kernel: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    if choices.shifts_for_depthwise:
        seen = _seen(inputs, kernel.shape, windows, channels_first)
        outputs = _sum_of_shifts(seen, _taps(kernel), windows, channels_first)
        return lax.convert_element_type(outputs, inputs.dtype)
    *size, channels, multiplier = kernel.shape
    return lax.conv_general_dilated(
        inputs,
        lax.reshape(kernel, (*size, 1, channels * multiplier)),
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=spec(len(size), channels_first),
        feature_group_count=channels,
    )


def _exact(array: jax.Array) -> jax.Array:
    # Sums of half precision products are kept in float32, as convolutions keep them.
    dtype = array.dtype if array.dtype.itemsize >= 4 else np.dtype(np.float32)
    return lax.convert_element_type(array, dtype)


def _taps(kernel: jax.Array) -> jax.Array:
    """The kernel as `[*window, 1, outputs]`."""
    *size, channels, multiplier = kernel.shape
    return _exact(lax.reshape(kernel, (*size, 1, channels * multiplier)))


def _seen(inputs: jax.Array, kernel: Shape, windows: Windows, channels_first: bool) -> jax.Array:
    """The inputs with their padding, and with a channel for each output."""
    seen = _exact(pad(inputs, windows, channels_first, 0))
    *_, channels, multiplier = kernel
    if multiplier > 1:
        # Each channel next to itself: an axis of its own for the multiplier takes twice as long.
        axis = 1 if channels_first else inputs.ndim - 1
        shape = list(seen.shape)
        shape.insert(axis + 1, multiplier)
        seen = lax.broadcast_in_dim(seen, shape, [i for i in range(len(shape)) if i != axis + 1])
        shape[axis : axis + 2] = [channels * multiplier]
        seen = lax.reshape(seen, shape)
    return seen


def _tap(taps: jax.Array, index: int, shape: Shape, channels_first: bool) -> jax.Array:
    """The weights at one position of the window, in the shape of outputs."""
    rows = lax.reshape(taps, (math.prod(taps.shape[:-1]), taps.shape[-1]))
    axis = 1 if channels_first else len(shape) - 1
    return lax.broadcast_in_dim(lax.slice_in_dim(rows, index, index + 1), shape, (0, axis))


def _sum_of_shifts(
    seen: jax.Array, taps: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    """What the windows see, by the weights of its positions `[*window, 1, channels]`, summed."""
    return functools.reduce(
        lax.add,
        (
            lax.mul(pixels, _tap(taps, index, pixels.shape, channels_first))
            for index, pixels in enumerate(shifts(seen, windows, channels_first))
        ),
    )


def _spread_to_inputs(
    choices: Choices,
    cotangent: jax.Array,
    kernel: jax.Array,
    shape: Shape,
    windows: Windows,
    channels_first: bool,
) -> jax.Array:
    del choices
    taps, exact = _taps(kernel), _exact(cotangent)
    products = (
        lax.mul(exact, _tap(taps, index, exact.shape, channels_first))
        for index in range(math.prod(windows.size))
    )

    def seen(inputs: jax.Array) -> jax.Array:
        return _seen(inputs, kernel.shape, windows, channels_first)

    inputs = jax.ShapeDtypeStruct(shape, cotangent.dtype)
    seen_shape = jax.eval_shape(seen, inputs).shape
    total = functools.reduce(
        lax.add, transposed_shifts(products, seen_shape, windows, channels_first)
    )
    return transpose(seen, inputs, _materialized(total))


def _materialized(array: jax.Array) -> jax.Array:
    """The array, in memory.

    XLA's CPU backend would compute these sums anew for each use, element by element where that is
    a sum itself (the gradient of a batch normalization took 10 times as long), and it drops
    optimization barriers. It does not look through a branch that it cannot foresee.
    """
    first = lax.reshape(lax.slice(array, (0,) * array.ndim, (1,) * array.ndim), ())
    bits = lax.bitcast_convert_type(lax.convert_element_type(first, np.float32), np.int32)
    # 0 or -1: the sign of any number, infinite ones and NaN included.
    never = lax.gt(lax.shift_right_arithmetic(bits, np.int32(31)), np.int32(0))
    return lax.cond(never, lax.neg, lambda kept: kept, array)


def _sum_of_products(
    seen: jax.Array, cotangent: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    """For each position of the window what it sees, by the cotangent, summed per channel.

    XLA's CPU backend computes a sum over slices one number at a time, and reads the arrays once
    for each position. So sums of a few rows of the map are taken at once, for all positions, in a
    loop, whose body is compiled to vector instructions; what is left to sum is a row.
    """
    first, *others = spatial_axes(len(windows.size), channels_first)
    count, stride, rate = windows.count[0], windows.stride[0], windows.rate[0]
    at_once = max(n for n in range(1, _ROWS_AT_ONCE + 1) if count % n == 0)
    limits = list(seen.shape)
    steps = [1] * seen.ndim
    for i, axis in enumerate(others, 1):
        limits[axis] = (windows.count[i] - 1) * windows.stride[i] + 1
        steps[axis] = windows.stride[i]
    limits[first] = 1

    def add_rows(block: Any, sums: list[jax.Array]) -> list[jax.Array]:
        sums = list(sums)
        block = lax.convert_element_type(block, np.int32)  # of 64 bits where JAX has them
        for row in range(at_once):
            output_row = lax.add(lax.mul(block, np.int32(at_once)), np.int32(row))
            factor = lax.dynamic_slice_in_dim(cotangent, output_row, 1, first)
            top = lax.mul(output_row, np.int32(stride))
            for index, position in enumerate(itertools.product(*map(range, windows.size))):
                start: list[Any] = [np.int32(0)] * seen.ndim
                start[first] = lax.add(top, np.int32(position[0] * rate))
                for i, axis in enumerate(others, 1):
                    start[axis] = np.int32(position[i] * windows.rate[i])
                pixels = lax.dynamic_slice(seen, start, limits)
                pixels = lax.slice(pixels, [0] * seen.ndim, limits, steps)
                sums[index] = lax.add(sums[index], lax.mul(pixels, factor))
        return sums

    row_shape = list(cotangent.shape)
    row_shape[first] = 1
    zeros, _ = vary_alike(lax.full(row_shape, 0, seen.dtype), cotangent)
    blocks = np.int32(count // at_once)
    sums = lax.fori_loop(np.int32(0), blocks, add_rows, [zeros] * math.prod(windows.size))
    channel_axis = 1 if channels_first else seen.ndim - 1
    rows = lax.concatenate([lax.expand_dims(total, (0,)) for total in sums], 0)
    totals = lax.reduce_sum(rows, [i + 1 for i in range(seen.ndim) if i != channel_axis])
    return lax.reshape(totals, (*windows.size, 1, totals.shape[1]))


def _correlate(
    choices: Choices,
    inputs: jax.Array,
    cotangent: jax.Array,
    shape: Shape,
    windows: Windows,
    channels_first: bool,
) -> jax.Array:
    del choices
    seen = _seen(inputs, shape, windows, channels_first)
    total = _sum_of_products(seen, _exact(cotangent), windows, channels_first)
    return transpose(_taps, jax.ShapeDtypeStruct(shape, inputs.dtype), total)


def _convolved_shape(inputs: Shape, kernel: Shape, **static: Any) -> Shape:
    return output_shape(inputs, kernel[-2] * kernel[-1], **static)


_convolve = bilinear(
    "depthwise",
    _compute,
    _convolved_shape,
    is_xlas=lambda choices, *shapes, **static: not choices.shifts_for_depthwise,
    by_first=_spread_to_inputs,
    by_second=_correlate,
)
