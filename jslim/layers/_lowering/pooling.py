"""The largest value and the sum of each window."""

import functools
import math
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.interpreters import ad

from jslim.layers._lowering._choices import Choices
from jslim.layers._lowering._linear import linear, vectorize_batch
from jslim.layers._lowering._primitives import Shape, bind, by_platform, settings, transpose
from jslim.layers._lowering._windows import along, only, pad, shifts
from jslim.layers._windows import Windows


def pool_max(inputs: jax.Array, windows: Windows) -> jax.Array:
    """The largest value of each window; padding never wins."""
    if max(windows.size) == 1:
        return only(inputs, windows, -np.inf)
    return bind(_MAX, inputs, windows=windows, **settings())


def pool_sum(inputs: jax.Array, windows: Windows) -> jax.Array:
    """The sum of each window."""
    if max(windows.size) == 1:
        return only(inputs, windows)
    return bind(_SUM, inputs, windows=windows, **settings())


def _in_xlas_words(windows: Windows) -> dict[str, Any]:
    return {
        "window_dimensions": windows.on_all_axes(windows.size, 1),
        "window_strides": windows.on_all_axes(windows.stride, 1),
        "padding": windows.on_all_axes(windows.padding, (0, 0)),
    }


def _is_by_shifts(choices: Choices, windows: Windows) -> bool:
    # JAX has no gradient of a window reduction with a rate.
    return max(windows.rate) > 1 or sum(windows.size) <= choices.most_shifts_for_max


def _largest(choices: Choices, inputs: jax.Array, windows: Windows) -> jax.Array:
    is_of_blocks = choices.window_for_blocks and windows.are_side_by_side
    if is_of_blocks or not _is_by_shifts(choices, windows):
        least = np.asarray(-np.inf, inputs.dtype)[()]
        return lax.reduce_window(inputs, least, lax.max, **_in_xlas_words(windows))
    # The largest along the last dimension, of those the largest along the next, and so on.
    best = pad(inputs, windows, -np.inf)
    for dimension in reversed(range(len(windows.size))):
        best = functools.reduce(lax.max, shifts(best, along(windows, [dimension], best.shape)))
    return best


def _at_largest(
    choices: Choices, inputs: jax.Array, vector: jax.Array, windows: Windows
) -> jax.Array:
    """The vector's value at the place of each window's largest value, the first of equal ones."""
    if not _is_by_shifts(choices, windows):
        outputs = jax.ShapeDtypeStruct(_pooled_shape(inputs.shape, windows=windows), vector.dtype)
        return transpose(functools.partial(_scatter, inputs, windows), outputs, vector)
    best, chosen = pad(inputs, windows, -np.inf), pad(vector, windows)
    for dimension in reversed(range(len(windows.size))):
        line = along(windows, [dimension], best.shape)
        best, *others = shifts(best, line)
        chosen, *theirs = shifts(chosen, line)
        larger = []
        for other in others:
            # `other != other` holds for NaN, which must win too.
            larger.append(lax.bitwise_or(lax.gt(other, best), lax.ne(other, other)))
            best = lax.max(other, best)
        if choices.places_for_max and len(larger) > 1:
            larger = _by_place(larger)
        for is_larger, its in zip(larger, theirs, strict=True):
            chosen = lax.select(is_larger, its, chosen)
    return chosen


def _by_place(masks: list[jax.Array]) -> list[jax.Array]:
    """The masks, of which the last that is true counts, from one array of bytes."""
    place = lax.full_like(masks[0], 0, np.int8)
    for number, mask in enumerate(masks, 1):
        place = lax.select(mask, lax.full_like(place, number), place)
    return [lax.eq(place, lax.full_like(place, number)) for number in range(1, len(masks) + 1)]


def _to_largest(
    choices: Choices, inputs: jax.Array, cotangent: jax.Array, shape: Shape, windows: Windows
) -> jax.Array:
    """The transpose of `_at_largest`: in row-major order, as in TensorFlow."""
    if not _is_by_shifts(choices, windows):
        return _scatter(inputs, windows, cotangent)
    vector = jax.ShapeDtypeStruct(shape, cotangent.dtype)
    return transpose(lambda x: _at_largest(choices, inputs, x, windows), vector, cotangent)


def _scatter(inputs: jax.Array, windows: Windows, cotangent: jax.Array) -> jax.Array:
    scattered: jax.Array = lax.select_and_scatter_add_p.bind(
        cotangent, inputs, select_prim=lax.ge_p, **_in_xlas_words(windows)
    )
    return scattered


def _total(choices: Choices, inputs: jax.Array, windows: Windows) -> jax.Array:
    if math.prod(windows.size) <= choices.most_shifts_for_sum:
        return functools.reduce(lax.add, shifts(pad(inputs, windows), windows))
    zero = np.asarray(0, inputs.dtype)[()]
    rate = windows.on_all_axes(windows.rate, 1)
    words = _in_xlas_words(windows)
    return lax.reduce_window(inputs, zero, lax.add, window_dilation=rate, **words)


def _pooled_shape(inputs: Shape, *others: Shape, windows: Windows) -> Shape:
    return windows.output_shape(inputs[0], inputs[windows.channel_axis])


_SUM = linear("pool_sum", _total, _pooled_shape)
_AT_LARGEST = linear("at_largest", _at_largest, _pooled_shape, _to_largest, num_facts=1)
_MAX = by_platform("pool_max", _largest, _pooled_shape)
vectorize_batch(_MAX)
ad.defjvp(_MAX, lambda dot, inputs, **static: bind(_AT_LARGEST, inputs, dot, **static))
