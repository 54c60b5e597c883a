"""Ordinary and transposed convolutions."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._bilinear import bilinear
from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._kernel_gradient import kernel_gradient
from jslim.layers._lowering._primitives import Shape
from jslim.layers._lowering._row_products import convolve_by_rows, is_by_rows
from jslim.layers._lowering._windows import (
    are_side_by_side,
    output_shape,
    pad,
    shifts,
    spatial_axes,
    spec,
)
from jslim.layers._lowering._winograd import convolve_by_tiles, is_by_tiles

_LARGE_KERNEL = 2**20  # numbers


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Cross-correlation with a kernel `[*window, in, out]`."""
    return _convolve.forward(
        inputs, kernel, backend, windows=windows, channels_first=channels_first
    )


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
    channels = kernel.shape[dims]
    # What JAX derives from the way this is computed is a convolution that takes XLA's CPU backend
    # 50 times as long as the gradient of the convolution that this is the transpose of.
    return _convolve.by_first(
        inputs,
        kernel,
        backend,
        shape=(channels, *spatial) if channels_first else (*spatial, channels),
        windows=windows,
        channels_first=channels_first,
    )


def multiply(features: jax.Array, matrix: jax.Array, backend: str | None = None) -> jax.Array:
    """The last axis of `features` by a matrix `[in, out]`."""
    return _multiply.forward(features, matrix, backend)


def _is_of_pixels(choices: Choices, windows: Windows, channels_first: bool) -> bool:
    return choices.product_for_1x1 and not channels_first and max(windows.size) == 1


def _is_of_maps(choices: Choices, inputs: Shape, windows: Windows, channels_first: bool) -> bool:
    if channels_first or not choices.product_for_whole_maps:
        return False
    extents = [(n - 1) * rate + 1 for n, rate in zip(windows.size, windows.rate, strict=True)]
    return all(extent >= length for extent, length in zip(extents, inputs[1:-1], strict=True))


def _is_of_blocks(choices: Choices, windows: Windows, channels_first: bool) -> bool:
    return choices.product_for_blocks and not channels_first and are_side_by_side(windows)


def _is_of_few_pixels(
    choices: Choices, inputs: Shape, kernel: Shape, windows: Windows, channels_first: bool
) -> bool:
    """Whether what takes the time is to read the kernel, which a product does once."""
    return (
        not channels_first
        and _is_known(inputs)
        and inputs[0] * math.prod(windows.count) <= choices.most_pixels_for_product
        and math.prod(kernel) >= _LARGE_KERNEL
    )


def _is_product(
    choices: Choices, inputs: Shape, kernel: Shape, windows: Windows, channels_first: bool
) -> bool:
    return (
        _is_of_pixels(choices, windows, channels_first)
        or _is_of_blocks(choices, windows, channels_first)
        or _is_of_maps(choices, inputs, windows, channels_first)
        or _is_of_few_pixels(choices, inputs, kernel, windows, channels_first)
    )


def _is_of_tiles(
    choices: Choices,
    inputs: Shape,
    kernel: Shape,
    windows: Windows,
    channels_first: bool,
    dtype: np.dtype,
) -> bool:
    return (
        choices.tiles_for_3x3
        and not channels_first
        and _is_known(inputs)
        and not _is_product(choices, inputs, kernel, windows, channels_first)
        and is_by_tiles(inputs, kernel, windows, dtype)
    )


def _is_of_rows(
    choices: Choices, inputs: jax.Array, kernel: Shape, windows: Windows, channels_first: bool
) -> bool:
    return (
        choices.products_for_few_outputs
        and not channels_first
        and _is_known(inputs.shape)
        and is_by_rows(inputs, kernel, windows)
    )


def _is_known(shape: Shape) -> bool:
    """Whether no length is free, as that of a batch may be in an export."""
    return all(isinstance(length, int) for length in shape)


def _is_xlas(
    choices: Choices, inputs: Shape, kernel: Shape, windows: Windows, channels_first: bool
) -> bool:
    has_own_gradient = choices.products_for_kernel_gradient and not channels_first
    return not (has_own_gradient or _is_product(choices, inputs, kernel, windows, channels_first))


def _inputs_gradient(
    choices: Choices,
    cotangent: jax.Array,
    kernel: jax.Array,
    shape: Shape,
    windows: Windows,
    channels_first: bool,
) -> jax.Array | None:
    """The convolution of the cotangent by the kernel's mirror image, where that is by products.

    What JAX would derive from the way by tiles or rows adds up arrays that are mostly zeros.
    """
    if max(windows.stride) > 1 or max(windows.rate) > 1:
        return None
    padding = tuple(
        (taps - 1 - before, length + before - count)
        for taps, length, count, (before, _) in zip(
            windows.size, shape[1:-1], windows.count, windows.padding, strict=True
        )
    )
    turned = dataclasses.replace(windows, padding=padding, count=shape[1:-1])
    case = (choices, shape, kernel.shape, windows, channels_first)
    if _is_of_tiles(*case, cotangent.dtype):
        return convolve_by_tiles(cotangent, kernel, turned, is_turned=True)
    if not choices.products_for_few_outputs or channels_first or _is_product(*case):
        return None
    axes = range(len(windows.size))
    mirrored = lax.rev(kernel, tuple(axes))
    mirrored = lax.transpose(mirrored, (*axes, len(axes) + 1, len(axes)))
    if _is_of_rows(choices, cotangent, mirrored.shape, turned, channels_first):
        return convolve_by_rows(cotangent, mirrored, turned)
    return _xlas(cotangent, mirrored, turned, channels_first)


