"""Ordinary and transposed convolutions."""

import jax
from jax import lax

from jslim.layers._common import Windows
from jslim.layers._lowering._windows import is_cpu, shifts, spatial_axes, spec


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    windows: Windows,
    channels_first: bool,
    backend: str | None = None,
) -> jax.Array:
    """Cross-correlation with a kernel `[height, width, in, out]`."""
    if windows.size == (1, 1) and not channels_first and is_cpu(backend):
        # A 1x1 window never needs padding, so a stride only leaves pixels out.
        (pixels,) = shifts(inputs, windows, channels_first)
        matrix = lax.reshape(kernel, kernel.shape[2:])
        return lax.dot_general(pixels, matrix, (((3,), (0,)), ((), ())))
    return lax.conv_general_dilated(
        inputs,
        kernel,
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=spec(channels_first),
    )


def convolve_transposed(
    inputs: jax.Array,
    kernel: jax.Array,
    stride: tuple[int, int],
    is_same: bool,
    channels_first: bool,
) -> jax.Array:
    """The gradient of a convolution by its inputs, kernel `[height, width, out, in]`."""
    padding = []
    for axis, size, step in zip(
        spatial_axes(channels_first), kernel.shape[:2], stride, strict=True
    ):
        # What the convolution would have padded before and after, SAME at length * step.
        overlap = max(size - step, 0)
        before = overlap // 2 if is_same else 0
        length = inputs.shape[axis] * step + (0 if is_same else overlap)
        spread_length = (inputs.shape[axis] - 1) * step + 1
        padding.append((size - 1 - before, length - spread_length + before))
    return lax.conv_general_dilated(
        inputs,
        lax.rev(kernel, (0, 1)),
        (1, 1),
        padding,
        lhs_dilation=stride,
        dimension_numbers=spec(channels_first, "HWOI"),
    )
