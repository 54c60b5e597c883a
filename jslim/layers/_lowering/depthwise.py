"""Depthwise convolutions: each channel by filters of its own."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._bilinear import Operation, Shape, bilinear, vary_alike
from jslim.layers._lowering._windows import (
    is_cpu,
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
    *size, channels, multiplier = kernel.shape
    taps = lax.reshape(kernel, (*size, 1, channels * multiplier))
    if not is_cpu(backend):
        return lax.conv_general_dilated(
            inputs,
            taps,
            windows.stride,
            windows.padding,
            rhs_dilation=windows.rate,
            dimension_numbers=spec(len(size), channels_first),
            feature_group_count=channels,
        )
    # Sums of half precision products are kept in float32, as convolutions keep them.
    dtype = inputs.dtype if inputs.dtype.itemsize >= 4 else np.dtype(np.float32)
    seen = lax.convert_element_type(pad(inputs, windows, channels_first, 0), dtype)
    axis = 1 if channels_first else inputs.ndim - 1
    if multiplier > 1:
        # Each channel next to itself: an axis of its own for the multiplier takes twice as long.
        shape = list(seen.shape)
        shape.insert(axis + 1, multiplier)
        seen = lax.broadcast_in_dim(seen, shape, [i for i in range(len(shape)) if i != axis + 1])
        shape[axis : axis + 2] = [channels * multiplier]
        seen = lax.reshape(seen, shape)
    outputs = _weigh(
        seen,
        lax.convert_element_type(taps, dtype),
        windows=windows,
        channels_first=channels_first,
    )
    return lax.convert_element_type(outputs, inputs.dtype)


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
    cotangent: jax.Array, taps: jax.Array, shape: Shape, windows: Windows, channels_first: bool
) -> jax.Array:
    products = (
        lax.mul(cotangent, _tap(taps, index, cotangent.shape, channels_first))
        for index in range(math.prod(windows.size))
    )
    return functools.reduce(lax.add, transposed_shifts(products, shape, windows, channels_first))


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


def _output_shape(seen: Shape, taps: Shape, windows: Windows, channels_first: bool) -> Shape:
    del taps
    shape = list(seen)
    axes = spatial_axes(len(windows.size), channels_first)
    for axis, count in zip(axes, windows.count, strict=True):
        shape[axis] = count
    return tuple(shape)


def _taps_shape(seen: Shape, cotangent: Shape, windows: Windows, channels_first: bool) -> Shape:
    del cotangent
    return (*windows.size, 1, seen[1 if channels_first else len(seen) - 1])


def _batch_into_channels(array: jax.Array, batch: int | None, size: int, axis: int) -> jax.Array:
    """Examples of a `vmap` as channels: the array with `size` times as many at `axis`."""
    if batch is None:
        array = lax.broadcast(array, (size,))
        batch = 0
    array = jnp.moveaxis(array, batch, axis)
    return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])


def _channels_into_batch(array: jax.Array, size: int, axis: int) -> tuple[jax.Array, int]:
    return array.reshape(*array.shape[:axis], size, -1, *array.shape[axis + 1 :]), axis


def _vectorize(
    operation: Operation,
    arrays: Sequence[jax.Array],
    axes: Sequence[int | None],
    *,
    of_taps: int,
    **static: Any,
) -> tuple[jax.Array, int]:
    """`of_taps`: which array holds weights: 1, or 2 for the output."""
    (size,) = {a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None}
    rank = arrays[0].ndim - (axes[0] is not None)
    channel_axis = 1 if static["channels_first"] else rank - 1
    of = [channel_axis] * 3
    of[of_taps] = rank - 1
    inputs = [
        _batch_into_channels(array, axis, size, of[i])
        for i, (array, axis) in enumerate(zip(arrays, axes, strict=True))
    ]
    return _channels_into_batch(operation(*inputs, **static), size, of[2])


def _vectorize_weigh(
    operation: Operation, arrays: Sequence[jax.Array], axes: Sequence[int | None], **static: Any
) -> tuple[jax.Array, int]:
    if axes[1] is not None:
        return _vectorize(operation, arrays, axes, of_taps=1, **static)
    # With the same weights for all, examples of the `vmap` are examples of a batch.
    seen = jnp.moveaxis(arrays[0], axes[0] or 0, 0)
    outputs = operation(seen.reshape(-1, *seen.shape[2:]), arrays[1], **static)
    return outputs.reshape(*seen.shape[:2], *outputs.shape[1:]), 0


_correlate: Operation = bilinear(
    "depthwise_correlate",
    _sum_of_products,
    _taps_shape,
    by_first=lambda cotangent, other, shape, **static: _spread_to_inputs(
        other, cotangent, shape, **static
    ),
    by_second=lambda cotangent, seen, shape, **static: _weigh(seen, cotangent, **static),
    vectorize=functools.partial(_vectorize, of_taps=2),
)
_weigh: Operation = bilinear(
    "depthwise_convolve",
    _sum_of_shifts,
    _output_shape,
    by_first=_spread_to_inputs,
    by_second=lambda cotangent, seen, shape, **static: _correlate(seen, cotangent, **static),
    vectorize=_vectorize_weigh,
)
