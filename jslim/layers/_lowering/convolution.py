"""Ordinary and transposed convolutions."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import jax
from jax import lax

from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._linear import bilinear
from jslim.layers._lowering._primitives import Shape, is_known
from jslim.layers._lowering._products import convolve_by_rows, is_by_rows, kernel_gradient
from jslim.layers._lowering._windows import as_matrix, convolve_by_xla, only, pad, shifts
from jslim.layers._lowering._winograd import convolve_by_tiles, is_by_tiles
from jslim.layers._windows import Windows

_LARGE_KERNEL = 2**20  # numbers


def convolve(inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """Cross-correlation with a kernel `[*window, in, out]`."""
    return _convolve.forward(inputs, kernel, windows=windows)


def convolve_transposed(
    inputs: jax.Array,
    kernel: jax.Array,
    stride: tuple[int, ...],
    is_same: bool,
    channels_first: bool,
) -> jax.Array:
    """The gradient of a convolution by its inputs, kernel `[*window, out, in]`."""
    *size, channels, _ = kernel.shape
    count = inputs.shape[2:] if channels_first else inputs.shape[1:-1]
    spatial, padding = [], []
    for length, taps, step in zip(count, size, stride, strict=True):
        # The padding that the convolution of length * step pixels has, if SAME.
        overlap = max(taps - step, 0)
        spatial.append(length * step + (0 if is_same else overlap))
        padding.append((overlap // 2, overlap - overlap // 2) if is_same else (0, 0))
    rate = (1,) * len(size)
    windows = Windows(tuple(size), stride, rate, tuple(padding), count, channels_first)
    shape = (channels, *spatial) if channels_first else (*spatial, channels)
    # Left to JAX, the gradient would be a convolution that takes XLA's CPU backend 50 times as long
    # as the gradient of the convolution whose transpose this is.
    return _convolve.by_first(inputs, kernel, shape=shape, windows=windows)


def multiply(features: jax.Array, matrix: jax.Array) -> jax.Array:
    """The last axis of `features` by a matrix `[in, out]`."""
    return _multiply.forward(features, matrix)


def _rows_of_product(
    choices: Choices, inputs: Shape, kernel: Shape, windows: Windows
) -> Callable[[jax.Array, Windows], jax.Array] | None:
    """How to make the rows that the kernel, as a matrix, multiplies; None for other ways."""
    if windows.channels_first:
        return None
    if choices.product_for_1x1 and max(windows.size) == 1:
        return only
    if choices.product_for_blocks and windows.are_side_by_side:
        return _blocks
    is_of_whole_maps = choices.product_for_whole_maps and all(
        extent >= length for extent, length in zip(windows.extent, inputs[1:-1], strict=True)
    )
    # Most of the time then goes into reading the large kernel, which a product does once.
    is_of_few_pixels = (
        is_known(inputs)
        and inputs[0] * math.prod(windows.count) <= choices.most_pixels_for_product
        and math.prod(kernel) >= _LARGE_KERNEL
    )
    return _patches if is_of_whole_maps or is_of_few_pixels else None


def _is_xlas(choices: Choices, inputs: Shape, kernel: Shape, windows: Windows) -> bool:
    has_own_gradient = choices.products_for_kernel_gradient and not windows.channels_first
    return not has_own_gradient and _rows_of_product(choices, inputs, kernel, windows) is None


def _compute(choices: Choices, inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    rows = _rows_of_product(choices, inputs.shape, kernel.shape, windows)
    if rows is not None:
        return _multiply_rows(rows(inputs, windows), as_matrix(kernel))
    if choices.tiles_for_3x3 and is_by_tiles(inputs.shape, kernel.shape, windows, inputs.dtype):
        return convolve_by_tiles(inputs, kernel, windows)
    return _convolve_by_rows_or_xla(choices, inputs, kernel, windows)


def _convolve_by_rows_or_xla(
    choices: Choices, inputs: jax.Array, kernel: jax.Array, windows: Windows
) -> jax.Array:
    is_of_rows = choices.products_for_few_outputs and is_by_rows(inputs, kernel.shape, windows)
    return (convolve_by_rows if is_of_rows else convolve_by_xla)(inputs, kernel, windows)


def _inputs_gradient(
    choices: Choices, cotangent: jax.Array, kernel: jax.Array, shape: Shape, windows: Windows
) -> jax.Array | None:
    """The convolution of the cotangent by the kernel's mirror image, where that is by products.

    What JAX would derive from the way by tiles or rows adds up arrays that are mostly zeros.
    """
    is_plain = windows.are_dense and not windows.channels_first
    if not is_plain or _rows_of_product(choices, shape, kernel.shape, windows) is not None:
        return None
    padding = tuple(
        (taps - 1 - before, length + before - count)
        for taps, length, count, (before, _) in zip(
            windows.size, shape[1:-1], windows.count, windows.padding, strict=True
        )
    )
    turned = dataclasses.replace(windows, padding=padding, count=shape[1:-1])
    if choices.tiles_for_3x3 and is_by_tiles(shape, kernel.shape, windows, cotangent.dtype):
        return convolve_by_tiles(cotangent, kernel, turned, is_turned=True)
    if not choices.products_for_few_outputs:
        return None
    *axes, ins, outs = range(kernel.ndim)
    mirrored = lax.transpose(lax.rev(kernel, axes), (*axes, outs, ins))
    return _convolve_by_rows_or_xla(choices, cotangent, mirrored, turned)


def _kernel_gradient(
    choices: Choices, inputs: jax.Array, cotangent: jax.Array, shape: Shape, windows: Windows
) -> jax.Array | None:
    is_own = choices.products_for_kernel_gradient and not windows.channels_first
    if not is_own or not is_known(inputs.shape):
        return None
    if _rows_of_product(choices, inputs.shape, shape, windows) is not None:
        return None
    return kernel_gradient(inputs, cotangent, shape, windows)


def _patches(inputs: jax.Array, windows: Windows) -> jax.Array:
    """The contents of each window as a row, `[batch, *count, size of window * channels]`."""
    shape = windows.output_shape(inputs.shape[0], math.prod(windows.size) * inputs.shape[-1])
    # Four windows of 3x3 in 6x6 pixels, 2 apart, are as many numbers as the map too.
    is_whole = math.prod(windows.count) == 1 and inputs.size == math.prod(shape)
    if is_whole and not any(map(any, windows.padding)):
        return lax.reshape(inputs, shape)  # one window, the whole map
    return lax.concatenate(list(shifts(pad(inputs, windows), windows)), inputs.ndim - 1)


def _blocks(inputs: jax.Array, windows: Windows) -> jax.Array:
    """`_patches` of windows side by side: all pixels, in another order."""
    batch, *_, channels = inputs.shape
    sides = list(zip(windows.count, windows.size, strict=True))
    end = (batch, *(count * size for count, size in sides), channels)
    images = lax.slice(pad(inputs, windows), [0] * inputs.ndim, end)
    images = lax.reshape(images, (batch, *itertools.chain(*sides), channels))
    last = images.ndim - 1
    images = lax.transpose(images, (0, *range(1, last, 2), *range(2, last, 2), last))
    return lax.reshape(images, windows.output_shape(batch, math.prod(windows.size) * channels))


def _multiply_rows(features: jax.Array, matrix: jax.Array) -> jax.Array:
    # XLA would transpose copies of arrays with more axes for the gradient of the matrix.
    outputs = lax.dot(as_matrix(features), matrix)
    return lax.reshape(outputs, (*features.shape[:-1], matrix.shape[1]))


def _compute_product(choices: Choices, features: jax.Array, matrix: jax.Array) -> jax.Array:
    if choices.product_for_1x1:
        return _multiply_rows(features, matrix)
    return lax.dot_general(features, matrix, (((features.ndim - 1,), (0,)), ((), ())))


_convolve = bilinear(
    "correlate",
    _compute,
    lambda inputs, kernel, windows: windows.output_shape(inputs[0], kernel[-1]),
    _is_xlas,
    _inputs_gradient,
    _kernel_gradient,
)
_multiply = bilinear(
    "multiply",
    _compute_product,
    lambda features, matrix: (*features[:-1], matrix[1]),
    lambda choices, features, matrix: len(features) == 2 or not choices.product_for_1x1,
)
