"""Depthwise convolutions: each channel by filters of its own."""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jslim.layers._common import at_least_float32, cast
from jslim.layers._lowering._barriers import materialized
from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._linear import bilinear
from jslim.layers._lowering._primitives import Shape, transpose, vary_alike
from jslim.layers._lowering._windows import convolve_by_xla, pad, shifts, transposed_shifts
from jslim.layers._windows import Windows

_ROWS_AT_ONCE = 4
_LANES = 128  # channels that a TPU computes at once


def convolve_depthwise(inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """Each channel by filters of its own, `[*window, channels, multiplier]`.

    Output channel `c * multiplier + m` is input channel `c` by its filter `m`.
    """
    return _convolve.forward(inputs, kernel, windows=windows)


def _compute(choices: Choices, inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    if choices.shifts_for_depthwise:
        seen = _seen(inputs, kernel.shape, windows)
        products = _products(shifts(seen, windows), kernel, windows)
        return cast(functools.reduce(lax.add, products), inputs.dtype)
    if _is_of_blocks(choices, kernel.shape, windows):
        return _convolve_blocks(inputs, kernel, windows, choices.block_for_depthwise)
    *size, channels, multiplier = kernel.shape
    kernel = lax.reshape(kernel, (*size, 1, channels * multiplier))
    return convolve_by_xla(inputs, kernel, windows, groups=channels)


def _is_of_blocks(choices: Choices, kernel: Shape, windows: Windows) -> bool:
    *_, channels, multiplier = kernel
    block = choices.block_for_depthwise
    fits = block > 0 and channels % block == 0 and channels % _LANES > 0
    return fits and multiplier == 1 and not windows.channels_first


def _is_xlas(choices: Choices, inputs: Shape, kernel: Shape, windows: Windows) -> bool:
    return not (choices.shifts_for_depthwise or _is_of_blocks(choices, kernel, windows))


def _convolve_blocks(
    inputs: jax.Array, kernel: jax.Array, windows: Windows, block: int
) -> jax.Array:
    """By a kernel `[*window, block, channels]`, whose blocks are zero beside the diagonal.

    An infinite or NaN input makes NaN of that output in all channels of its block.
    """
    *size, channels, _ = kernel.shape
    dims, groups = len(size), channels // block
    shape = (*size, block, groups, block)
    rows = lax.reshape(kernel, (*size, groups, block))
    rows = lax.broadcast_in_dim(rows, shape, (*range(dims), dims + 1, dims + 2))
    row, column = (lax.broadcasted_iota(np.int32, shape, axis) for axis in (dims, dims + 2))
    blocks = lax.select(lax.eq(row, column), rows, lax.full_like(rows, 0))
    return convolve_by_xla(inputs, lax.reshape(blocks, (*size, block, channels)), windows, groups)


def _exact(array: jax.Array) -> jax.Array:
    # Sums of half precision products are kept in float32, as convolutions keep them.
    return cast(array, at_least_float32(array.dtype))


def _taps(kernel: jax.Array) -> jax.Array:
    """The kernel as a matrix `[positions in the window, outputs]`."""
    *size, channels, multiplier = kernel.shape
    return _exact(lax.reshape(kernel, (math.prod(size), channels * multiplier)))


def _seen(inputs: jax.Array, kernel: Shape, windows: Windows) -> jax.Array:
    """The inputs with their padding, and with a channel for each output."""
    seen = _exact(pad(inputs, windows))
    # An axis of its own for the multiplier takes twice as long.
    return jnp.repeat(seen, kernel[-1], windows.channel_axis) if kernel[-1] > 1 else seen


def _products(
    arrays: Iterable[jax.Array], kernel: jax.Array, windows: Windows
) -> Iterator[jax.Array]:
    """The array for each position of the window, by the weights of that position."""
    taps = _taps(kernel)
    for index, array in enumerate(arrays):
        tap = lax.slice_in_dim(taps, index, index + 1)
        yield lax.mul(array, lax.broadcast_in_dim(tap, array.shape, (0, windows.channel_axis)))


def _spread_to_inputs(
    choices: Choices, cotangent: jax.Array, kernel: jax.Array, shape: Shape, windows: Windows
) -> jax.Array | None:
    if not choices.shifts_for_depthwise:
        return None
    cotangents = itertools.repeat(_exact(cotangent), math.prod(windows.size))
    products = _products(cotangents, kernel, windows)

    def seen(inputs: jax.Array) -> jax.Array:
        return _seen(inputs, kernel.shape, windows)

    inputs = jax.ShapeDtypeStruct(shape, cotangent.dtype)
    seen_shape = jax.eval_shape(seen, inputs).shape
    total = functools.reduce(lax.add, transposed_shifts(products, seen_shape, windows))
    # The next operations would be slow if they had to compute this sum themselves.
    return transpose(seen, inputs, materialized(total))


def _correlate(
    choices: Choices, inputs: jax.Array, cotangent: jax.Array, shape: Shape, windows: Windows
) -> jax.Array | None:
    """For each position of the window its pixels times the cotangent, summed for each channel.

    XLA's CPU backend computes a sum over slices one number at a time, and reads the arrays once
    for each position. So a loop takes a few rows of the map at once and adds up, for all positions,
    one row of sums; its body is compiled to vector instructions. The rows are summed in the end.
    """
    if not choices.shifts_for_depthwise:  # XLA's own, which needs no blocks
        return transpose(
            lambda kernel: _compute(Choices(), inputs, kernel, windows),
            jax.ShapeDtypeStruct(shape, inputs.dtype),
            cotangent,
        )
    seen, cotangent = _seen(inputs, shape, windows), _exact(cotangent)
    top, count, step = windows.axes[0], windows.count[0], windows.stride[0]
    at_once = max(n for n in range(1, _ROWS_AT_ONCE + 1) if count % n == 0)
    row_shape = list(cotangent.shape)
    row_shape[top] = 1
    steps = windows.on_all_axes(windows.stride, 1)
    limits = [(n - 1) * stride + 1 for n, stride in zip(row_shape, steps, strict=True)]

    def add_rows(block: jax.Array, sums: list[jax.Array]) -> list[jax.Array]:
        sums = list(sums)
        block = lax.convert_element_type(block, np.int32)  # of 64 bits where JAX has them
        for row in range(at_once):
            output_row = lax.add(lax.mul(block, np.int32(at_once)), np.int32(row))
            factor = lax.dynamic_slice_in_dim(cotangent, output_row, 1, top)
            first = lax.mul(output_row, np.int32(step))
            for index, (down, *across) in enumerate(windows.positions):
                at: list[ArrayLike] = [lax.add(first, np.int32(down)), *map(np.int32, across)]
                pixels = lax.dynamic_slice(seen, windows.on_all_axes(at, np.int32(0)), limits)
                pixels = lax.slice(pixels, [0] * seen.ndim, limits, steps)
                sums[index] = lax.add(sums[index], lax.mul(pixels, factor))
        return sums

    zeros, _ = vary_alike(lax.full(row_shape, 0, seen.dtype), cotangent)
    blocks = np.int32(count // at_once)
    sums = lax.fori_loop(np.int32(0), blocks, add_rows, [zeros] * math.prod(windows.size))
    others = [i + 1 for i in range(seen.ndim) if i != windows.channel_axis]
    totals = lax.reduce_sum(jnp.stack(sums), others)
    return transpose(_taps, jax.ShapeDtypeStruct(shape, inputs.dtype), totals)


_convolve = bilinear(
    "depthwise",
    _compute,
    lambda inputs, kernel, windows: windows.output_shape(inputs[0], kernel[-2] * kernel[-1]),
    is_xlas=_is_xlas,
    by_first=_spread_to_inputs,
    by_second=_correlate,
)
