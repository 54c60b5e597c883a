"""Finding the first quantity of a training step that is NaN or infinite."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jslim.core.trees import named
from jslim.learning.state import PyTree

# What `check_numerics` is to look at all of it.
EVERYTHING = "everything"
# The name in a step's outputs of what `first_nonfinite` gave.
FIRST_NONFINITE = "first_nonfinite"


def quantities_of_step(
    loss: jax.Array, gradients: PyTree, params: PyTree, batch_stats: PyTree
) -> dict[str, jax.Array]:
    """What a step computes, in the order in which it does, each under what an error calls it."""
    return {
        "the loss": loss,
        **{
            f"the {kind} {name!r}": value
            for kind, tree in (
                ("gradient of", gradients),
                ("variable", params),
                ("statistic", batch_stats),
            )
            for name, value in named(tree).items()
        },
    }


def first_nonfinite(quantities: Mapping[str, jax.Array]) -> jax.Array:
    """The place of the first that holds NaN or infinity, int32; -1 if all are finite."""
    bad = jnp.stack([jnp.logical_not(jnp.all(jnp.isfinite(x))) for x in quantities.values()])
    return jnp.where(jnp.any(bad), jnp.argmax(bad), -1).astype(jnp.int32)