def _kernel_gradient(
    choices: Choices,
    inputs: jax.Array,
    cotangent: jax.Array,
    shape: Shape,
    windows: Windows,
    channels_first: bool,
) -> jax.Array | None:
    case = (choices, inputs.shape, shape, windows, channels_first)
    if not _is_known(inputs.shape) or _is_product(*case):
        return None
    return kernel_gradient(inputs, cotangent, shape, windows)


def _compute(
    choices: Choices, inputs: jax.Array, kernel: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    if _is_of_pixels(choices, windows, channels_first):
        # What such a window sees is one pixel, so a stride only leaves pixels out.
        (pixels,) = shifts(pad(inputs, windows, channels_first, 0), windows, channels_first)
        return _multiply_rows(pixels, lax.reshape(kernel, kernel.shape[-2:]))
    case = (choices, inputs.shape, kernel.shape, windows, channels_first)
    if _is_product(*case):
        matrix = lax.reshape(kernel, (math.prod(kernel.shape[:-1]), kernel.shape[-1]))
        is_of_blocks = _is_of_blocks(choices, windows, channels_first)
        patches = _blocks(inputs, windows) if is_of_blocks else _patches(inputs, windows)
        return _multiply_rows(patches, matrix)
    if _is_of_tiles(*case, inputs.dtype):
        return convolve_by_tiles(inputs, kernel, windows)
    if _is_of_rows(choices, inputs, kernel.shape, windows, channels_first):
        return convolve_by_rows(inputs, kernel, windows)
    return _xlas(inputs, kernel, windows, channels_first)


def _xlas(
    inputs: jax.Array, kernel: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    return lax.conv_general_dilated(
        inputs,
        kernel,
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=spec(len(windows.size), channels_first),
    )


def _patches(inputs: jax.Array, windows: Windows) -> jax.Array:
    """What each window sees as one row, `[batch, *count, product of window and channels]`."""
    shape = (inputs.shape[0], *windows.count, math.prod(windows.size) * inputs.shape[-1])
    if inputs.size == math.prod(shape) and not any(map(any, windows.padding)):
        return lax.reshape(inputs, shape)  # one window, the whole map
    seen = list(shifts(pad(inputs, windows, False, 0), windows, False))
    return lax.concatenate(seen, inputs.ndim - 1)


def _blocks(inputs: jax.Array, windows: Windows) -> jax.Array:
    """`_patches` of windows that lie side by side: all numbers, in another order."""
    dims = len(windows.size)
    images = pad(inputs, windows, False, 0)
    seen = [n * size for n, size in zip(windows.count, windows.size, strict=True)]
    images = lax.slice(images, [0] * images.ndim, [images.shape[0], *seen, images.shape[-1]])
    pairs = zip(windows.count, windows.size, strict=True)
    sides = [length for pair in pairs for length in pair]
    images = lax.reshape(images, (images.shape[0], *sides, images.shape[-1]))
    counts, sizes = range(1, 2 * dims + 1, 2), range(2, 2 * dims + 1, 2)
    images = lax.transpose(images, (0, *counts, *sizes, 2 * dims + 1))
    numbers = math.prod(windows.size) * images.shape[-1]
    return lax.reshape(images, (images.shape[0], *windows.count, numbers))


def _multiply_rows(features: jax.Array, matrix: jax.Array) -> jax.Array:
    # Of arrays with more axes XLA would make transposed copies for the gradient of the matrix.
    rows = lax.reshape(features, (math.prod(features.shape[:-1]), features.shape[-1]))
    outputs = lax.dot(rows, matrix)
    return lax.reshape(outputs, (*features.shape[:-1], matrix.shape[1]))


def _compute_product(choices: Choices, features: jax.Array, matrix: jax.Array) -> jax.Array:
    if choices.product_for_1x1:
        return _multiply_rows(features, matrix)
    return lax.dot_general(features, matrix, (((features.ndim - 1,), (0,)), ((), ())))


def _convolved_shape(inputs: Shape, kernel: Shape, **static: Any) -> Shape:
    return output_shape(inputs, kernel[-1], **static)


_convolve = bilinear(
    "correlate", _compute, _convolved_shape, _is_xlas, _inputs_gradient, _kernel_gradient
)
_multiply = bilinear(
    "multiply",
    _compute_product,
    lambda features, matrix: (*features[:-1], matrix[1]),
    lambda choices, features, matrix: len(features) == 2 or not choices.product_for_1x1,
)
