"""The gradient of a convolution by its kernel, as products of matrices."""

import math
from typing import Any

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._primitives import Shape, num_devices, vary_alike
from jslim.layers._lowering._windows import images_at_once, pad, patches

# Images are taken in blocks of about as many pixels, so that their patches stay in the cache. The
# whole batch at once takes up to three times as long.
_PIXELS_AT_ONCE = 1024
_PATCHES_AT_ONCE = 2**17  # numbers, where patches are narrow
# Up to this size of a window there is one product; else one for each of its rows.
_NUMBERS_AT_ONCE = 128


def kernel_gradient(
    inputs: jax.Array, cotangent: jax.Array, shape: Shape, windows: Windows
) -> jax.Array:
    """The sum over all pixels of what their window sees, times the cotangent there.

    XLA's CPU backend computes it as a convolution whose window is the whole map, over transposed
    copies of both arrays. Here it is a sum over blocks of images of products of two matrices, each
    with one row for each pixel.

    Args:
      inputs: `[batch, *space, in]`.
      cotangent: `[batch, *count, out]`.
      shape: That of the kernel, `[*window, in, out]`.
      windows: Those of the convolution.

    Returns:
      The gradient, summed in float32 at least.
    """
    *numbers, channels = shape
    by_row = math.prod(numbers) > _NUMBERS_AT_ONCE
    seen = pad(inputs, windows, False, 0)
    # A loop over all images would have every device gather and compute the whole batch.
    groups = math.gcd(inputs.shape[0], max(map(num_devices, (inputs, cotangent))))
    batch, pixels = inputs.shape[0] // groups, math.prod(windows.count)
    most = max(_PIXELS_AT_ONCE, _PATCHES_AT_ONCE // math.prod(numbers))
    at_once = images_at_once(batch, pixels, most) or 1
    exact = inputs.dtype if inputs.dtype.itemsize >= 4 else np.dtype(np.float32)

    def products(images: jax.Array, factors: jax.Array) -> jax.Array:
        factors = lax.reshape(factors, (factors.size // channels, channels))
        parts = [
            # The other way round it takes up to twice as long.
            lax.dot_general(factors, part, (((0,), (0,)), ((), ())), preferred_element_type=exact)
            for part in patches(images, windows, by_row)
        ]
        return lax.concatenate([lax.expand_dims(part, (0,)) for part in parts], 0)

    def add_block(block: Any, total: jax.Array) -> jax.Array:
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
