"""What all lowerings share: which backend it is, padding, and what the windows see."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np
from jax import lax

from jslim.layers._common import Windows


def is_cpu(backend: str | None) -> bool:
    return (backend or jax.default_backend()) == "cpu"


def spec(dims: int, channels_first: bool, kernel: str = "IO") -> tuple[str, str, str]:
    """The layouts of inputs, kernel and outputs with `dims` spatial dimensions."""
    space = "DHW"[-dims:]
    layout = f"NC{space}" if channels_first else f"N{space}C"
    return layout, space + kernel, layout


def spatial_axes(dims: int, channels_first: bool) -> tuple[int, ...]:
    first = 2 if channels_first else 1
    return tuple(range(first, first + dims))


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
    axes = spatial_axes(len(windows.size), channels_first)
    for position in itertools.product(*map(range, windows.size)):
        start, limit, stride = [0] * inputs.ndim, list(inputs.shape), [1] * inputs.ndim
        for i, axis in enumerate(axes):
            start[axis] = position[i] * windows.rate[i]
            stride[axis] = windows.stride[i]
            limit[axis] = start[axis] + (windows.count[i] - 1) * stride[axis] + 1
        yield lax.slice(inputs, start, limit, stride)
