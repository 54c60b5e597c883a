"""Ordinary and transposed convolutions."""

import math

import jax
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._windows import is_cpu, pad, shifts, spatial_axes, spec


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Cross-correlation with a kernel `[*window, in, out]`."""
    if max(windows.size) == 1 and not channels_first and is_cpu(backend):
        # What such a window sees is one pixel, so a stride only leaves pixels out.
        (pixels,) = shifts(pad(inputs, windows, channels_first, 0), windows, channels_first)
        return multiply(pixels, lax.reshape(kernel, kernel.shape[-2:]), backend)
    return lax.conv_general_dilated(
        inputs,
        kernel,
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=spec(len(windows.size), channels_first),
    )


def multiply(features: jax.Array, matrix: jax.Array, backend: str | None = None) -> jax.Array:
    """The last axis of `features` by a matrix `[in, out]`."""
    if not is_cpu(backend):
        return lax.dot_general(features, matrix, (((features.ndim - 1,), (0,)), ((), ())))
    # Of arrays with more axes XLA would make transposed copies for the gradient of the matrix.
    rows = lax.reshape(features, (math.prod(features.shape[:-1]), features.shape[-1]))
    outputs = lax.dot(rows, matrix)
    return lax.reshape(outputs, (*features.shape[:-1], matrix.shape[1]))


def convolve_transposed(
    inputs: jax.Array,
    kernel: jax.Array,
    stride: tuple[int, ...],
    is_same: bool,
    channels_first: bool,
) -> jax.Array:
    """The gradient of a convolution by its inputs, kernel `[*window, out, in]`."""
    dims = len(stride)
    padding = []
    axes = spatial_axes(dims, channels_first)
    for axis, size, step in zip(axes, kernel.shape[:-2], stride, strict=True):
        # What the convolution would have padded before and after, SAME at length * step.
        overlap = max(size - step, 0)
        before = overlap // 2 if is_same else 0
        length = inputs.shape[axis] * step + (0 if is_same else overlap)
        spread_length = (inputs.shape[axis] - 1) * step + 1
        padding.append((size - 1 - before, length - spread_length + before))
    return lax.conv_general_dilated(
        inputs,
        lax.rev(kernel, range(dims)),
        (1,) * dims,
        padding,
        lhs_dilation=stride,
        dimension_numbers=spec(dims, channels_first, "OI"),
    )
