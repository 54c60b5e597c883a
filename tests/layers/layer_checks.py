"""What several tests of the layers share."""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

# Most of a test's time would go into XLA's optimization, which such small arrays do not need.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def leaves_of(variables):
    """`{collection/name: leaf}`."""
    return flax.traverse_util.flatten_dict(variables, sep="/")


def make_up_variables(model, *args, **kwargs):
    """Variables for `model` with seeded values from 0.5 to 1.5, without compiling its `init`."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), *args, **kwargs)
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda s: jnp.asarray(rng.uniform(0.5, 1.5, s.shape), s.dtype), shapes)
