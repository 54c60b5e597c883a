"""Convolutions with few outputs as products, one for each row of the window.

Up to jax 0.10 XLA's CPU backend computes these on one core. Products use all.
"""

import math

import jax
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._primitives import Shape, num_devices
from jslim.layers._lowering._windows import pad, shifts

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
    is_in_blocks = _images_at_once(inputs.shape[0], windows) < inputs.shape[0]
    return numbers >= _LEAST_NUMBERS and is_in_blocks and num_devices(inputs) == 1


def convolve_by_rows(inputs: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """The convolution of `[batch, height, width, in]` by a kernel `[rows, columns, in, out]`."""
    batch, (height, width) = inputs.shape[0], windows.count
    rows, columns, channels, outputs = kernel.shape
    at_once = _images_at_once(batch, windows)
    padded = pad(inputs, windows, False, 0)
    blocks = lax.reshape(padded, (batch // at_once, at_once, *padded.shape[1:]))
    matrices = lax.reshape(kernel, (rows, columns * channels, outputs))
    none = ((0, 0), (0, 0))
    along_row = Windows((1, columns), (1, 1), (1, 1), none, (padded.shape[1], width))
    along_column = Windows((rows, 1), (1, 1), (1, 1), none, (height, width))

    def block_outputs(images: jax.Array) -> jax.Array:
        seen = lax.concatenate(list(shifts(images, along_row, False)), 3)
        total = None
        for row, part in enumerate(shifts(seen, along_column, False)):
            features = lax.reshape(part, (at_once * height * width, columns * channels))
            product = lax.dot(features, lax.index_in_dim(matrices, row, keepdims=False))
            total = product if total is None else lax.add(total, product)
        assert total is not None
        return total

    return lax.reshape(lax.map(block_outputs, blocks), (batch, height, width, outputs))


def _images_at_once(batch: int, windows: Windows) -> int:
    pixels = math.prod(windows.count)
    fitting = (n for n in range(2, batch + 1) if n * pixels <= _PIXELS_AT_ONCE)
    return max((n for n in fitting if batch % n == 0), default=batch)
