"""What all lowerings share: padding, the contents of windows, and XLA's convolution."""

import math
from collections.abc import Collection, Iterable, Iterator

import jax
import numpy as np
from jax import lax

from jslim.layers._windows import Windows


def convolve_by_xla(
    inputs: jax.Array, kernel: jax.Array, windows: Windows, groups: int = 1
) -> jax.Array:
    """The convolution by a kernel `[*window, in / groups, out]`, by XLA's operation."""
    space = "DHW"[-len(windows.size) :]
    layout = f"NC{space}" if windows.channels_first else f"N{space}C"
    return lax.conv_general_dilated(
        inputs,
        kernel,
        windows.stride,
        windows.padding,
        rhs_dilation=windows.rate,
        dimension_numbers=(layout, f"{space}IO", layout),
        feature_group_count=groups,
    )


def pad(inputs: jax.Array, windows: Windows, value: float = 0) -> jax.Array:
    """The inputs with the padding of the windows."""
    if not any(map(any, windows.padding)):
        return inputs
    config = windows.on_all_axes(((*pair, 0) for pair in windows.padding), (0, 0, 0))
    return lax.pad(inputs, np.asarray(value, inputs.dtype), config)


def shifts(padded: jax.Array, windows: Windows) -> Iterator[jax.Array]:
    """For each position of a window, in row-major order, the pixels that all windows see there."""
    for start, limit, stride in _slices(padded.shape, windows):
        yield lax.slice(padded, start, limit, stride)


def only(inputs: jax.Array, windows: Windows, padding: float = 0) -> jax.Array:
    """The contents of windows of one pixel: a slice. XLA would scatter such a pool's gradient."""
    (pixels,) = shifts(pad(inputs, windows, padding), windows)
    return pixels


def transposed_shifts(
    outputs: Iterable[jax.Array], shape: tuple[int, ...], windows: Windows
) -> Iterator[jax.Array]:
    """Each array of `outputs` at the place that `shifts` takes it from, with zeros around it."""
    for array, (start, limit, stride) in zip(outputs, _slices(shape, windows), strict=True):
        after = [length - end for length, end in zip(shape, limit, strict=True)]
        between = [step - 1 for step in stride]
        zero = np.zeros((), array.dtype)
        yield lax.pad(array, zero, list(zip(start, after, between, strict=True)))


def _slices(
    shape: tuple[int, ...], windows: Windows
) -> Iterator[tuple[tuple[int, ...], list[int], tuple[int, ...]]]:
    """Start, limit and stride of each of the `shifts`."""
    count = windows.output_shape(shape[0], shape[windows.channel_axis])
    stride = windows.on_all_axes(windows.stride, 1)
    for position in windows.positions:
        start = windows.on_all_axes(position, 0)
        limit = [s + (n - 1) * step + 1 for s, n, step in zip(start, count, stride, strict=True)]
        yield start, limit, stride


def along(windows: Windows, dimensions: Collection[int], shape: tuple[int, ...]) -> Windows:
    """Windows over padded images of that shape, of one pixel along all other dimensions."""

    def chosen(values: tuple[int, ...], others: Iterable[int]) -> tuple[int, ...]:
        pairs = enumerate(zip(values, others, strict=True))
        return tuple(value if i in dimensions else other for i, (value, other) in pairs)

    ones = (1,) * len(windows.size)
    return Windows(
        chosen(windows.size, ones),
        chosen(windows.stride, ones),
        chosen(windows.rate, ones),
        ((0, 0),) * len(ones),
        chosen(windows.count, (shape[axis] for axis in windows.axes)),
        windows.channels_first,
    )


def as_matrix(array: jax.Array) -> jax.Array:
    """The array with one axis for all of its axes but the last."""
    return lax.reshape(array, (math.prod(array.shape[:-1]), array.shape[-1]))
