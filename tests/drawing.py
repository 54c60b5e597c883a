"""For tests of the shapes of networks."""

import jax
import jax.numpy as jnp
import pytest

from jslim import initializers


def shapes_of_init(init, *args):
    """`jax.eval_shape(init, *args)` with zeros for random numbers.

    To trace one takes as long as tracing some layers, for each shape anew.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initializers, "_drawn", _zeros)
        # JAX keeps traces by function, and others may want this one's.
        return jax.eval_shape(lambda *args: init(*args), *args)


def _zeros(key, kind, shape, dtype, first, second):
    return jnp.zeros(shape, dtype)
