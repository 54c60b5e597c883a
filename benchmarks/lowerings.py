"""Times jslim's own ways of computing convolutions and pools against XLA's, on this machine.

    python -m benchmarks.lowerings [OPERATION]

Prints for each shape how many times as fast the way that is chosen for a CPU is as XLA's operation,
whatever this machine has: forward, and with gradients. `jslim/layers/_lowering/_choices.py` quotes
the results, and is what they decide on.
"""

import functools
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim.layers import _lowering, _windows

REPETITIONS = 8
# operation, input shape, shape of the window, stride, and output channels (or none); VALID where
# the window is the map, else SAME
CASES: list[tuple[str, tuple[int, ...], int, int, int]] = [
    ("convolve", (8, 7, 7, 512), 7, 1, 1024),
    ("convolve", (8, 5, 5, 128), 5, 1, 768),
    ("convolve", (8, 4, 4, 512), 7, 1, 512),
    ("convolve", (8, 2, 2, 512), 3, 1, 512),
    ("convolve", (8, 32, 32, 64), 3, 1, 64),
    ("convolve", (8, 16, 16, 128), 3, 1, 128),
    ("convolve", (8, 8, 8, 256), 3, 1, 256),
    ("convolve", (8, 16, 16, 512), 3, 1, 512),
    ("convolve", (8, 4, 4, 512), 3, 1, 512),
    ("convolve", (8, 56, 56, 64), 1, 1, 256),
    ("convolve", (8, 28, 28, 512), 1, 1, 128),
    ("convolve", (8, 14, 14, 1024), 1, 1, 256),
    ("convolve", (8, 56, 56, 256), 1, 2, 512),
    ("convolve", (8, 112, 112, 64), 2, 2, 128),
    ("convolve", (8, 28, 28, 256), 2, 2, 512),
    ("convolve", (8, 128, 128, 3), 16, 16, 768),
    ("convolve", (64, 32, 32, 3), 5, 1, 64),
    ("convolve", (64, 28, 28, 1), 5, 1, 32),
    ("convolve", (64, 16, 16, 64), 5, 1, 64),
    ("convolve_depthwise", (8, 112, 112, 32), 3, 1, 1),
    ("convolve_depthwise", (8, 56, 56, 128), 3, 2, 1),
    ("convolve_depthwise", (8, 14, 14, 512), 3, 1, 1),
    ("convolve_depthwise", (8, 28, 28, 64), 5, 1, 1),
    ("pool_max", (128, 28, 28, 32), 2, 2, 0),
    ("pool_max", (8, 112, 112, 64), 3, 2, 0),
    ("pool_max", (8, 28, 28, 256), 3, 1, 0),
    ("pool_sum", (8, 112, 112, 64), 2, 2, 0),
    ("pool_sum", (8, 28, 28, 256), 3, 1, 0),
    ("pool_sum", (64, 24, 24, 64), 3, 2, 0),
]


def shortest(functions: dict[str, Callable[..., Any]], *arguments: jax.Array) -> dict[str, float]:
    """The shortest of several runs in seconds; the functions take turns, so load hits all."""
    compiled = {name: jax.jit(f).lower(*arguments).compile() for name, f in functions.items()}
    times = dict.fromkeys(functions, math.inf)
    for _ in range(REPETITIONS):
        for name, run in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(run(*arguments))
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def on(platform: str, function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The function, computed as on a platform."""

    def lowered(*arrays: jax.Array) -> jax.Array:
        with _lowering.lowered_for(platform):
            return function(*arrays)

    return lowered


def with_gradients(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    def pull_back(*arguments: jax.Array) -> Any:
        *arrays, cotangent = arguments
        output, pull = jax.vjp(function, *arrays)
        return output, pull(cotangent)

    return pull_back


def main(only: str | None = None) -> None:
    print(f"{'operation':20}{'inputs':22}{'window':>7}{'stride':>7}{'forward':>9}{'gradients':>10}")
    for name, shape, size, stride, outputs in CASES:
        if only not in (None, name):
            continue
        padding = "VALID" if shape[1] == size else "SAME"
        windows = _windows.windows("", shape[1:3], (size,) * 2, (stride,) * 2, padding)
        function = functools.partial(getattr(_lowering, name), windows=windows)
        functions = {platform: on(platform, function) for platform in ("cpu", "xla")}
        arrays = [jax.random.normal(jax.random.key(0), shape)]
        if outputs:
            kernel = (size, size, shape[3], outputs)
            arrays.append(jax.random.normal(jax.random.key(1), kernel))
        forward = shortest(functions, *arrays)
        cotangent = jnp.ones(jax.eval_shape(functions["cpu"], *arrays).shape)
        both = shortest({k: with_gradients(f) for k, f in functions.items()}, *arrays, cotangent)
        ratios = [times["xla"] / times["cpu"] for times in (forward, both)]
        print(f"{name:20}{shape!s:22}{size:7}{stride:7}{ratios[0]:9.1f}{ratios[1]:10.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
