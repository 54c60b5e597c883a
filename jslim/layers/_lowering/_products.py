"""Convolutions with few outputs, and the gradient by the kernel of any, as products of matrices.

The matrices are made of blocks of images. Up to jax 0.10 XLA's CPU backend computes convolutions
with few outputs on one core. Products use all.
"""

import functools
import math
from collections.abc import Iterator

import jax
import numpy as np
from jax import lax

from jslim.layers._common import at_least_float32
from jslim.layers._lowering._primitives import Shape, is_known, num_devices, vary_alike
from jslim.layers._lowering._windows import along, as_matrix, pad, shifts
from jslim.layers._windows import Windows

# Blocks of about this size stay in the cache with their patches. The gradient of the whole batch at
# once takes up to three times as long.
_PIXELS_AT_ONCE = 1024
_PATCHES_AT_ONCE = 2**17  # numbers, for the gradient by the kernel of narrow patches
# Windows up to this size take one product, larger ones a product for each of their rows.
_NUMBERS_AT_ONCE = 128
# With more outputs XLA uses more cores; with fewer, and for smaller windows, products are slow.
_LEAST_OUTPUTS, _MOST_OUTPUTS = 48, 64
_LEAST_NUMBERS = 1600


def is_by_rows(inputs: jax.Array, kernel: Shape, windows: Windows) -> bool:
    """Whether these products take less time than XLA's convolution on one core.

    They do not on several devices: each would gather the whole batch for the loop over its blocks.
    """
    is_plain = windows.are_dense and len(windows.size) == 2 and not windows.channels_first
    if not is_plain or not is_known(inputs.shape):
        return False
    if not _LEAST_OUTPUTS <= kernel[-1] <= _MOST_OUTPUTS or math.prod(kernel[:-1]) < _LEAST_NUMBERS:
        return False
    pixels = math.prod(windows.count)
    at_once = _images_at_once(inputs.shape[0], pixels, _PIXELS_AT_ONCE)
    return at_once is not None and at_once < inputs.shape[0] and num_devices(inputs) == 1


def convolve_by_rows(inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """The convolution of `[batch, height, width, in]` by a kernel `[rows, columns, in, out]`."""
    batch, (rows, columns, channels, outputs) = inputs.shape[0], kernel.shape
    at_once = _images_at_once(batch, math.prod(windows.count), _PIXELS_AT_ONCE) or batch
    padded = pad(inputs, windows)
    blocks = lax.reshape(padded, (batch // at_once, at_once, *padded.shape[1:]))
    matrices = lax.reshape(kernel, (rows, columns * channels, outputs))

    def block_outputs(images: jax.Array) -> jax.Array:
        products = [
            lax.dot(part, lax.index_in_dim(matrices, row, keepdims=False))
            for row, part in enumerate(_patches(images, windows, by_row=True))
        ]
        return functools.reduce(lax.add, products)

    return lax.reshape(lax.map(block_outputs, blocks), windows.output_shape(batch, outputs))


def kernel_gradient(
    inputs: jax.Array, cotangent: jax.Array, shape: Shape, windows: Windows
) -> jax.Array:
    """The sum over all pixels of the contents of their window, times their cotangent.

    XLA's CPU backend computes it as a convolution whose window is the whole map, over transposed
    copies of both arrays. Here it is a sum over blocks of images. For each block it multiplies two
    matrices, both with a row for each pixel.

    Args:
      inputs: `[batch, *space, in]`.
      cotangent: `[batch, *count, out]`.
      shape: The shape of the kernel, `[*window, in, out]`.
      windows: The windows of the convolution.

    Returns:
      The gradient, summed in float32 at least.
    """
    *numbers, channels = shape
    by_row = math.prod(numbers) > _NUMBERS_AT_ONCE
    seen = pad(inputs, windows)
    # A loop over all images would have every device gather and compute the whole batch.
    groups = math.gcd(inputs.shape[0], max(map(num_devices, (inputs, cotangent))))
    batch, pixels = inputs.shape[0] // groups, math.prod(windows.count)
    most = max(_PIXELS_AT_ONCE, _PATCHES_AT_ONCE // math.prod(numbers))
    at_once = _images_at_once(batch, pixels, most) or 1
    exact = at_least_float32(inputs.dtype)

    def products(images: jax.Array, factors: jax.Array) -> jax.Array:
        factors = as_matrix(factors)
        # The other way round it takes up to twice as long.
        parts = [
            lax.dot_general(factors, part, (((0,), (0,)), ((), ())), preferred_element_type=exact)
            for part in _patches(images, windows, by_row)
        ]
        return lax.concatenate([lax.expand_dims(part, (0,)) for part in parts], 0)

    def add_block(block: jax.Array, total: jax.Array) -> jax.Array:
        start = lax.mul(lax.convert_element_type(block, np.int32), np.int32(at_once))
        arrays = (lax.dynamic_slice_in_dim(array, start, at_once, 1) for array in grouped)
        return lax.add(total, jax.vmap(products)(*arrays))

    if at_once == batch:
        total = products(seen, cotangent)
    else:
        parts = numbers[0] if by_row else 1
        zeros = lax.full((groups, parts, channels, math.prod(numbers) // parts), 0, exact)
        zeros, _ = vary_alike(zeros, cotangent)
        grouped = [lax.reshape(a, (groups, batch, *a.shape[1:])) for a in (seen, cotangent)]
        totals = lax.fori_loop(np.int32(0), np.int32(batch // at_once), add_block, zeros)
        total = lax.reduce_sum(totals, (0,))
    total = lax.reshape(lax.transpose(total, (0, 2, 1)), shape)
    return lax.convert_element_type(total, inputs.dtype)


def _patches(images: jax.Array, windows: Windows, by_row: bool) -> Iterator[jax.Array]:
    """The contents of all windows, `[pixels, numbers]`: as a whole, or by the rows of a window."""
    dims = len(windows.size)
    # Columns first, then rows of these: each number is copied in two longer runs.
    seen = list(shifts(images, along(windows, range(1, dims), images.shape)))
    columns = lax.concatenate(seen, dims + 1)
    rows = shifts(columns, along(windows, range(1), columns.shape))
    if not by_row:
        rows = iter([lax.concatenate(list(rows), dims + 1)])
    yield from map(as_matrix, rows)


def _images_at_once(batch: int, pixels: int, most_pixels: int) -> int | None:
    """The most images, two or more, that divide the batch and have up to `most_pixels`."""
    fitting = (n for n in range(2, batch + 1) if n * pixels <= most_pixels)
    return max((n for n in fitting if batch % n == 0), default=None)
