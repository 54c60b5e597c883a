"""Depthwise convolutions: each channel by filters of its own."""

import functools
import math

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._windows import is_cpu, pad, shifts, spec


def convolve_depthwise(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Each channel by filters of its own, `[*window, channels, multiplier]`.

    Output channel `c * multiplier + m` is input channel `c` by its filter `m`.
    """
    *size, channels, multiplier = kernel.shape
    if not is_cpu(backend):
        return lax.conv_general_dilated(
            inputs,
            lax.reshape(kernel, (*size, 1, channels * multiplier)),
            windows.stride,
            windows.padding,
            rhs_dilation=windows.rate,
            dimension_numbers=spec(len(size), channels_first),
            feature_group_count=channels,
        )
    # Sums of half precision products are kept in float32, as convolutions keep them.
    dtype = inputs.dtype if inputs.dtype.itemsize >= 4 else np.dtype(np.float32)
    seen = lax.convert_element_type(pad(inputs, windows, channels_first, 0), dtype)
    axis = 1 if channels_first else inputs.ndim - 1
    if multiplier > 1:
        # Each channel next to itself: an axis of its own for the multiplier takes twice as long.
        shape = list(seen.shape)
        shape.insert(axis + 1, multiplier)
        seen = lax.broadcast_in_dim(seen, shape, [i for i in range(len(shape)) if i != axis + 1])
        shape[axis : axis + 2] = [channels * multiplier]
        seen = lax.reshape(seen, shape)
    taps = lax.reshape(kernel, (math.prod(size), channels * multiplier))
    taps = lax.convert_element_type(taps, dtype)
    products = []
    for index, pixels in enumerate(shifts(seen, windows, channels_first)):
        tap = lax.slice_in_dim(taps, index, index + 1)
        products.append(lax.mul(pixels, lax.broadcast_in_dim(tap, pixels.shape, (0, axis))))
    return lax.convert_element_type(functools.reduce(lax.add, products), inputs.dtype)
