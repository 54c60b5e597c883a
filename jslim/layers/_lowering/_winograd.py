"""Convolutions by 3x3 windows at stride 1 with 4 products in place of 9 (Winograd's F(2x2, 3x3)).

Two outputs of a window of three numbers, from four inputs, take four products:

    outputs = TO_OUTPUTS @ ((OF_KERNEL @ kernel) * (OF_INPUTS @ inputs))

and so they do along rows and along columns: 16 products for a tile of 2x2 outputs, not 36. With
channels, each of the 16 is a product of two matrices. https://arxiv.org/abs/1509.09308

All outputs of a tile depend on all of its inputs: one that is infinite or NaN makes NaN of outputs
up to two pixels away from it.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._primitives import Shape

Square = list[list[jax.Array]]

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
    """Whether the tiles are faster, and as exact as sums in float32 are."""
    if windows.size != (3, 3) or windows.stride != (1, 1) or windows.rate != (1, 1):
        return False
    tiles = inputs[0] * _tiles_along(windows, 0) * _tiles_along(windows, 1)
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

    Or, turned, by the mirror image along rows and columns of one of `[3, 3, out, in]`. That is the
    gradient by the inputs.
    """
    batch, *_, channels = inputs.shape
    outputs = kernel.shape[2 if is_turned else 3]
    count = [_tiles_along(windows, axis) for axis in (0, 1)]
    padding = [
        (before, after + tiles * _STEP - pixels, 0)
        for (before, after), tiles, pixels in zip(
            windows.padding, count, windows.count, strict=True
        )
    ]
    padded = lax.pad(inputs, np.zeros((), inputs.dtype), [(0, 0, 0), *padding, (0, 0, 0)])

    def seen(row: int, column: int) -> jax.Array:
        """What all tiles have at one of their positions, `[tiles, in]`."""
        last = (row + (count[0] - 1) * _STEP, column + (count[1] - 1) * _STEP)
        end = (batch, last[0] + 1, last[1] + 1, channels)
        part = lax.slice(padded, (0, row, column, 0), end, (1, _STEP, _STEP, 1))
        return lax.reshape(part, (batch * count[0] * count[1], channels))

    def tap(row: int, column: int) -> jax.Array:
        if is_turned:
            row, column = 2 - row, 2 - column
        part = lax.slice(kernel, (row, column, 0, 0), (row + 1, column + 1, *kernel.shape[2:]))
        return lax.reshape(part, kernel.shape[2:])

    contracted = ((1,), (1 if is_turned else 0,))
    products = [
        [lax.dot_general(*pair, (contracted, ((), ()))) for pair in zip(*rows, strict=True)]
        for rows in zip(
            _both_ways(_OF_INPUTS, _square(seen, _SIZE)),
            _both_ways(_OF_KERNEL, _square(tap, 3)),
            strict=True,
        )
    ]
    shape = (batch, *count, outputs)
    rows = [
        _interleaved([lax.reshape(part, shape) for part in row], 3)
        for row in _both_ways(_TO_OUTPUTS, products)
    ]
    whole = lax.reshape(_interleaved(rows, 2), (batch, count[0] * _STEP, count[1] * _STEP, outputs))
    return lax.slice(whole, (0, 0, 0, 0), (batch, *windows.count, outputs))


def _square(element: Callable[[int, int], jax.Array], size: int) -> Square:
    return [[element(row, column) for column in range(size)] for row in range(size)]


def _both_ways(matrix: Sequence[Sequence[float]], square: Square) -> Square:
    """`matrix @ square @ matrix.T`, of a square of arrays."""
    rows = [[_weighted(row, column) for column in zip(*square, strict=True)] for row in matrix]
    return [[_weighted(column, row) for column in matrix] for row in rows]


def _weighted(weights: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
    """The sum of the arrays, each by its weight. One weight at least is positive."""
    pairs = [(weight, array) for weight, array in zip(weights, arrays, strict=True) if weight]
    terms = [
        array if abs(weight) == 1 else lax.mul(array, array.dtype.type(abs(weight)))
        for weight, array in pairs
    ]
    added = [term for term, (weight, _) in zip(terms, pairs, strict=True) if weight > 0]
    subtracted = [term for term, (weight, _) in zip(terms, pairs, strict=True) if weight < 0]
    return functools.reduce(lax.sub, subtracted, functools.reduce(lax.add, added))


def _interleaved(arrays: Sequence[jax.Array], axis: int) -> jax.Array:
    return lax.concatenate([lax.expand_dims(array, (axis,)) for array in arrays], axis)


def _tiles_along(windows: Windows, axis: int) -> int:
    return -(-windows.count[axis] // _STEP)
