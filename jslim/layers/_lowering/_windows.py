"""What all lowerings share: layouts, padding, and what the windows see."""

import itertools
from collections.abc import Iterable, Iterator

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows


def spec(dims: int, channels_first: bool, kernel: str = "IO") -> tuple[str, str, str]:
    """The layouts of inputs, kernel and outputs with `dims` spatial dimensions."""
    space = "DHW"[-dims:]
    layout = f"NC{space}" if channels_first else f"N{space}C"
    return layout, space + kernel, layout


def spatial_axes(dims: int, channels_first: bool) -> tuple[int, ...]:
    first = 2 if channels_first else 1
    return tuple(range(first, first + dims))


def output_shape(
    inputs: tuple[int, ...], channels: int, windows: Windows, channels_first: bool
) -> tuple[int, ...]:
    """The shape of what has one pixel for each window."""
    if channels_first:
        return (inputs[0], channels, *windows.count)
    return (inputs[0], *windows.count, channels)


def pad(inputs: jax.Array, windows: Windows, channels_first: bool, value: float) -> jax.Array:
    if not any(map(any, windows.padding)):
        return inputs
    config = [(0, 0, 0)] * inputs.ndim
    axes = spatial_axes(len(windows.size), channels_first)
    for axis, (before, after) in zip(axes, windows.padding, strict=True):
        config[axis] = (before, after, 0)
    return lax.pad(inputs, np.asarray(value, inputs.dtype), config)


def shifts(inputs: jax.Array, windows: Windows, channels_first: bool) -> Iterator[jax.Array]:
    """What all windows see, for each position in the window in row-major order."""
    for start, limit, stride in _slices(inputs.shape, windows, channels_first):
        yield lax.slice(inputs, start, limit, stride)


def transposed_shifts(
    outputs: Iterable[jax.Array], shape: tuple[int, ...], windows: Windows, channels_first: bool
) -> Iterator[jax.Array]:
    """Each array of `outputs` where its `shifts` of inputs of that shape come from, else zeros."""
    slices = _slices(shape, windows, channels_first)
    for array, (start, limit, stride) in zip(outputs, slices, strict=True):
        after = [length - end for length, end in zip(shape, limit, strict=True)]
        between = [step - 1 for step in stride]
        zero = np.zeros((), array.dtype)
        yield lax.pad(array, zero, list(zip(start, after, between, strict=True)))


def _slices(
    shape: tuple[int, ...], windows: Windows, channels_first: bool
) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Start, limit and stride of `shifts`."""
    axes = spatial_axes(len(windows.size), channels_first)
    for position in itertools.product(*map(range, windows.size)):
        start, limit, stride = [0] * len(shape), list(shape), [1] * len(shape)
        for i, axis in enumerate(axes):
            start[axis] = position[i] * windows.rate[i]
            stride[axis] = windows.stride[i]
            limit[axis] = start[axis] + (windows.count[i] - 1) * stride[axis] + 1
        yield start, limit, stride


def patches(images: jax.Array, windows: Windows, by_row: bool) -> Iterator[jax.Array]:
    """What the windows see, `[pixels, numbers]`: all of it, or by the rows of a window."""
    dims = len(windows.size)

    def along(dimensions: range, count: tuple[int, ...]) -> Windows:
        """The windows, but of length 1 along the other dimensions."""
        size, stride, rate = (
            tuple(values[i] if i in dimensions else 1 for i in range(dims))
            for values in (windows.size, windows.stride, windows.rate)
        )
        return Windows(size, stride, rate, ((0, 0),) * dims, count)

    # Columns first, then rows of these: each number is copied in two longer runs.
    count = (images.shape[1], *windows.count[1:])
    seen = list(shifts(images, along(range(1, dims), count), False))
    rows = shifts(lax.concatenate(seen, dims + 1), along(range(1), windows.count), False)
    if not by_row:
        rows = iter([lax.concatenate(list(rows), dims + 1)])
    for row in rows:
        numbers = row.shape[-1]
        yield lax.reshape(row, (row.size // numbers, numbers))


def images_at_once(batch: int, pixels: int, most_pixels: int) -> int | None:
    """The most images, two or more, that divide the batch and have up to as many pixels."""
    fitting = (n for n in range(2, batch + 1) if n * pixels <= most_pixels)
    return max((n for n in fitting if batch % n == 0), default=None)


def are_side_by_side(windows: Windows) -> bool:
    """Whether each pixel is in one window, as in blocks."""
    return windows.stride == windows.size and max(windows.rate) == 1
