"""Convolutions by 3x3 windows at stride 1 with 4 products in place of 9 (Winograd's F(2x2, 3x3)).

Two outputs of a window of three numbers, from four inputs, take four products:

    outputs = TO_OUTPUTS @ ((OF_KERNEL @ kernel) * (OF_INPUTS @ inputs))

and so they do along rows and along columns: 16 products for a tile of 2x2 outputs, not 36. With
channels, each of the 16 is a product of two matrices. https://arxiv.org/abs/1509.09308

All outputs of a tile depend on all of its inputs: an infinite or NaN input makes NaN of outputs up
to two pixels away from it.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.layers._lowering._primitives import Shape, is_known
from jslim.layers._lowering._windows import as_matrix, pad, shifts
from jslim.layers._windows import Windows

Square = Sequence[Sequence[jax.Array]]

_OF_INPUTS = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
_OF_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_TO_OUTPUTS = ((1, 1, 1, 0), (0, 1, -1, 1))
_STEP, _SIZE = 2, 4  # of a tile, along rows and along columns

# With fewer channels the sums around the products cost more than the products save; with fewer
# tiles those of the kernel do.
_LEAST_CHANNELS = 64
_LEAST_TILES = 32
# All tiles are in memory, four times the inputs and outputs. In a loop over blocks of images they
# are slower than XLA's convolution.
_MOST_BYTES = 2**26


def is_by_tiles(inputs: Shape, kernel: Shape, windows: Windows, dtype: np.dtype) -> bool:
    """Whether the tiles are faster, and as exact as sums in float32."""
    is_plain = windows.size == (3, 3) and windows.are_dense and not windows.channels_first
    if not is_plain or not is_known(inputs):
        return False
    tiles = inputs[0] * math.prod(_tiles(windows).count)
    return (
        dtype == np.float32
        and min(kernel[-2:]) >= _LEAST_CHANNELS
        and tiles >= _LEAST_TILES
        and tiles * _SIZE**2 * sum(kernel[-2:]) * dtype.itemsize <= _MOST_BYTES
    )


def convolve_by_tiles(
    inputs: jax.Array, kernel: jax.Array, windows: Windows, is_turned: bool = False
) -> jax.Array:
    """The convolution of `[batch, height, width, in]` by a kernel `[3, 3, in, out]`.

    With `is_turned` the kernel is `[3, 3, out, in]`, and is mirrored along rows and columns. This
    gives the gradient by the inputs.
    """
    batch, tiles = inputs.shape[0], _tiles(windows)
    seen = [as_matrix(part) for part in shifts(pad(inputs, tiles), tiles)]
    taps = lax.reshape(kernel, (9, *kernel.shape[2:]))
    order = reversed(range(9)) if is_turned else range(9)
    matrices = [lax.index_in_dim(taps, index, keepdims=False) for index in order]
    contracted = ((1,), (1 if is_turned else 0,))
    products = [
        [lax.dot_general(*pair, (contracted, ((), ()))) for pair in zip(*rows, strict=True)]
        for rows in zip(
            _both_ways(_OF_INPUTS, _square(seen)),
            _both_ways(_OF_KERNEL, _square(matrices)),
            strict=True,
        )
    ]
    outputs = kernel.shape[2 if is_turned else 3]
    shape = tiles.output_shape(batch, outputs)
    rows = [
        jnp.stack([lax.reshape(part, shape) for part in row], 3)
        for row in _both_ways(_TO_OUTPUTS, products)
    ]
    size = (count * _STEP for count in tiles.count)
    whole = lax.reshape(jnp.stack(rows, 2), (batch, *size, outputs))
    return lax.slice(whole, (0, 0, 0, 0), windows.output_shape(batch, outputs))


def _tiles(windows: Windows) -> Windows:
    """The inputs of all tiles; the last tiles may reach beyond the outputs."""
    count = tuple(-(-pixels // _STEP) for pixels in windows.count)
    padding = tuple(
        (before, after + tiles * _STEP - pixels)
        for (before, after), tiles, pixels in zip(
            windows.padding, count, windows.count, strict=True
        )
    )
    return Windows((_SIZE, _SIZE), (_STEP, _STEP), (1, 1), padding, count)


def _square(arrays: Sequence[jax.Array]) -> Square:
    side = math.isqrt(len(arrays))
    return [arrays[start : start + side] for start in range(0, len(arrays), side)]


def _both_ways(matrix: Sequence[Sequence[float]], square: Square) -> Square:
    """`matrix @ square @ matrix.T`, of a square of arrays."""
    rows = [[_weighted(row, column) for column in zip(*square, strict=True)] for row in matrix]
    return [[_weighted(column, row) for column in matrix] for row in rows]


def _weighted(weights: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
    """The sum of the arrays, each by its weight. One weight at least is positive."""
    added: list[jax.Array] = []
    subtracted: list[jax.Array] = []
    for weight, array in zip(weights, arrays, strict=True):
        terms = added if weight > 0 else subtracted
        if abs(weight) == 1:
            terms.append(array)
        elif weight:
            terms.append(lax.mul(array, array.dtype.type(abs(weight))))
    return functools.reduce(lax.sub, subtracted, functools.reduce(lax.add, added))
