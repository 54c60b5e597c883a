"""Convolutions with few outputs as products, one for each row of the window.

Up to jax 0.10 XLA's CPU backend computes these on one core. Products use all.
"""

import functools
import math

import jax
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._primitives import Shape, num_devices
from jslim.layers._lowering._windows import images_at_once, pad, patches

# With more outputs XLA uses more cores; with fewer, and for smaller windows, products are slow.
_LEAST_OUTPUTS, _MOST_OUTPUTS = 48, 64
_LEAST_NUMBERS = 1600
# Images are taken in blocks of as many pixels, so that what their windows see stays in the cache.
_PIXELS_AT_ONCE = 1024


def is_by_rows(inputs: jax.Array, kernel: Shape, windows: Windows) -> bool:
    """Whether these products take less time than XLA's convolution on one core.

    Not on several devices: each would gather the whole batch for the loop over its blocks.
    """
    is_plain = max(windows.stride) == 1 and max(windows.rate) == 1
    numbers, outputs = math.prod(kernel[:-1]), kernel[-1]
    if not is_plain or len(windows.size) != 2:
        return False
    if not _LEAST_OUTPUTS <= outputs <= _MOST_OUTPUTS:
        return False
    at_once = _images_at_once(inputs.shape[0], windows)
    is_in_blocks = at_once is not None and at_once < inputs.shape[0]
    return numbers >= _LEAST_NUMBERS and is_in_blocks and num_devices(inputs) == 1


def convolve_by_rows(inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """The convolution of `[batch, height, width, in]` by a kernel `[rows, columns, in, out]`."""
    batch, (height, width) = inputs.shape[0], windows.count
    rows, columns, channels, outputs = kernel.shape
    at_once = _images_at_once(batch, windows) or batch
    padded = pad(inputs, windows, False, 0)
    blocks = lax.reshape(padded, (batch // at_once, at_once, *padded.shape[1:]))
    matrices = lax.reshape(kernel, (rows, columns * channels, outputs))

    def block_outputs(images: jax.Array) -> jax.Array:
        products = [
            lax.dot(part, lax.index_in_dim(matrices, row, keepdims=False))
            for row, part in enumerate(patches(images, windows, by_row=True))
        ]
        return functools.reduce(lax.add, products)

    return lax.reshape(lax.map(block_outputs, blocks), (batch, height, width, outputs))


def _images_at_once(batch: int, windows: Windows) -> int | None:
    return images_at_once(batch, math.prod(windows.count), _PIXELS_AT_ONCE)
