"""The largest value and the sum of each window."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.interpreters import ad

from jslim.layers._common import Windows
from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._linear import bind, linear, vectorize_batch, zero_like
from jslim.layers._lowering._primitives import Shape, by_platform, settings, transpose
from jslim.layers._lowering._windows import (
    are_side_by_side,
    output_shape,
    pad,
    shifts,
    spatial_axes,
)


def pool_max(
    inputs: jax.Array, windows: Windows, channels_first: bool, backend: str | None = None
) -> jax.Array:
    """The largest value of each window; padding never wins."""
    if max(windows.size) == 1:
        return _only(inputs, windows, channels_first, -np.inf)
    return bind(_MAX, inputs, windows=windows, channels_first=channels_first, **settings(backend))


def pool_sum(
    inputs: jax.Array, windows: Windows, channels_first: bool, backend: str | None = None
) -> jax.Array:
    """The sum of each window."""
    if max(windows.size) == 1:
        return _only(inputs, windows, channels_first, 0)
    return bind(_SUM, inputs, windows=windows, channels_first=channels_first, **settings(backend))


def _only(inputs: jax.Array, windows: Windows, channels_first: bool, padding: float) -> jax.Array:
    """What windows of one pixel see: a slice, where XLA would scatter a pool's gradient."""
    (pixels,) = shifts(pad(inputs, windows, channels_first, padding), windows, channels_first)
    return pixels


def _in_xlas_words(rank: int, windows: Windows, channels_first: bool) -> dict[str, Any]:
    size, stride, padding = [1] * rank, [1] * rank, [(0, 0)] * rank
    for i, axis in enumerate(spatial_axes(rank - 2, channels_first)):
        size[axis], stride[axis] = windows.size[i], windows.stride[i]
        padding[axis] = windows.padding[i]
    return {
        "window_dimensions": tuple(size),
        "window_strides": tuple(stride),
        "padding": tuple(padding),
    }


def _line_shifts(inputs: jax.Array, windows: Windows, i: int, axis: int) -> list[jax.Array]:
    """What all windows see along the spatial dimension `i`, for each position in the window."""
    extent = (windows.count[i] - 1) * windows.stride[i] + 1
    starts = range(0, windows.size[i] * windows.rate[i], windows.rate[i])
    return [
        lax.slice_in_dim(inputs, start, start + extent, windows.stride[i], axis) for start in starts
    ]


def _is_by_shifts(choices: Choices, windows: Windows) -> bool:
    # JAX has no gradient of a window reduction with a rate.
    return max(windows.rate) > 1 or sum(windows.size) <= choices.most_shifts_for_max


def _largest(
    choices: Choices, inputs: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    is_of_blocks = choices.window_for_blocks and are_side_by_side(windows)
    if is_of_blocks or not _is_by_shifts(choices, windows):
        words = _in_xlas_words(inputs.ndim, windows, channels_first)
        return lax.reduce_window(inputs, np.asarray(-np.inf, inputs.dtype)[()], lax.max, **words)
    # The largest along the last dimension, of those the largest along the next, and so on.
    best = pad(inputs, windows, channels_first, -np.inf)
    axes = spatial_axes(inputs.ndim - 2, channels_first)
    for i in reversed(range(len(axes))):
        best = functools.reduce(lax.max, _line_shifts(best, windows, i, axes[i]))
    return best


def _at_largest(
    choices: Choices, inputs: jax.Array, vector: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    """What the vector has where each window has its largest value, at the first of equals."""
    if not _is_by_shifts(choices, windows):
        shape = output_shape(
            inputs.shape, inputs.shape[1 if channels_first else -1], windows, channels_first
        )
        outputs = jax.ShapeDtypeStruct(shape, vector.dtype)
        to_largest = functools.partial(_scatter, inputs, windows, channels_first)
        return transpose(to_largest, outputs, vector)
    best = pad(inputs, windows, channels_first, -np.inf)
    chosen = pad(vector, windows, channels_first, 0)
    axes = spatial_axes(inputs.ndim - 2, channels_first)
    for i in reversed(range(len(axes))):
        best, *others = _line_shifts(best, windows, i, axes[i])
        chosen, *theirs = _line_shifts(chosen, windows, i, axes[i])
        for other, its in zip(others, theirs, strict=True):
            # `other != other` is its NaN, which must win too.
            is_larger = lax.bitwise_or(lax.gt(other, best), lax.ne(other, other))
            chosen = lax.select(is_larger, its, chosen)
            best = lax.max(other, best)
    return chosen


def _to_largest(
    choices: Choices,
    inputs: jax.Array,
    cotangent: jax.Array,
    shape: Shape,
    windows: Windows,
    channels_first: bool,
) -> jax.Array:
    """The transpose of `_at_largest`: in row-major order, as in TensorFlow."""
    if not _is_by_shifts(choices, windows):
        return _scatter(inputs, windows, channels_first, cotangent)
    vector = jax.ShapeDtypeStruct(shape, cotangent.dtype)
    return transpose(
        lambda vector: _at_largest(choices, inputs, vector, windows, channels_first),
        vector,
        cotangent,
    )


def _scatter(
    inputs: jax.Array, windows: Windows, channels_first: bool, cotangent: jax.Array
) -> jax.Array:
    words = _in_xlas_words(inputs.ndim, windows, channels_first)
    scattered: jax.Array = lax.select_and_scatter_add_p.bind(
        cotangent, inputs, select_prim=lax.ge_p, **words
    )
    return scattered


def _total(
    choices: Choices, inputs: jax.Array, windows: Windows, channels_first: bool
) -> jax.Array:
    if math.prod(windows.size) <= choices.most_shifts_for_sum:
        padded = pad(inputs, windows, channels_first, 0.0)
        return functools.reduce(lax.add, shifts(padded, windows, channels_first))
    words = _in_xlas_words(inputs.ndim, windows, channels_first)
    rate = [1] * inputs.ndim
    for axis, its in zip(spatial_axes(inputs.ndim - 2, channels_first), windows.rate, strict=True):
        rate[axis] = its
    zero = np.asarray(0, inputs.dtype)[()]
    return lax.reduce_window(inputs, zero, lax.add, window_dilation=rate, **words)


def _pooled_shape(*shapes: Shape, windows: Windows, channels_first: bool) -> Shape:
    inputs = shapes[0]
    return output_shape(inputs, inputs[1 if channels_first else -1], windows, channels_first)


_SUM = linear("pool_sum", _total, _pooled_shape)
_MAX = by_platform("pool_max", _largest, _pooled_shape)
_AT_LARGEST = linear("at_largest", _at_largest, _pooled_shape, _to_largest)
vectorize_batch(_MAX)


def _derivative_of_max(
    primals: Sequence[jax.Array], tangents: Sequence[Any], **static: Any
) -> tuple[jax.Array, Any]:
    (inputs,), (tangent,) = primals, tangents
    output = bind(_MAX, inputs, **static)
    if isinstance(tangent, ad.Zero):
        return output, zero_like(output)
    return output, bind(_AT_LARGEST, inputs, tangent, **static)


ad.primitive_jvps[_MAX] = _derivative_of_max
