"""Random values for the variables of other frameworks' networks, the same on each machine."""

import math
import zlib
from collections.abc import Mapping

import numpy as np


def random_array(name: str, shape: tuple[int, ...], *, is_torch: bool) -> np.ndarray:
    """A value that keeps a deep network's activations near 1, from its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    last = name.replace(".", "/").removesuffix(":0").split("/")[-1]
    if "var" in last:
        return rng.uniform(0.7, 1.4, shape).astype(np.float32)
    if len(shape) == 1 and last in ("weight", "gamma"):
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    if len(shape) <= 1:
        return rng.normal(0, 0.1, shape).astype(np.float32)
    out = shape[0] if is_torch else shape[-1]
    is_depthwise = "depthwise" in name or "conv_dw" in name
    fan_in = (
        (shape[2] * shape[3] if is_torch else shape[0] * shape[1])
        if (is_depthwise and len(shape) == 4)
        else math.prod(shape) / out
    )
    return rng.normal(0, math.sqrt(1.6 / fan_in), shape).astype(np.float32)


def random_arrays(
    shapes: Mapping[str, tuple[int, ...]], *, is_torch: bool
) -> dict[str, np.ndarray]:
    """Values for all of a network."""
    return {
        name: random_array(name, tuple(shape), is_torch=is_torch) for name, shape in shapes.items()
    }


def images(side: int) -> np.ndarray:
    """Two images, `[2, side, side, 3]` in [-1, 1]."""
    rng = np.random.default_rng(7)
    return rng.uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
