"""What the tests of lowerings share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from layer_checks import jit

from jslim.layers import _windows
from jslim.layers._lowering import lowered_for

RNG = np.random.default_rng(5)
windows_over = functools.partial(_windows.windows, "test")
CASES = [
    # size, stride, padding, rate
    ((3, 3), (1, 1), "SAME", (1, 1)),
    ((3, 2), (2, 2), "SAME", (1, 1)),
    ((2, 3), (1, 2), "VALID", (1, 1)),
    ((3, 3), (1, 1), "SAME", (2, 2)),
    ((1, 1), (2, 3), "SAME", (1, 1)),
]


def both(function, windows, *arrays, platform="cpu"):
    """Value and gradients of a weighted sum, as on a platform and by XLA's operations."""
    shape = jax.eval_shape(lambda *a: function(*a, windows), *arrays).shape
    weights = jnp.asarray(RNG.uniform(-1, 1, shape), arrays[0].dtype)

    def weighted(*arrays):
        output = function(*arrays, windows)
        return jnp.sum(output * weights), output

    def value_and_gradients(platform):
        every = tuple(range(len(arrays)))
        with lowered_for(platform):
            (_, output), gradients = jit(jax.value_and_grad(weighted, every, has_aux=True))(*arrays)
        return [output, *gradients]

    return value_and_gradients(platform), value_and_gradients("xla")


def images(channels_first, channels=3, dtype=jnp.float32):
    shape = (2, channels, 7, 6) if channels_first else (2, 7, 6, channels)
    return jnp.asarray(RNG.uniform(-1, 1, shape), dtype)
