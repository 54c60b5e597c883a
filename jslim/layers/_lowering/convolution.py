"""Ordinary and transposed convolutions."""

import math
from typing import Any

import jax
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._bilinear import Operation, Shape, bilinear, transposed_by_second
from jslim.layers._lowering._choices import choices
from jslim.layers._lowering._windows import pad, shifts, spatial_axes, spec


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Cross-correlation with a kernel `[*window, in, out]`."""
    if max(windows.size) == 1 and not channels_first and choices(backend).product_for_1x1:
        # What such a window sees is one pixel, so a stride only leaves pixels out.
        (pixels,) = shifts(pad(inputs, windows, channels_first, 0), windows, channels_first)
        return multiply(pixels, lax.reshape(kernel, kernel.shape[-2:]), backend)
    if not channels_first and choices(backend).product_for_whole_maps:
        space = inputs.shape[1:-1]
        extents = [(n - 1) * rate + 1 for n, rate in zip(windows.size, windows.rate, strict=True)]
        if all(extent >= length for extent, length in zip(extents, space, strict=True)):
            matrix = lax.reshape(kernel, (math.prod(kernel.shape[:-1]), kernel.shape[-1]))
            return multiply(_patches(inputs, windows), matrix, backend)
    return _convolve_plainly(inputs, kernel, windows, channels_first)


def _patches(inputs: jax.Array, windows: Windows) -> jax.Array:
    """What each window sees as one row, `[batch, *count, product of window and channels]`."""
    shape = (inputs.shape[0], *windows.count, math.prod(windows.size) * inputs.shape[-1])
    if inputs.size == math.prod(shape) and not any(map(any, windows.padding)):
        return lax.reshape(inputs, shape)  # one window, the whole map
    seen = list(shifts(pad(inputs, windows, False, 0), windows, False))
    return lax.concatenate(seen, inputs.ndim - 1)


def multiply(features: jax.Array, matrix: jax.Array, backend: str | None = None) -> jax.Array:
    """The last axis of `features` by a matrix `[in, out]`."""
    if not choices(backend).product_for_1x1:
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
    backend: str | None = None,
) -> jax.Array:
    """The gradient of a convolution by its inputs, kernel `[*window, out, in]`."""
    dims = len(stride)
    size = kernel.shape[:dims]
    count = tuple(inputs.shape[axis] for axis in spatial_axes(dims, channels_first))
    spatial, padding = [], []
    for length, taps, step in zip(count, size, stride, strict=True):
        # What the convolution would have padded before and after, SAME at length * step.
        overlap = max(taps - step, 0)
        spatial.append(length * step + (0 if is_same else overlap))
        padding.append((overlap // 2, overlap - overlap // 2) if is_same else (0, 0))
    windows = Windows(size, stride, (1,) * dims, tuple(padding), count)
    # What JAX derives from the way this is computed is a convolution that takes XLA's CPU backend
    # 50 times as long as the gradient of the convolution that this is the transpose of.
    has_own = choices(backend).derivatives_for_transposed
    function = _spread if has_own else _spread_plainly
    return function(
        inputs, kernel, windows=windows, spatial=tuple(spatial), channels_first=channels_first
    )


def _convolve_plainly(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    spatial: Shape = (),
) -> jax.Array:
    del spatial
    return lax.conv_general_dilated(
        inputs,
        kernel,
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=spec(len(windows.size), channels_first),
    )


def _spread_plainly(
    outputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    spatial: Shape,
    channels_first: bool,
) -> jax.Array:
    """The transpose of the convolution by its inputs, which are of the shape `spatial`."""
    dims = len(windows.size)
    padding = []
    for i, length in enumerate(spatial):
        extent = (windows.size[i] - 1) * windows.rate[i] + 1
        spread_length = (windows.count[i] - 1) * windows.stride[i] + 1
        before = extent - 1 - windows.padding[i][0]
        padding.append((before, length + extent - 1 - spread_length - before))
    return lax.conv_general_dilated(
        outputs,
        lax.rev(kernel, range(dims)),
        (1,) * dims,
        padding,
        lhs_dilation=windows.stride,
        rhs_dilation=windows.rate,
        dimension_numbers=spec(dims, channels_first, "OI"),
    )


def _correlate_plainly(inputs: jax.Array, outputs: jax.Array, **static: Any) -> jax.Array:
    shape = _kernel_shape(inputs.shape, outputs.shape, **static)
    return transposed_by_second(_convolve_plainly)(inputs, outputs, shape, **static)


def _channels(shape: Shape, channels_first: bool) -> int:
    return shape[1 if channels_first else -1]


def _image_shape(batch: int, space: Shape, channels: int, channels_first: bool) -> Shape:
    return (batch, channels, *space) if channels_first else (batch, *space, channels)


def _output_shape(
    inputs: Shape, kernel: Shape, windows: Windows, spatial: Shape, channels_first: bool
) -> Shape:
    return _image_shape(inputs[0], windows.count, kernel[-1], channels_first)


def _input_shape(
    outputs: Shape, kernel: Shape, windows: Windows, spatial: Shape, channels_first: bool
) -> Shape:
    return _image_shape(outputs[0], spatial, kernel[-2], channels_first)


def _kernel_shape(
    inputs: Shape, outputs: Shape, windows: Windows, spatial: Shape, channels_first: bool
) -> Shape:
    channels = (_channels(shape, channels_first) for shape in (inputs, outputs))
    return (*windows.size, *channels)


# Each is the transpose of another by its second argument and of the third by its first.
_convolve: Operation = bilinear(
    "convolve",
    _convolve_plainly,
    _output_shape,
    by_first=lambda cotangent, kernel, shape, **static: _spread(cotangent, kernel, **static),
    by_second=lambda cotangent, inputs, shape, **static: _correlate(inputs, cotangent, **static),
    plain=_convolve_plainly,
    has_batch=True,
)
_spread: Operation = bilinear(
    "convolve_transposed",
    _spread_plainly,
    _input_shape,
    by_first=lambda cotangent, kernel, shape, **static: _convolve(cotangent, kernel, **static),
    by_second=lambda cotangent, outputs, shape, **static: _correlate(cotangent, outputs, **static),
    plain=_spread_plainly,
    has_batch=True,
)
_correlate: Operation = bilinear(
    "correlate",
    _correlate_plainly,
    _kernel_shape,
    by_first=lambda cotangent, outputs, shape, **static: _spread(outputs, cotangent, **static),
    by_second=lambda cotangent, inputs, shape, **static: _convolve(inputs, cotangent, **static),
    plain=_correlate_plainly,
    has_batch=False,
)
